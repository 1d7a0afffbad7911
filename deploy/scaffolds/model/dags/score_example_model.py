"""EXAMPLE: Predicts once a night.

**What**: replace this by what the step does.

**Inputs**: `core.test_results`, `core.ci_runs`, `core.ci_run_observations`, `ops.model_versions`.

**Outputs**: `predictions.example_model`.

**Triage**: an artifact that cannot be read: train again, then clear.
"""

from cilake_airflow.dag_kit import after, job_dag

dag = job_dag("score_example_model", doc=__doc__, schedule=after("core.test_results"), tier=2)
