"""The one operator: a verb of the command, for one day, on the back end of this deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.log import mask_secret

from cilake_airflow.backends.connect import ConnectRun
from cilake_airflow.backends.emr_serverless import EmrServerlessRun
from cilake_airflow.backends.job import DayError, Job, WorkError, parse_day
from cilake_airflow.backends.spark_submit import SparkSubmitRun
from cilake_airflow.retries import PERMANENT, UnlessPermanent
from cilake_airflow.run_log import RunLogLink
from cilake_airflow.settings import SettingsError, read_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

RUNS = {"connect": ConnectRun, "spark_submit": SparkSubmitRun, "emr_serverless": EmrServerlessRun}

# The key is how the day travels; the parameter is for runs without one (by hand, `dag.test`).
DAY = "{{ dag_run.partition_key or params.get('day') or '' }}"


class CilakeJobOperator(BaseOperator):
    """Runs ``cilake <verb> --start DAY --end DAY+1`` and returns the counts it printed.

    Args:
        verb: the verb and its object, such as ``["build", "core_ci"]``.
        day: the day to process; by default the run's partition key, else its parameter ``day``.

    """

    template_fields: Sequence[str] = ("verb", "day")
    operator_extra_links = (RunLogLink(),)  # those of the plugin join it
    ui_color = "#d7e8f4"

    def __init__(self, *, verb: Sequence[str], day: str = DAY, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verb = list(verb)
        self.day = day
        self._run: ConnectRun | SparkSubmitRun | EmrServerlessRun | None = None
        if hasattr(self, "retry_policy"):  # from Airflow 3.3 on
            self.retry_policy = self.retry_policy or UnlessPermanent()

    def execute(self, context: Context) -> Any:
        """Run the job and return its counts.

        Raises:
            SystemExit: when it failed. Airflow decides about another try as after an exception, but logs no
                traceback: the log ends with the line that says why.
            AirflowFailException: on Airflow 3.2 instead, when another try would fail, too.

        """
        try:
            settings = read_settings()
            job = self.job_of(context)
            for secret in settings.secrets:
                mask_secret(secret)
            self._run = RUNS[settings.backend](settings)
            return self._run.run(job)
        except (DayError, SettingsError, AirflowFailException) as error:
            self.log.error("%s", error)
            raise self._ended(error, PERMANENT) from error
        except WorkError as error:
            raise self._ended(error, error.exit_code or 1) from error

    def _ended(self, error: Exception, exit_code: int) -> BaseException:
        """Return what ends the task for an error that is in the log already."""
        if exit_code == PERMANENT and not getattr(self, "retry_policy", None):
            return AirflowFailException(str(error))
        return SystemExit(exit_code)

    def job_of(self, context: Context) -> Job:
        """Return the job of this try; clearing a task starts a new cycle of tries."""
        ti = context["ti"]
        cycle = max(0, (ti.max_tries or 0) - (self.retries or 0))
        return Job(
            verb=tuple(self.verb),
            day=parse_day(str(self.day)),
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            cycle=cycle,
            attempt=max(1, ti.try_number - cycle),
        )

    @property
    def run_log_address(self) -> str:
        """Where the cluster keeps the log of the try that ran here; empty when Airflow has it all."""
        return self._run.log_address if self._run is not None else ""

    def on_kill(self) -> None:
        """End the job of this task."""
        if self._run is not None:
            self._run.kill()
