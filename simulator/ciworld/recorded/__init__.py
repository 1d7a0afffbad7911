"""Recordings of services: each layout of a recorded folder in its own package."""
