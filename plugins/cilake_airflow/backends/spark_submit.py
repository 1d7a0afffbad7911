"""The job on a Spark cluster, by ``spark-submit`` through the Spark provider.

Connection ``cilake_spark`` (type spark): host, port and the provider's own extras, and of ours
``application`` (path or address of ``cilake_job.py``), ``py_files`` (the zipped package) and ``conf``.
"""

from __future__ import annotations

from typing import Any

from cilake_airflow.backends.connection import read_connection
from cilake_airflow.backends.job import Job
from cilake_airflow.settings import PluginSettings

CONNECTION = "cilake_spark"
REQUIRED = ("application", "py_files")


class SparkSubmitRun:
    """One submitted application; ``run`` waits for it, ``kill`` ends it."""

    log_address = ""  # Airflow's own log of the task has all of it

    def __init__(self, settings: PluginSettings) -> None:
        self.settings = settings
        self.hook: Any = None

    def run(self, job: Job) -> dict[str, str]:
        """Run the job; return where it ran. Its counts are in the log of the driver.

        Raises:
            AirflowFailException: when the connection is missing or incomplete.
            AirflowException: when the application failed.

        """
        self.hook = build_hook(job, self.settings)
        self.hook.submit(self.hook.application)
        return {"backend": "spark_submit", "name": job.name}

    def kill(self) -> None:
        """End the application."""
        if self.hook is not None:
            self.hook.on_kill()


def build_hook(job: Job, settings: PluginSettings) -> Any:
    """Return the provider's hook for this job, with the ``application`` to submit.

    Raises:
        AirflowFailException: when the connection is missing or does not say what to submit.

    """
    from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook

    connection = read_connection(CONNECTION, REQUIRED)
    extra = connection.extra_dejson
    # On YARN and Kubernetes the hook turns variables into --conf: secrets would be on a command line.
    # There the cluster's own properties file brings the settings.
    on_host = extra.get("deploy-mode", "client") == "client" and not str(connection.host).startswith(
        ("yarn", "k8s")
    )
    hook = SparkSubmitHook(
        conn_id=CONNECTION,
        name=job.name,
        conf=dict(extra.get("conf", {})),
        py_files=extra["py_files"],
        jars=extra.get("jars"),
        properties_file=extra.get("properties_file"),
        application_args=job.arguments,
        # An empty remote selects the classic session: the cluster is the session.
        env_vars={**settings.settings_of(*job.verb), "CILAKE_SPARK_REMOTE": ""}
        if on_host
        else {"CILAKE_SPARK_REMOTE": ""},
    )
    hook.application = extra["application"]
    return hook
