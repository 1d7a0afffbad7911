"""``cilake render aws``: every file that a lake on AWS is made with."""

from __future__ import annotations

import json
from pathlib import Path

from cilake.render.aws import emr_serverless, iam, mwaa
from cilake.render.aws.deployment import UNKNOWN_APPLICATION, AwsDeployment
from cilake.settings import SettingsError

ICEBERG_JAR = "/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar"
"""Where the releases of EMR document their own Iceberg; ``--iceberg-jar`` names another address."""


def files(deployment: AwsDeployment, iceberg_jar: str = ICEBERG_JAR) -> dict[str, str]:
    """Return the contents of every file by its path; the same deployment gives the same files."""
    run = {
        "applicationId": deployment.application_id,
        "executionRoleArn": deployment.role("emr-job"),
        "name": f"{deployment.name} bootstrap",
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": deployment.address("code/cilake_job.py"),
                "entryPointArguments": ["bootstrap"],
                "sparkSubmitParameters": f"--py-files {deployment.address('code/cilake.zip')} "
                + emr_serverless.spark_parameters(emr_serverless.spark_properties(deployment, iceberg_jar)),
            }
        },
        "configurationOverrides": emr_serverless.overrides(deployment),
    }
    secret = f"secrets/{mwaa.secrets_prefix(deployment)}/{emr_serverless.CONNECTION}.json"
    pools = {
        f"mwaa/pool-{name}.json": _json(request) for name, request in mwaa.pool_requests(deployment).items()
    }
    return pools | {
        "settings.env": "".join(f"{name}={value}\n" for name, value in deployment.variables.items()),
        "emr-serverless/application.json": _json(emr_serverless.application(deployment)),
        "emr-serverless/bootstrap-job-run.json": _json(run),
        secret: _json(emr_serverless.connection(deployment, iceberg_jar)),
        "mwaa/environment.json": _json(mwaa.environment(deployment)),
        "mwaa/requirements.txt": mwaa.requirements(),
        "mwaa/startup.sh": mwaa.startup(deployment),
        "iam/emr-job.json": _json(iam.emr_job(deployment)),
        "iam/emr-job-trust.json": _json(iam.trust(deployment, "emr-serverless")),
        "iam/mwaa.json": _json(iam.mwaa(deployment)),
        "iam/mwaa-trust.json": _json(iam.trust(deployment, "airflow")),
        "iam/analyst.json": _json(iam.analyst(deployment)),
    }


def render_aws(deployment: AwsDeployment, folder: Path, iceberg_jar: str = ICEBERG_JAR) -> list[str]:
    """Write the files under ``folder``, in place of those of the same name; return their paths."""
    rendered = files(deployment, iceberg_jar)
    for name, text in rendered.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return sorted(rendered)


def render(
    out: Path,
    account: str,
    region: str,
    bucket: str,
    catalog: str,
    name: str,
    application_id: str | None,
    iceberg_jar: str | None,
) -> dict[str, object]:
    """Write the files of a lake on AWS into a folder; return their paths.

    Raises:
        SettingsError: when a name is not of the form that AWS requires, or the folder cannot be written to.

    """
    application = application_id or UNKNOWN_APPLICATION
    deployment = AwsDeployment(account, region, bucket, name, catalog, application)
    try:
        return {"folder": str(out), "files": render_aws(deployment, out, iceberg_jar or ICEBERG_JAR)}
    except OSError as error:
        raise SettingsError(f"cannot write to --out {out}: {error.strerror}") from error


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
