"""Sources: one folder per system that publishes CI data."""
