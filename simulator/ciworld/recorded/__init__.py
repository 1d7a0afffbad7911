"""Recordings of services: each layout of a recorded folder in a package of its own."""
