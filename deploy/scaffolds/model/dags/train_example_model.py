"""EXAMPLE: Trains a challenger.

**What**: replace this by what the step does.

**Inputs**: `core.test_results`, `core.ci_runs`, `core.ci_run_observations`.

**Outputs**: `ops.model_versions` and the artifact that it names.

**Triage**: *not trained* (too little history) and *not promoted* are results.
"""

from cilake_airflow.dag_kit import each_week, job_dag

dag = job_dag("train_example_model", doc=__doc__, schedule=each_week(), tier=3)
