"""Contracts of the ``core`` tables."""
