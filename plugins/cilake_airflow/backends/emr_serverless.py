"""The job on EMR Serverless, through the Amazon provider.

Connection ``cilake_emr_serverless`` (type generic), extra: ``application_id``, ``execution_role_arn``,
``entry_point`` (address of ``cilake_job.py``), ``py_files``, and optionally ``spark_parameters``,
``configuration_overrides``, ``aws_conn_id``, ``region_name``, ``waiter_delay``, ``waiter_max_attempts``.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk.exceptions import AirflowException

from cilake_airflow.backends.connection import read_connection
from cilake_airflow.backends.job import Job
from cilake_airflow.settings import PluginSettings

CONNECTION = "cilake_emr_serverless"
REQUIRED = ("application_id", "execution_role_arn", "entry_point", "py_files")
WAITER_DELAY_SECONDS = 30
WAITER_MAX_ATTEMPTS = 240

log = logging.getLogger(__name__)


class EmrServerlessRun:
    """One job run; ``run`` waits for it, ``kill`` cancels it."""

    def __init__(self, settings: PluginSettings) -> None:
        self.settings = settings
        self.hook: Any = None
        self.job_run_id: str | None = None
        self.application_id = ""
        self.overrides: dict[str, Any] = {}

    def run(self, job: Job) -> dict[str, str]:
        """Run the job; return where it ran. Its counts are in the log of the driver.

        Raises:
            AirflowFailException: when the connection is missing or incomplete.
            AirflowException: when the job failed or the wait was too long.

        """
        from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook
        from airflow.providers.amazon.aws.utils.waiter_with_logging import wait

        extra = connection_extra()
        self.application_id = extra["application_id"]
        self.overrides = extra.get("configuration_overrides") or {}
        self.hook = EmrServerlessHook(
            aws_conn_id=extra.get("aws_conn_id", "aws_default"), region_name=extra.get("region_name")
        )
        self.job_run_id = self.submit(job, extra)
        log.info("job run %s: started in application %s", self.job_run_id, self.application_id)
        wait(
            waiter=self.hook.get_waiter("serverless_job_completed"),
            waiter_delay=int(extra.get("waiter_delay", WAITER_DELAY_SECONDS)),
            waiter_max_attempts=int(extra.get("waiter_max_attempts", WAITER_MAX_ATTEMPTS)),
            args={"applicationId": self.application_id, "jobRunId": self.job_run_id},
            failure_message=f"EMR Serverless job run {self.job_run_id} failed",
            status_message="job run state",
            status_args=["jobRun.state", "jobRun.stateDetails"],
        )
        return {
            "backend": "emr_serverless",
            "application_id": self.application_id,
            "job_run_id": self.job_run_id,
        }

    def submit(self, job: Job, extra: dict[str, Any]) -> str:
        """Submit the job run of this try, unless one of an earlier try is alive or done; return its id.

        For a repeated client token the service returns the run it already started. So a retry sends the
        tokens of the tries before it and goes on to its own only when theirs ended without success.
        """
        for attempt in range(1, job.attempt + 1):
            started = self.hook.conn.start_job_run(
                applicationId=self.application_id, **start_arguments(job, extra, attempt)
            )
            self.job_run_id = job_run_id = str(started["jobRunId"])
            if attempt == job.attempt:
                return job_run_id
            answer = self.hook.conn.get_job_run(applicationId=self.application_id, jobRunId=job_run_id)
            state = answer["jobRun"]["state"]
            if state not in self.hook.JOB_FAILURE_STATES:
                log.info("job run %s: joined, of try %s, %s", job_run_id, attempt, state)
                return job_run_id
            log.info("job run %s: of try %s, %s", job_run_id, attempt, state)
        raise AirflowException(f"attempt {job.attempt} is not a try")

    @property
    def log_address(self) -> str:
        """The log in the console of AWS when the connection's overrides send it to S3; otherwise empty."""
        from airflow.providers.amazon.aws.links.emr import EmrServerlessS3LogsLink

        monitoring = self.overrides.get("monitoringConfiguration", {})
        log_uri = monitoring.get("s3MonitoringConfiguration", {}).get("logUri")
        if not log_uri or not self.job_run_id:
            return ""
        link = EmrServerlessS3LogsLink()
        return link.format_link(
            aws_domain=link.get_aws_domain(self.hook.conn_partition),
            region_name=self.hook.conn_region_name,
            log_uri=log_uri,
            application_id=self.application_id,
            job_run_id=self.job_run_id,
        )

    def kill(self) -> None:
        """Cancel the job run."""
        if self.hook is not None and self.job_run_id:
            log.warning("job run %s: cancelling", self.job_run_id)
            self.hook.conn.cancel_job_run(applicationId=self.application_id, jobRunId=self.job_run_id)


def connection_extra() -> dict[str, Any]:
    """Return what the connection says; see ``read_connection`` for what it raises."""
    extra: dict[str, Any] = read_connection(CONNECTION, REQUIRED).extra_dejson
    return extra


def start_arguments(job: Job, extra: dict[str, Any], attempt: int) -> dict[str, Any]:
    """Return the arguments of ``StartJobRun`` for one attempt; equal attempts give equal arguments."""
    parameters = f"--py-files {extra['py_files']} {extra.get('spark_parameters', '')}".strip()
    arguments = {
        "clientToken": job.token(attempt),
        "executionRoleArn": extra["execution_role_arn"],
        "name": job.name,
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": extra["entry_point"],
                "entryPointArguments": job.arguments,
                "sparkSubmitParameters": parameters,
            }
        },
        "tags": {"dag_id": job.dag_id, "day": job.day.isoformat()},
    }
    if extra.get("configuration_overrides"):
        arguments["configurationOverrides"] = extra["configuration_overrides"]
    return arguments
