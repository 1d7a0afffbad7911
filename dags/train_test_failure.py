"""Trains the failure model and lets the gate decide.

**What**: once a week trains on all results known by the end of the day, evaluates on a later window than it
trained on, and promotes the version only if it surely beats the baselines and the champion.

**Inputs**: `core.test_results`, `core.ci_runs`.

**Outputs**: one row in `ops.model_versions`, and the artifact it names.

**Triage**: *not promoted* is an answer, not a failure: who served before goes on serving,
`gate_reasons` says why. *not trained* in the log is one, too: there is too little history, which the task's
return value names as `reason`, and nothing is registered. To train for another day, trigger with its
partition key.
"""

from airflow.sdk import DAG

from cilake.contracts.ops.model_versions import TABLE as MODEL_VERSIONS
from cilake_airflow.dag_kit import asset_of, dag_defaults, each_week
from cilake_airflow.operators.job_operator import CilakeJobOperator

with DAG(
    "train_test_failure",
    schedule=each_week(),
    doc_md=__doc__,
    **dag_defaults(tier=3, writes="ops", by_clock=True),
):
    CilakeJobOperator(task_id="train", verb=["train", "test_failure"], outlets=[asset_of(MODEL_VERSIONS)])
