"""Turns landed payloads into jobs, runs, tests and results.

**What**: decodes the payloads that are not built yet, whatever day they were landed for, adds what they show
anew to the observations, writes what changes to a branch of each table, checks it there and publishes it.

**Inputs**: `raw.testgrid__tables`.

**Outputs**: `core.tests`, `core.ci_jobs`, `core.ci_run_observations`, `core.test_results`, `core.ci_runs`;
every check in `ops.validation_results`, what cannot be read in `ops.quarantine`.

**Triage**: a failed expectation leaves the published tables as they were; the rule, what was seen, example
rows and what to do are at the end of the log and in `ops.validation_results`. Fix the rule or the transform
and clear the task. Running a day again changes nothing when its inputs did not change.
"""

from airflow.sdk import DAG

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.raw.testgrid__tables import TABLE as TESTGRID_TABLES
from cilake_airflow.dag_kit import after, asset_of, dag_defaults
from cilake_airflow.operators.job_operator import CilakeJobOperator

with DAG("refine_ci", schedule=after(TESTGRID_TABLES), doc_md=__doc__, **dag_defaults(tier=1, writes="core")):
    CilakeJobOperator(
        task_id="build_core",
        verb=["build", "core"],
        outlets=[
            asset_of(TESTS),
            asset_of(CI_JOBS),
            asset_of(OBSERVATIONS),
            asset_of(TEST_RESULTS),
            asset_of(CI_RUNS),
        ],
    )
