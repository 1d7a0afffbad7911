"""Lands what TestGrid publishes.

**What**: once a day, asks TestGrid for the summaries and tables of the configured dashboards and stores
what is new or changed, exactly as received.

**Inputs**: the TestGrid API (setting `CILAKE_TESTGRID_URL`, dashboards `CILAKE_TESTGRID_DASHBOARDS`).

**Outputs**: `raw.testgrid__summaries`, `raw.testgrid__tables`; a row per request in `ops.fetches`; one
receipt per dashboard and day in `ops.receipts`, of which `ops.latest_receipts` keeps the newest; what could
not be read in `ops.quarantine`.

**Triage**: the last line of the log says why. *Does not answer* means that the source is down: clear the task
when it is back, nothing is lost and nothing is stored twice. *Has not begun*, *no dashboard* and settings
are not tried again: correct them, then clear. *Are rejected* means that the format changed: read
`ops.quarantine` of that day. `ops.receipts` says what is missing. To fetch past days again, start a
backfill (it reprocesses what is derived, too).
"""

from airflow.sdk import DAG

from cilake.contracts.ops.fetches import TABLE as FETCHES
from cilake.contracts.ops.latest_receipts import TABLE as LATEST_RECEIPTS
from cilake.contracts.ops.quarantine import TABLE as QUARANTINE
from cilake.contracts.ops.receipts import TABLE as RECEIPTS
from cilake.contracts.raw.testgrid__summaries import TABLE as SUMMARIES
from cilake.contracts.raw.testgrid__tables import TABLE as TABLES
from cilake_airflow.dag_kit import DEFAULT_POOL, asset_of, dag_defaults, each_day
from cilake_airflow.operators.job_operator import CilakeJobOperator

with DAG(
    "ingest_testgrid",
    schedule=each_day(),
    doc_md=__doc__,
    **dag_defaults(tier=1, writes="raw", by_clock=True, pool=DEFAULT_POOL),
):
    CilakeJobOperator(
        task_id="land_testgrid",
        verb=["land", "testgrid"],
        outlets=[
            asset_of(SUMMARIES),
            asset_of(TABLES),
            asset_of(FETCHES),
            asset_of(RECEIPTS),
            asset_of(LATEST_RECEIPTS),
            asset_of(QUARANTINE),
        ],
    )
