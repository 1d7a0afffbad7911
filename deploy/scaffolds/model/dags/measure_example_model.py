"""EXAMPLE: Compares predictions with what happened.

**What**: replace this by what the step does.

**Inputs**: `predictions.example_model`, `core.ci_runs`, `core.test_results`.

**Outputs**: outcomes, accuracy and calibration; a demotion in `ops.model_versions`.

**Triage**: a failed expectation left the tables as they were: the log names the rule.
"""

from cilake_airflow.dag_kit import after, job_dag

dag = job_dag("measure_example_model", doc=__doc__, schedule=after("predictions.example_model"), tier=2)
