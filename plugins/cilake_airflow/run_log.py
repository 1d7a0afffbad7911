"""The link to the log of the job, wherever it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from cilake_airflow.addresses import run_page

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class RunLogLink(BaseOperatorLink):
    """The log of the try that ended last.

    Only the task knows where its job ran, so this link belongs to the operator and not to the plugin: the
    task stores the address when a try ends.
    """

    name = "Run log"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the log of the cluster where there is one, else the task's page, which shows the log."""
        if address := getattr(operator, "run_log_address", ""):
            return str(address)
        page = run_page(ti_key.dag_id, ti_key.run_id)
        return f"{page}/tasks/{quote(ti_key.task_id)}?try_number={ti_key.try_number}"
