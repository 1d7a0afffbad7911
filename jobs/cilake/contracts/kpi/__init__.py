"""Contracts of the ``kpi`` tables."""
