"""How Airflow reaches the work: one operator, its back ends, and what all DAGs share."""
