"""EMR Serverless: the application, and how a job run is started on it."""

from __future__ import annotations

from typing import Any

from cilake.lake.profiles import spark_catalog
from cilake.render.aws.deployment import AwsDeployment

RELEASE = "emr-spark-8.1.0"
"""Spark 4.1 with Iceberg 1.11, as in the other deployments."""

CONNECTION = "cilake_emr_serverless"
"""The connection that the Airflow back end reads; a test compares both."""

_PYTHON = "./environment/bin/python"
_ICEBERG_EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"


def application(deployment: AwsDeployment) -> dict[str, Any]:
    """Return the input of ``create-application``: it starts with a job, stops when idle and has a ceiling."""
    return {
        "name": deployment.name,
        "releaseLabel": RELEASE,
        "type": "SPARK",
        "autoStartConfiguration": {"enabled": True},
        "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 15},
        "maximumCapacity": {"cpu": "32 vCPU", "memory": "128 GB", "disk": "400 GB"},
        "tags": {"project": deployment.name},
    }


def spark_properties(deployment: AwsDeployment, iceberg_jar: str) -> dict[str, str]:
    """Return the Spark properties of every job run: catalog, Python and settings of the jobs."""
    properties = {
        "spark.jars": iceberg_jar,
        "spark.sql.extensions": _ICEBERG_EXTENSIONS,
        "spark.sql.defaultCatalog": "lake",
        "spark.sql.session.timeZone": "UTC",
        **spark_catalog(deployment.settings),
        "spark.driver.cores": "2",
        "spark.driver.memory": "6g",
        "spark.executor.cores": "4",
        "spark.executor.memory": "12g",
        "spark.dynamicAllocation.maxExecutors": "6",
        "spark.archives": f"{deployment.address('code/environment.tar.gz')}#environment",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": _PYTHON,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": _PYTHON,
        "spark.executorEnv.PYSPARK_PYTHON": _PYTHON,
        "spark.executorEnv.OMP_NUM_THREADS": "1",
    }
    for name, value in deployment.variables.items():
        properties[f"spark.emr-serverless.driverEnv.{name}"] = value
    return properties


def spark_parameters(properties: dict[str, str]) -> str:
    """Return the properties as ``sparkSubmitParameters``; an empty value needs none."""
    return " ".join(f"--conf {name}={value}" for name, value in properties.items() if value)


def overrides(deployment: AwsDeployment) -> dict[str, Any]:
    """Return the configuration overrides of a job run: its logs go to the bucket."""
    log = {"logUri": deployment.address("logs/emr-serverless/")}
    return {"monitoringConfiguration": {"s3MonitoringConfiguration": log}}


def connection(deployment: AwsDeployment, iceberg_jar: str) -> dict[str, Any]:
    """Return the Airflow connection of the back end, as it is stored in Secrets Manager."""
    return {
        "conn_type": "generic",
        "extra": {
            "application_id": deployment.application_id,
            "execution_role_arn": deployment.role("emr-job"),
            "entry_point": deployment.address("code/cilake_job.py"),
            "py_files": deployment.address("code/cilake.zip"),
            "spark_parameters": spark_parameters(spark_properties(deployment, iceberg_jar)),
            "configuration_overrides": overrides(deployment),
            "region_name": deployment.region,
        },
    }
