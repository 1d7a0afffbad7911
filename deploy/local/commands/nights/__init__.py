"""`make nights` and `make demo`: nights that are played through Airflow."""
