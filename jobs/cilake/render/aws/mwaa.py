"""Amazon MWAA: the options, start-up script and requirements of the environment."""

from __future__ import annotations

import json

from cilake.render.aws.deployment import AwsDeployment

AIRFLOW_VERSION = "3.2"
"""The version that the DAGs are parsed with, besides the one of the other deployments."""

POOLS = {
    "spark": {
        "slots": 2,
        "description": "Tasks that use Spark: as many at a time as the cluster has room for",
        "include_deferred": False,
    }
}
"""The pools of the DAGs; a test compares them with ``deploy/airflow/pools.json``."""

BACKEND = "airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend"


def secrets_prefix(deployment: AwsDeployment) -> str:
    """Return the prefix of the names of our connections in Secrets Manager."""
    return f"{deployment.name}/airflow/connections"


def options(deployment: AwsDeployment) -> dict[str, str]:
    """Return the Airflow configuration options of the environment."""
    # Only our connections are looked up: any other name would be a call that the role may not make.
    lookup = {
        "connections_prefix": secrets_prefix(deployment),
        "connections_lookup_pattern": "^cilake_",
        "variables_prefix": None,
        "config_prefix": None,
    }
    return {
        "secrets.backend": BACKEND,
        "secrets.backend_kwargs": json.dumps(lookup),
        "core.load_examples": "False",
        "core.max_active_tasks_per_dag": "4",
        "api.expose_config": "False",
        "dag_processor.refresh_interval": "60",
    }


def startup(deployment: AwsDeployment) -> str:
    """Return the start-up script: which back end runs the jobs."""
    lines = ["#!/bin/sh", "# Read by every component of the environment before it starts."]
    lines += ["export CILAKE_BACKEND=emr_serverless", f"export AWS_DEFAULT_REGION={deployment.region}"]
    return "\n".join(lines) + "\n"


def requirements() -> str:
    """Return the requirements of the environment: the provider of the back end, in the version it brings."""
    return (
        "# The environment's own constraints choose the versions. Spark and the models run on EMR\n"
        "# Serverless in a separate environment: nothing of them is installed here.\n"
        "apache-airflow-providers-amazon\n"
    )


def environment(deployment: AwsDeployment) -> dict[str, object]:
    """Return the input of ``create-environment``; the network is to be filled in."""
    return {
        "Name": deployment.name,
        "AirflowVersion": f"{AIRFLOW_VERSION}.1",
        "EnvironmentClass": "mw1.small",
        "MaxWorkers": 2,
        "SourceBucketArn": f"arn:aws:s3:::{deployment.bucket}",
        "DagS3Path": "airflow/dags",
        "PluginsS3Path": "airflow/plugins.zip",
        "RequirementsS3Path": "airflow/requirements.txt",
        "StartupScriptS3Path": "airflow/startup.sh",
        "ExecutionRoleArn": deployment.role("mwaa"),
        "AirflowConfigurationOptions": options(deployment),
        "WebserverAccessMode": "PRIVATE_ONLY",
        "LoggingConfiguration": {
            name: {"Enabled": True, "LogLevel": "INFO"}
            for name in ("DagProcessingLogs", "SchedulerLogs", "TaskLogs", "WebserverLogs", "WorkerLogs")
        },
        "NetworkConfiguration": {"SubnetIds": [], "SecurityGroupIds": []},
    }


def pool_requests(deployment: AwsDeployment) -> dict[str, dict[str, object]]:
    """Return the input of ``aws mwaa invoke-rest-api`` that makes each pool, by the name of the pool."""
    return {
        name: {"Name": deployment.name, "Method": "POST", "Path": "/pools", "Body": {"name": name, **pool}}
        for name, pool in POOLS.items()
    }
