"""Sums up each job's day.

**What**: per job and day the runs, results by status, pass ratio and distinct failing tests.

**Inputs**: `core.ci_runs`, `core.ci_jobs`, `core.test_results`.

**Outputs**: `kpi.daily_job_health`; every check in `ops.validation_results`.

**Triage**: nothing depends on this table but people's dashboards. The days of the runs that changed are
rebuilt whole, so clearing the task is always safe.
"""

from airflow.sdk import DAG

from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.kpi.daily_job_health import TABLE as DAILY_JOB_HEALTH
from cilake_airflow.dag_kit import after, asset_of, dag_defaults
from cilake_airflow.operators.job_operator import CilakeJobOperator

with DAG("report_ci_health", schedule=after(TEST_RESULTS), doc_md=__doc__, **dag_defaults(tier=2)):
    CilakeJobOperator(task_id="build_kpi", verb=["build", "kpi"], outlets=[asset_of(DAILY_JOB_HEALTH)])
