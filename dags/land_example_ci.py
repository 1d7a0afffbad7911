"""Lands what Example CI publishes: one JSON file for each project, with its newest builds.

**What**: once a day, requests the builds of the configured projects and stores what is new or changed,
exactly as received.

**Inputs**: `GET CILAKE_EXAMPLE_CI_URL/<project>/builds.json` for each of `CILAKE_EXAMPLE_CI_PROJECTS`.

**Outputs**: `raw.example_ci__builds`; a row per request in `ops.fetches`; one receipt per project and day in
`ops.receipts`, of which `ops.latest_receipts` keeps the newest; what could not be read in `ops.quarantine`.

**Triage**: leave the DAG paused where there is no such service. The last line of the log says why it failed:
*does not respond* means that the service is down, clear the task when it is back; settings are not tried
again: correct them, then clear. `ops.receipts` says what is missing.
"""

from cilake_airflow.dag_kit import DEFAULT_POOL, each_day, job_dag

dag = job_dag("land_example_ci", doc=__doc__, schedule=each_day(), tier=1, pool=DEFAULT_POOL)
