"""Columns and words that mean the same everywhere, declared once, by what they are about."""
