"""Trains the failure model and lets the gate decide.

**What**: once a week trains on all results known by the end of the day, evaluates on a later window than it
trained on, and promotes the version only if it surely beats the baselines and the champion.

**Inputs**: `core.test_results`, `core.ci_runs`, `core.ci_run_observations`, `core.tests`.

**Outputs**: one row in `ops.model_versions`, and the artifact it names.

**Triage**: *not promoted* is a result, not a failure: who served before goes on serving,
`gate_reasons` says why. *not trained* in the log is one, too: there is too little history, which the task's
return value names as `reason`, and nothing is registered. To train for another day, trigger with its
partition key.
"""

from cilake_airflow.dag_kit import each_week, job_dag

dag = job_dag("train_test_failure", doc=__doc__, schedule=each_week(), tier=3)
