"""Example CI: a JSON listing of builds with their test results."""
