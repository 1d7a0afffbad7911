"""Models: one folder per question; pure functions over Arrow tables, without files, Spark or Airflow."""
