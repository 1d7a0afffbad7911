"""Shows people tonight's predictions: the tests most likely to fail in the next run of their job.

**What**: the predictions of 1 % or more with names, reasons and the last run in which each test failed.

**Inputs**: `predictions.test_failure`, `core.ci_jobs`, `core.tests`, `core.ci_runs`, `core.test_results`.

**Outputs**: `kpi.likely_failures`; every check in `ops.validation_results`.

**Triage**: nothing depends on this table but people's dashboards, so clearing the task is always safe.
After a failed expectation the published table is as it was; the log names the rule, what was seen, example
rows and what to do.
"""

from cilake_airflow.dag_kit import after, job_dag

dag = job_dag("build_kpi_predictions", doc=__doc__, schedule=after("predictions.test_failure"), tier=2)
