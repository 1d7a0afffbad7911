"""Compares predictions with what happened.

**What**: joins the ledger with the results that came after each decision, and states error and calibration
of the model next to its baselines. Every prediction whose outcome came or was corrected since the last run is
measured again, however old; the day of the run only names it. A champion that is no longer better than its
baseline is demoted.

**Inputs**: `predictions.test_failure`, `core.ci_runs`, `core.test_results`, `ops.model_versions`.

**Outputs**: `predictions.test_failure_outcomes`, `predictions.accuracy`, and for people
`kpi.daily_predictions`, `kpi.calibration_bins`; a demotion in `ops.model_versions`; every check in
`ops.validation_results`.

**Triage**: after a failed expectation the published tables are as they were; the log names the rule, what
was seen, example rows and what to do. Days whose next runs have not happened yet have no outcome: that is
no fault. A model worse than its baseline is demoted and does not make this task fail; `ops.model_versions`
says why.
"""

from cilake_airflow.dag_kit import after, job_dag

dag = job_dag("measure_test_failure", doc=__doc__, schedule=after("predictions.test_failure"), tier=2)
