"""Transforms of the ``core`` tables."""
