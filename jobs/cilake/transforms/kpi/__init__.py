"""Transforms of the ``kpi`` tables."""
