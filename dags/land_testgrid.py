"""Lands what TestGrid publishes.

**What**: once a day, requests the summaries and tables of the configured dashboards and stores
what is new or changed, exactly as received.

**Inputs**: the TestGrid API (setting `CILAKE_TESTGRID_URL`, dashboards `CILAKE_TESTGRID_DASHBOARDS`).

**Outputs**: `raw.testgrid__summaries`, `raw.testgrid__tables`; a row per request in `ops.fetches`; one
receipt per dashboard and day in `ops.receipts`, of which `ops.latest_receipts` keeps the newest; what could
not be read in `ops.quarantine`.

**Triage**: the last line of the log says why. *Does not respond* means that the source is down: clear the
task when it is back, nothing is lost and nothing is stored twice. *Has not begun*, *no dashboard* and
settings are not tried again: correct them, then clear. *Are rejected* means that the format changed: read
`ops.quarantine` of that day. `ops.receipts` says what is missing. To fetch past days again, start a
backfill (it reprocesses what is derived, too).
"""

from cilake_airflow.dag_kit import DEFAULT_POOL, each_day, job_dag

dag = job_dag("land_testgrid", doc=__doc__, schedule=each_day(), tier=1, pool=DEFAULT_POOL)
