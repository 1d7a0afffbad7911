from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path

import pytest
from tests.plugins.conftest import ended
from tests.support.waiting import wait_until

pytestmark = pytest.mark.airflow


def backend():
    from cilake_airflow.backends.connect import ConnectRun
    from cilake_airflow.settings import read_settings

    return ConnectRun(read_settings())


def job(*verb):
    from cilake_airflow.backends.job import Job

    return Job(verb=verb, day=date(2026, 2, 28))


def test_success(work, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "hidden")
    monkeypatch.setenv("CILAKE_SPARK_REMOTE", "sc://localhost:1")
    with caplog.at_level("INFO"):
        assert backend().run(job("build", "core_ci")) == {"rows": 7}
    called = work.called()
    assert called["argv"] == ["build", "core_ci", "--start", "2026-02-28", "--end", "2026-03-01"]
    assert called["environ"]["CILAKE_SPARK_REMOTE"] == "sc://localhost:1"
    assert not [name for name in called["environ"] if name.startswith("AIRFLOW")]
    assert "reading 3 tables" in caplog.text


def test_the_work_knows_the_page_of_its_run(work, monkeypatch):
    from cilake_airflow.backends.job import Job

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/ci")
    backend().run(
        Job(verb=("build", "core_ci"), day=date(2026, 2, 28), dag_id="build_core_ci", run_id="a b+00:00")
    )
    page = "https://airflow.example/ci/dags/build_core_ci/runs/a%20b%2B00%3A00"
    assert work.called()["environ"]["CILAKE_RUN_URL"] == page


def test_failure_shows_the_last_lines(work):
    from airflow.sdk.exceptions import AirflowException

    with pytest.raises(AirflowException, match=r"exit code 3(.|\n)*the table is gone"):
        backend().run(job("fail"))


def test_no_json_is_a_failure(work):
    from airflow.sdk.exceptions import AirflowException

    with pytest.raises(AirflowException, match="not json"):
        backend().run(job("mute"))


def test_what_the_work_says_last_is_an_error_in_the_log(work, caplog):
    from cilake_airflow.backends.job import WorkError

    with caplog.at_level("INFO"), pytest.raises(WorkError):
        backend().run(job("fail"))
    levels = {record.getMessage(): record.levelname for record in caplog.records}
    assert levels["reading 3 tables"] == "INFO"
    assert levels["cilake: the table is gone"] == "ERROR"


def test_what_another_try_does_not_mend_is_told_apart(work):
    from cilake_airflow.backends.job import WorkError

    with pytest.raises(WorkError, match="^cilake: 2026-03-09 has not begun$") as caught:
        backend().run(job("refuse"))
    assert caught.value.exit_code == 2


def test_a_fault_of_the_program_is_tried_again_and_shown(work, caplog):
    from cilake_airflow.backends.job import WorkError

    with pytest.raises(WorkError, match=r"exit code 1(.|\n)*IndexError: a fault of the program"):
        backend().run(job("crash"))
    assert caplog.records[-1].levelname == "ERROR"
    assert "IndexError: a fault of the program" in caplog.records[-1].getMessage()


def test_missing_executable(monkeypatch):
    from airflow.sdk.exceptions import AirflowFailException

    monkeypatch.setenv("CILAKE_JOBS_BIN", "/nowhere/cilake")
    with pytest.raises(AirflowFailException, match="CILAKE_JOBS_BIN"):
        backend().run(job("build"))


def test_kill_ends_the_whole_group(work):
    from airflow.sdk.exceptions import AirflowException

    run, failures = backend(), []

    def follow():
        try:
            run.run(job("hang"))
        except AirflowException as error:
            failures.append(str(error))

    thread = threading.Thread(target=follow)
    thread.start()
    wait_until(work.record.exists)
    run.kill()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert "exit code -15" in failures[0]
    wait_until(lambda: all(ended(pid) for pid in work.called()["pids"]))
    run.kill()  # once more is harmless


def test_a_timeout_ends_the_work(work):
    class TooLong(BaseException):
        pass

    def ring(signum, frame):
        raise TooLong

    before = signal.signal(signal.SIGUSR1, ring)
    main = threading.main_thread().ident
    watcher = threading.Thread(
        target=lambda: (wait_until(work.record.exists), signal.pthread_kill(main, signal.SIGUSR1))
    )
    try:
        watcher.start()
        with pytest.raises(TooLong):
            backend().run(job("hang"))
    finally:
        watcher.join()
        signal.signal(signal.SIGUSR1, before)
    wait_until(lambda: all(ended(pid) for pid in work.called()["pids"]))


@pytest.mark.skipif(sys.platform != "linux", reason="the signal on a parent's death is Linux's")
def test_the_work_dies_with_a_killed_task(work):
    code = (
        "from datetime import date\n"
        "from cilake_airflow.backends.connect import ConnectRun\n"
        "from cilake_airflow.backends.job import Job\n"
        "from cilake_airflow.settings import read_settings\n"
        "ConnectRun(read_settings()).run(Job(verb=('hang',), day=date(2026, 1, 1)))\n"
    )
    task = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ), stderr=subprocess.DEVNULL)
    wait_until(work.record.exists)
    task.kill()
    task.wait()
    wait_until(lambda: ended(work.called()["pids"][0]))
    os.kill(work.called()["pids"][1], signal.SIGKILL)  # the sleeper of the fake


def test_a_parent_that_died_first_is_noticed(tmp_path):
    from cilake_airflow.backends import die_with_parent

    marker = tmp_path / "ran"
    command = [sys.executable, die_with_parent.__file__, "1", "touch", str(marker)]
    assert subprocess.run(command, check=False).returncode == 143
    assert not Path(marker).exists()


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("[  12.3 s] warning: the landing is incomplete", "WARNING"),
        ("[  12.3 s] no warning: a line", "INFO"),
        ("cilake: the table is gone", "ERROR"),
    ],
)
def test_a_line_has_the_level_that_the_work_gave_it(line, level):
    import logging

    from cilake_airflow.backends.connect import level_of

    assert logging.getLevelName(level_of(line)) == level
