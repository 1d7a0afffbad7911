"""Transforms of the ``predictions`` tables."""
