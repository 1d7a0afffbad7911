"""Sums up each job's day, each test's week and which tests fail together.

**What**: per job and day the runs, results by status, pass ratio and distinct failing tests; per job, test
and week the flakes, flips, fixes and failing stretches; per week the pairs of tests that fail together.

**Inputs**: `core.ci_runs`, `core.ci_jobs`, `core.tests`, `core.test_results`.

**Outputs**: `kpi.daily_job_health`, `kpi.weekly_test_health`, `kpi.failing_pairs`; every check in
`ops.validation_results`.

**Triage**: nothing depends on these tables but people's dashboards. The days and weeks of the runs that
changed are rebuilt whole, so clearing the task is always safe. After a failed expectation the published
tables are as they were; the log names the rule, what was seen, example rows and what to do.
"""

from cilake_airflow.dag_kit import after, job_dag

dag = job_dag("build_kpi_ci_health", doc=__doc__, schedule=after("core.test_results"), tier=2)
