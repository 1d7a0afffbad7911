"""Turns landed payloads into jobs, runs, tests and results.

**What**: decodes the payloads that are not built yet, whatever day they were landed for, adds what is new
to the observations, writes what changes to a branch of each table, checks it there and publishes it.

**Inputs**: the raw tables of all sources that show runs; it follows whichever is new for a day.

**Outputs**: `core.tests`, `core.ci_jobs`, `core.ci_run_observations`, `core.test_results`, `core.ci_runs`;
every check in `ops.validation_results`, what cannot be read in `ops.quarantine`.

**Triage**: a failed expectation leaves the published tables as they were; the rule, what was seen, example
rows and what to do are at the end of the log and in `ops.validation_results`. Fix the rule or the transform
and clear the task. Running a day again changes nothing when its inputs did not change.
"""

from cilake_airflow.dag_kit import after_feeding, job_dag

dag = job_dag("build_core_ci", doc=__doc__, schedule=after_feeding("build_core_ci"), tier=1)
