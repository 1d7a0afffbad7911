"""How Airflow reaches the jobs: one operator, its back ends, and what all DAGs share."""
