"""Sums up each job's day, each test's week and which tests fail together.

**What**: per job and day the runs, results by status, pass ratio and distinct failing tests; per job, test
and week the flakes, flips, fixes and failing stretches; per week the pairs of tests that fail together.

**Inputs**: `core.ci_runs`, `core.ci_jobs`, `core.tests`, `core.test_results`.

**Outputs**: `kpi.daily_job_health`, `kpi.weekly_test_health`, `kpi.failing_pairs`; every check in
`ops.validation_results`.

**Triage**: nothing depends on these tables but people's dashboards. The days and weeks of the runs that
changed are rebuilt whole, so clearing the task is always safe. After a failed expectation the published
tables are as they were; the log names the rule, what was seen, example rows and what to do.
"""

from airflow.sdk import DAG

from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.kpi.daily_job_health import TABLE as DAILY_JOB_HEALTH
from cilake.contracts.kpi.failing_pairs import TABLE as FAILING_PAIRS
from cilake.contracts.kpi.weekly_test_health import TABLE as WEEKLY_TEST_HEALTH
from cilake_airflow.dag_kit import after, asset_of, dag_defaults
from cilake_airflow.operators.job_operator import CilakeJobOperator

with DAG(
    "report_ci_health", schedule=after(TEST_RESULTS), doc_md=__doc__, **dag_defaults(tier=2, writes="kpi")
):
    CilakeJobOperator(
        task_id="build_kpi",
        verb=["build", "kpi"],
        outlets=[asset_of(DAILY_JOB_HEALTH), asset_of(WEEKLY_TEST_HEALTH), asset_of(FAILING_PAIRS)],
    )
