"""The operators of the lake."""
