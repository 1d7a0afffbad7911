"""The services that ciworld plays, each in its own package."""
