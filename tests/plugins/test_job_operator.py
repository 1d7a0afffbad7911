from __future__ import annotations

import pytest

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def dags():
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from tests.support.airflow_session import DAGS, migrated

    migrated()
    bag = DagBag(str(DAGS))
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, "dags-folder", None)
    return bag.dags


def test_every_dag_runs_for_the_day_of_its_configuration(dags, work):
    for dag in dags.values():
        run = dag.test(logical_date=None, run_conf={"day": "2026-03-01"})
        assert run.state == "success", dag.dag_id
        verb = dag.tasks[0].verb
        assert work.called()["argv"] == [*verb, "--start", "2026-03-01", "--end", "2026-03-02"]
        ti = run.get_task_instance(dag.tasks[0].task_id)
        assert ti.xcom_pull(task_ids=dag.tasks[0].task_id) == {"rows": 7}


def test_a_run_without_a_day_fails_at_once(dags, work):
    from airflow.dag_processing.dagbag import DagBag
    from tests.support.airflow_session import DAGS

    # Read again: a run in this process leaves its parameters in the DAG object.
    run = DagBag(str(DAGS)).dags["build_core_ci"].test(logical_date=None, run_conf={})
    assert run.state == "failed"
    assert not work.record.exists()


@pytest.mark.parametrize("day", ["2026-3-1", "../../etc"])
def test_a_run_for_what_is_no_day_is_not_made(dags, work, day):
    from airflow.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError, match="day"):
        dags["build_core_ci"].test(logical_date=None, run_conf={"day": day})
    assert not work.record.exists()


class Instance:
    dag_id, run_id, task_id = "d", "r", "t"

    def __init__(self, try_number, max_tries):
        self.try_number, self.max_tries = try_number, max_tries


def job(try_number, max_tries):
    from cilake_airflow.operators.job_operator import CilakeJobOperator

    operator = CilakeJobOperator(task_id="t", verb=["build", "core_ci"], day="2026-03-01", retries=2)
    return operator.job_of({"ti": Instance(try_number, max_tries)})


def test_tries_after_a_clear_are_a_new_cycle():
    assert [(job(n, 2).cycle, job(n, 2).attempt) for n in (1, 2, 3)] == [(0, 1), (0, 2), (0, 3)]
    # Cleared after its first try: Airflow counts on and moves the bound.
    assert [(job(n, 3).cycle, job(n, 3).attempt) for n in (2, 3, 4)] == [(1, 1), (1, 2), (1, 3)]


def test_tokens_name_attempts():
    assert job(1, 2).token(1) == job(2, 2).token(1)
    assert job(2, 2).token(1) != job(2, 2).token(2)
    assert job(1, 2).token(1) != job(2, 3).token(1)
    assert len(job(1, 2).token(1)) == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "partition key"),
        ("None", "partition key"),
        ("2026-02-30", "YYYY-MM-DD"),
        ("20260301", "YYYY-MM-DD"),
    ],
)
def test_bad_days(text, message):
    from cilake_airflow.backends.job import DayError, parse_day

    with pytest.raises(DayError, match=message):
        parse_day(text)


def operator(**kwargs):
    from cilake_airflow.operators.job_operator import CilakeJobOperator

    return CilakeJobOperator(task_id="t", day="2026-03-01", **kwargs)


@pytest.mark.parametrize(("verb", "code"), [("fail", 3), ("refuse", 2), ("crash", 1), ("mute", 1)])
def test_a_failure_ends_the_task_with_the_exit_code_of_the_work(work, verb, code):
    with pytest.raises(SystemExit) as caught:
        operator(verb=[verb, "core"]).execute({"ti": Instance(1, 2)})
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "value"), [("CILAKE_BACKEND", "abacus"), ("CILAKE_JOBS_BIN", "/nowhere/cilake")]
)
def test_a_wrong_setting_ends_the_task_for_good_and_is_in_the_log(work, monkeypatch, capsys, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        operator(verb=["build", "core_ci"]).execute({"ti": Instance(1, 2)})
    assert caught.value.code == 2
    assert name in capsys.readouterr().out


def test_only_what_another_try_may_mend_is_tried_again():
    from airflow.sdk.definitions.retry_policy import RetryAction

    decide = operator(verb=["build", "core_ci"]).retry_policy.evaluate
    assert decide(SystemExit(2), 1, 2).action is RetryAction.FAIL
    for error in (SystemExit(1), SystemExit(-9), RuntimeError("lost")):
        assert decide(error, 1, 2).action is RetryAction.DEFAULT


def test_an_airflow_without_retry_policies_is_told_by_an_exception(work):
    from airflow.sdk.exceptions import AirflowFailException

    older = operator(verb=["refuse", "core"])
    older.retry_policy = None
    with pytest.raises(AirflowFailException, match="2026-03-09 has not begun"):
        older.execute({"ti": Instance(1, 2)})
