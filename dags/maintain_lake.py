"""Keeps the tables quick to read and the lake small.

**What**: merges the many small files that nights leave in a partition, forgets snapshots older than
`CILAKE_SNAPSHOT_DAYS` (30), and on Sundays removes files that belong to no snapshot, which killed runs leave.

**Inputs**: the files and snapshots of every table.

**Outputs**: the same rows in fewer files. `as_of` and Trino's `FOR VERSION AS OF` reach back as far as the
snapshots do.

**Triage**: tables stay right without it, dashboards grow slow. A table that a run is writing is left for the
next time. If a build fails because a table changed under it, this DAG ran into it, and the build's retry
fixes that. Clearing the task is always safe.
"""

from cilake_airflow.dag_kit import each_morning, job_dag

dag = job_dag("maintain_lake", doc=__doc__, schedule=each_morning(), tier=3)
