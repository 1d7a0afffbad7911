"""A person at Airflow: what the tests do and read through its REST API."""

import http.client
import time
from urllib.parse import quote

from deploy.local.services.airflow_client import Airflow
from tests.support.waiting import wait_until

BY_CLOCK = ("land_testgrid", "train_test_failure", "maintain_lake")
CHAIN = (
    "land_testgrid",
    "build_core_ci",
    "build_kpi_ci_health",
    "score_test_failure",
    "measure_test_failure",
    "build_kpi_predictions",
)


class Operator(Airflow):
    """A person at Airflow."""

    def __init__(self, url, user, password_file, log_folder):
        super().__init__(url, user, password_file)
        self.scheduler_log = log_folder / "airflow-scheduler.log"

    def run(self, dag_id, **body):
        """The id of a new run by hand."""
        return self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, **body})["dag_run_id"]

    def task(self, dag_id, run_id, *states):
        """The only task of the run, once it is in one of the states."""
        return wait_until(
            lambda: next((t for t in self.tasks(dag_id, run_id) if t["state"] in states), None),
            lambda: self.situation(dag_id, run_id),
        )

    def situation(self, dag_id, run_id):
        """What a person would look up about a run that does not end."""
        active = [(dag, run["dag_run_id"], run["state"]) for dag, run in self.active((*CHAIN, *BY_CLOCK))]
        last_lines = self.scheduler_log.read_text(errors="replace").splitlines()[-60:]
        return "\n".join([f"tasks: {self.tasks(dag_id, run_id)}", f"active: {active}", *last_lines])

    def log(self, dag_id, run_id, task):
        """What is logged of the task's last try, without the marks for folding."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task['task_id']}/logs"
        content = self.call("GET", f"{path}/{task['try_number']}?full_content=true")["content"]
        return [entry for entry in content if not entry["event"].startswith("::")]

    def log_with(self, part, dag_id, run_id, task, seconds=60):
        """The log of the last try once it has the part: the state is known before all of the log is."""
        deadline = time.monotonic() + seconds
        while part not in (log := self.log_tail(dag_id, run_id, task, lines=200)):
            assert time.monotonic() < deadline, f"the log of {task} lacks {part!r}:\n{log}"
            time.sleep(0.3)
        return log

    def page(self, path, **headers):
        """Status, headers and text of a path that is sent as it is written."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()

    def own_page(self, path):
        """The same, as somebody who is logged in."""
        self.call("GET", "/pools")
        return self.page(path, Authorization=f"Bearer {self._token}")
