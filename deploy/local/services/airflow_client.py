"""Airflow's REST API as far as playing nights needs it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local.errors import CONNECTION_ERRORS, StackError

TIMEOUT_SECONDS = 120
"""How long requests to an API that does not respond are repeated: a restart of it takes about 15 s."""

ENDED = ("success", "failed")


class Airflow:
    """A client of one Airflow; it logs in again when its token expires and outlasts a restart."""

    def __init__(self, url: str, user: str, password_file: Path) -> None:
        self.url = url.rstrip("/")
        self.user = user
        self.password_file = password_file
        self._token = ""

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the decoded response, or None for 404 and for 409 (it exists already)."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                if not self._token:
                    self._token = self._log_in()
                return self._send(method, f"/api/v2{path}", body)
            except urllib.error.HTTPError as error:
                problem = f"{error.code} {error.read().decode(errors='replace')[:500]}"
                if error.code in (404, 409):
                    return None
                if error.code == 401:
                    self._token = ""
                elif error.code < 500:
                    raise StackError(f"Airflow refuses {method} {path}: {problem}") from None
            except CONNECTION_ERRORS as error:
                problem = str(error).strip()
            if time.monotonic() > deadline:
                raise StackError(f"Airflow does not respond to {method} {path}: {problem}; see `make status`")
            time.sleep(1)

    def _log_in(self) -> str:
        password = json.loads(self.password_file.read_text())[self.user]
        answer = self._send("POST", "/auth/token", {"username": self.user, "password": password})
        return str(answer["access_token"])

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own loopback address
            text = answer.read()
        return json.loads(text) if text else None

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """Return the DAG, or None while Airflow has not read its file."""
        found: dict[str, Any] | None = self.call("GET", f"/dags/{dag_id}")
        return found

    def import_errors(self) -> list[str]:
        """Return what keeps DAG files from loading."""
        answer = self.call("GET", "/importErrors") or {}
        return [f"{each['filename']}: {each['stack_trace']}" for each in answer.get("import_errors", [])]

    def pause(self, dag_id: str, paused: bool) -> None:
        """Pause or unpause the DAG."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    def trigger(self, dag_id: str, day: str) -> str:
        """Start a run for this day and return its id; a repeated send does not start a second one."""
        run_id = f"nights__{day}__{time.time_ns()}"
        body = {
            "dag_run_id": run_id,
            "logical_date": None,
            "partition_key": day,
            "note": "played by make nights",
        }
        self.call("POST", f"/dags/{dag_id}/dagRuns", body)
        return run_id

    def runs(self, dag_id: str, day: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the latest hundred runs of a DAG by id, only those of the day when one is given."""
        of_day = f"&partition_key_pattern={day}" if day else ""
        answer = self.call("GET", f"/dags/{dag_id}/dagRuns?limit=100&order_by=-run_after{of_day}") or {}
        found = answer.get("dag_runs", [])
        return {run["dag_run_id"]: run for run in found if day is None or run["partition_key"] == day}

    def active(self, dag_ids: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
        """Return the runs of these DAGs that have not ended."""
        return [(dag, run) for dag in dag_ids for run in self.runs(dag).values() if run["state"] not in ENDED]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        path = f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances"
        return list((self.call("GET", path) or {}).get("task_instances", []))

    def returned(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return what the tasks of a run returned, merged."""
        merged: dict[str, Any] = {}
        for task in self.tasks(dag_id, run_id):
            path = f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances/{task['task_id']}"
            value = (self.call("GET", f"{path}/xcomEntries/return_value") or {}).get("value")
            if isinstance(value, str):
                value = json.loads(value)
            merged |= value if isinstance(value, dict) else {}
        return merged

    def log_tail(self, dag_id: str, run_id: str, task: Mapping[str, Any], lines: int = 40) -> str:
        """Return the last lines of a task's last try."""
        path = f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances/{task['task_id']}"
        answer = self.call("GET", f"{path}/logs/{max(1, task['try_number'])}?full_content=true") or {}
        content = answer.get("content", [])
        entries = [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
        events = [str(each.get("event", "")) for each in entries]
        for each in entries:
            events += [
                f"{one.get('exc_type')}: {one.get('exc_value')}" for one in each.get("error_detail") or []
            ]
        # Folding marks of the log page and frames of Java say nothing here.
        kept = [line for line in "\n".join(events).splitlines() if not line.startswith(("::", "\tat "))]
        return "\n".join(kept[-lines:])
