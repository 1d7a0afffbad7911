from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.airflow

EXTRA = {
    "application_id": "00abc",
    "execution_role_arn": "arn:aws:iam::123456789012:role/cilake",
    "entry_point": "s3://code/cilake_job.py",
    "py_files": "s3://code/cilake.zip",
    "spark_parameters": "--conf spark.executor.memory=4g",
    "waiter_delay": 0,
    "waiter_max_attempts": 3,
    "region_name": "us-east-1",
}
ARN = "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00abc/jobruns/"
TASK = {"dag_id": "build_core_ci", "run_id": "r1", "task_id": "build_core"}


@pytest.fixture
def aws(monkeypatch):
    import boto3
    from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook
    from botocore.stub import Stubber

    connection = {"conn_type": "generic", "extra": EXTRA}
    monkeypatch.setenv("AIRFLOW_CONN_CILAKE_EMR_SERVERLESS", json.dumps(connection))
    client = boto3.client(
        "emr-serverless", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    monkeypatch.setattr(EmrServerlessHook, "conn", property(lambda self: client))
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def backend():
    from cilake_airflow.backends.emr_serverless import EmrServerlessRun
    from cilake_airflow.settings import read_settings

    return EmrServerlessRun(read_settings())


def job(attempt=1):
    from cilake_airflow.backends.job import Job

    return Job(verb=("build", "core_ci"), day=date(2026, 3, 1), attempt=attempt, **TASK)


def will_start(aws, attempt, job_run_id):
    """For a known token the service returns the run that it started."""
    answer = {
        "applicationId": "00abc",
        "jobRunId": job_run_id,
        "arn": ARN + job_run_id,
    }
    wanted = {
        "applicationId": "00abc",
        "clientToken": job().token(attempt),
        "executionRoleArn": EXTRA["execution_role_arn"],
        "name": "cilake build core_ci 2026-03-01",
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": "s3://code/cilake_job.py",
                "entryPointArguments": ["build", "core_ci", "--start", "2026-03-01", "--end", "2026-03-02"],
                "sparkSubmitParameters": "--py-files s3://code/cilake.zip --conf spark.executor.memory=4g",
            }
        },
        "tags": {"dag_id": "build_core_ci", "day": "2026-03-01"},
    }
    aws.add_response("start_job_run", answer, wanted)


def will_return(aws, job_run_id, state):
    now = datetime(2026, 3, 2, tzinfo=UTC)
    described = {
        "applicationId": "00abc",
        "jobRunId": job_run_id,
        "arn": ARN + job_run_id,
        "createdBy": "arn:aws:iam::123456789012:role/cilake",
        "createdAt": now,
        "updatedAt": now,
        "executionRole": EXTRA["execution_role_arn"],
        "state": state,
        "stateDetails": f"it is {state}",
        "releaseLabel": "emr-7.9.0",
        "jobDriver": {"sparkSubmit": {"entryPoint": "s3://code/cilake_job.py"}},
    }
    aws.add_response("get_job_run", {"jobRun": described}, {"applicationId": "00abc", "jobRunId": job_run_id})


def test_success(aws):
    will_start(aws, 1, "run-1")
    for state in ("PENDING", "RUNNING", "SUCCESS"):
        will_return(aws, "run-1", state)
    answer = backend().run(job())
    assert answer == {"backend": "emr_serverless", "application_id": "00abc", "job_run_id": "run-1"}


def test_failure_is_named(aws):
    from airflow.sdk.exceptions import AirflowException

    will_start(aws, 1, "run-1")
    will_return(aws, "run-1", "FAILED")
    with pytest.raises(AirflowException, match="run-1 failed"):
        backend().run(job())


def test_the_wait_is_bounded(aws):
    from airflow.sdk.exceptions import AirflowException

    will_start(aws, 1, "run-1")
    for _ in range(3):
        will_return(aws, "run-1", "RUNNING")
    with pytest.raises(AirflowException):
        backend().run(job())


def test_a_retry_joins_the_run_its_dead_predecessor_left(aws):
    will_start(aws, 1, "run-1")
    for state in ("RUNNING", "RUNNING", "SUCCESS"):
        will_return(aws, "run-1", state)
    assert backend().run(job(attempt=2))["job_run_id"] == "run-1"


def test_a_retry_takes_the_success_its_dead_predecessor_did_not_see(aws):
    will_start(aws, 1, "run-1")
    for state in ("SUCCESS", "SUCCESS"):
        will_return(aws, "run-1", state)
    assert backend().run(job(attempt=2))["job_run_id"] == "run-1"


def test_a_retry_after_a_failure_submits_once_more(aws):
    will_start(aws, 1, "run-1")
    will_return(aws, "run-1", "FAILED")
    will_start(aws, 2, "run-2")
    will_return(aws, "run-2", "SUCCESS")
    assert backend().run(job(attempt=2))["job_run_id"] == "run-2"


def test_kill_cancels(aws):
    run = backend()
    will_start(aws, 1, "run-1")
    will_return(aws, "run-1", "SUCCESS")
    run.run(job())
    aws.add_response(
        "cancel_job_run",
        {"applicationId": "00abc", "jobRunId": "run-1"},
        {"applicationId": "00abc", "jobRunId": "run-1"},
    )
    run.kill()


def test_a_cleared_task_submits_anew():
    assert replace(job(), cycle=1).token(1) != job().token(1)


def test_an_incomplete_connection_is_named(monkeypatch):
    from airflow.sdk.exceptions import AirflowException

    connection = {"conn_type": "generic", "extra": {"application_id": "00abc"}}
    monkeypatch.setenv("AIRFLOW_CONN_CILAKE_EMR_SERVERLESS", json.dumps(connection))
    with pytest.raises(AirflowException, match="execution_role_arn, entry_point, py_files"):
        backend().run(job())


def test_the_log_is_where_the_overrides_send_it():
    run = backend()
    run.hook = SimpleNamespace(conn_partition="aws", conn_region_name="eu-west-1")
    run.application_id = "00abc"
    logs = {"s3MonitoringConfiguration": {"logUri": "s3://logs/spark/"}}
    for overrides, job_run_id in (({}, "j1"), ({"monitoringConfiguration": logs}, None)):
        run.overrides, run.job_run_id = overrides, job_run_id
        assert run.log_address == "", "Airflow's own page is the log then"
    run.overrides, run.job_run_id = {"monitoringConfiguration": logs}, "j1"
    path = "s3/buckets/logs?region=eu-west-1&prefix=spark/applications/00abc/jobs/j1/"
    assert run.log_address == f"https://console.aws.amazon.com/{path}"
