"""Builds: tables made from the tables before them."""
