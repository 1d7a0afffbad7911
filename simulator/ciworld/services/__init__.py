"""The services that ciworld plays, each in a package of its own."""
