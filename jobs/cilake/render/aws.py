"""``cilake render aws``: every file that a lake on AWS is made with."""

from __future__ import annotations

import json
from pathlib import Path

from cilake.render import emr_serverless, iam, mwaa
from cilake.render.aws_place import UNKNOWN_APPLICATION, AwsPlace
from cilake.settings import SettingsError

ICEBERG_JAR = "/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar"
"""Where the releases of EMR document their own Iceberg; ``--iceberg-jar`` names another place."""


def files(place: AwsPlace, iceberg_jar: str = ICEBERG_JAR) -> dict[str, str]:
    """Return the contents of every file by its path; the same place gives the same files."""
    run = {
        "applicationId": place.application_id,
        "executionRoleArn": place.role("emr-job"),
        "name": f"{place.name} bootstrap",
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": place.address("code/cilake_job.py"),
                "entryPointArguments": ["bootstrap"],
                "sparkSubmitParameters": f"--py-files {place.address('code/cilake.zip')} "
                + emr_serverless.spark_parameters(emr_serverless.spark_properties(place, iceberg_jar)),
            }
        },
        "configurationOverrides": emr_serverless.overrides(place),
    }
    secret = f"secrets/{mwaa.secrets_prefix(place)}/{emr_serverless.CONNECTION}.json"
    pools = {f"mwaa/pool-{name}.json": _json(request) for name, request in mwaa.pool_requests(place).items()}
    return pools | {
        "settings.env": "".join(f"{name}={value}\n" for name, value in place.variables.items()),
        "emr-serverless/application.json": _json(emr_serverless.application(place)),
        "emr-serverless/bootstrap-job-run.json": _json(run),
        secret: _json(emr_serverless.connection(place, iceberg_jar)),
        "mwaa/environment.json": _json(mwaa.environment(place)),
        "mwaa/requirements.txt": mwaa.requirements(),
        "mwaa/startup.sh": mwaa.startup(place),
        "iam/emr-job.json": _json(iam.emr_job(place)),
        "iam/emr-job-trust.json": _json(iam.trust(place, "emr-serverless")),
        "iam/mwaa.json": _json(iam.mwaa(place)),
        "iam/mwaa-trust.json": _json(iam.trust(place, "airflow")),
        "iam/analyst.json": _json(iam.analyst(place)),
    }


def render_aws(place: AwsPlace, folder: Path, iceberg_jar: str = ICEBERG_JAR) -> list[str]:
    """Write the files under ``folder``, in place of those of the same name; return their paths."""
    rendered = files(place, iceberg_jar)
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
        SettingsError: when a name is not of the form that AWS asks for, or the folder cannot be written to.

    """
    application = application_id or UNKNOWN_APPLICATION
    place = AwsPlace(account, region, bucket, name, catalog, application)
    try:
        return {"folder": str(out), "files": render_aws(place, out, iceberg_jar or ICEBERG_JAR)}
    except OSError as error:
        raise SettingsError(f"cannot write to --out {out}: {error.strerror}") from error


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
