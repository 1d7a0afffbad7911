"""EXAMPLE: replace this by the question; see ``spec.MODEL`` and ``CARD.md``."""
