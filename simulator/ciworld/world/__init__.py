"""The synthetic world: what exists and happens in it, whichever service shows it."""
