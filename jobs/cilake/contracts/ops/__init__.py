"""Contracts of the ``ops`` tables."""
