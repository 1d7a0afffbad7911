"""Contracts of the ``predictions`` tables."""
