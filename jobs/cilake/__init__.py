"""cilake: a data lake and batch scoring platform for CI data."""
