"""Contracts: what every table is, in one place, on the standard library alone."""
