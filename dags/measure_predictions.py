"""Compares predictions with what happened.

**What**: joins the ledger with the results that came after each decision, and states error and calibration
of the model next to its baselines. Every prediction whose outcome came or was corrected since the last run is
measured again, however old; the day of the run only names it. A champion that is no longer better than its
baseline is demoted.

**Inputs**: `predictions.test_failure`, `core.ci_runs`, `core.test_results`, `ops.model_versions`.

**Outputs**: `predictions.outcomes`, `predictions.accuracy`, and for people `kpi.likely_failures`,
`kpi.daily_predictions`, `kpi.calibration_bins`; a demotion in `ops.model_versions`; every check in
`ops.validation_results`.

**Triage**: after a failed expectation the published tables are as they were; the log names the rule, what
was seen, example rows and what to do. Days whose next runs have not happened yet have no outcome: that is
no fault. A model worse than its baseline is demoted and does not make this task fail; `ops.model_versions`
says why.
"""

from airflow.sdk import DAG

from cilake.contracts.kpi.calibration_bins import TABLE as CALIBRATION_BINS
from cilake.contracts.kpi.daily_predictions import TABLE as DAILY_PREDICTIONS
from cilake.contracts.kpi.likely_failures import TABLE as LIKELY_FAILURES
from cilake.contracts.predictions.accuracy import TABLE as ACCURACY
from cilake.contracts.predictions.outcomes import TABLE as OUTCOMES
from cilake.contracts.predictions.test_failure import TABLE as TEST_FAILURE
from cilake_airflow.dag_kit import after, asset_of, dag_defaults
from cilake_airflow.operators.job_operator import CilakeJobOperator

with DAG(
    "measure_predictions",
    schedule=after(TEST_FAILURE),
    doc_md=__doc__,
    **dag_defaults(tier=2, writes="predictions"),
):
    CilakeJobOperator(
        task_id="measure",
        verb=["measure", "test_failure"],
        outlets=[
            asset_of(table)
            for table in (OUTCOMES, ACCURACY, LIKELY_FAILURES, DAILY_PREDICTIONS, CALIBRATION_BINS)
        ],
    )
