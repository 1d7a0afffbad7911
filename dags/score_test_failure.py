"""Predicts which tests fail in the next run of their job.

**What**: one prediction per test that was recently seen in a job, as of the end of the day, by the promoted
model; while none is promoted the baseline forecasts.

**Inputs**: `core.test_results`, `core.ci_runs`, `core.ci_run_observations`, `core.tests`, `ops.fetches`,
`ops.model_versions`.

**Outputs**: `predictions.test_failure`, an append-only ledger; every check in `ops.validation_results`.

**Triage**: after a failed expectation nothing was added to the ledger; the log names the rule, what was
seen, example rows and what to do. A prediction is never changed: a second run for a day in the ledger adds
nothing. If the artifact cannot be read (hash or type not allowed), train again for the day before
with `train_test_failure`, then clear. *Has not been landed* or *are not built*: land and
build that day first.
"""

from cilake_airflow.dag_kit import after, job_dag

dag = job_dag("score_test_failure", doc=__doc__, schedule=after("core.test_results"), tier=2)
