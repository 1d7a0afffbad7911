"""Contracts of the ``raw`` tables."""
