"""Where on AWS the lake is: the names everything else is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cilake.settings import Settings, SettingsError

UNKNOWN_APPLICATION = "APPLICATION_ID"
"""The id of the EMR Serverless application until it is created."""

_SHAPES = {
    "account": r"\d{12}",
    "region": r"[a-z]{2}(-[a-z]+)+-\d",
    "bucket": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "name": r"[a-z][a-z0-9-]{1,31}",
    "catalog": r"glue|s3tables",
    "application_id": r"[0-9a-z]{10,20}|" + UNKNOWN_APPLICATION,
}


@dataclass(frozen=True, slots=True)
class AwsDeployment:
    """One lake on AWS: its account, region, bucket and catalog; resources are called ``name``."""

    account: str
    region: str
    bucket: str
    name: str = "cilake"
    catalog: str = "glue"
    application_id: str = UNKNOWN_APPLICATION

    def __post_init__(self) -> None:
        for field, shape in _SHAPES.items():
            value = getattr(self, field)
            if not re.fullmatch(shape, value):
                raise SettingsError(f"--{field.replace('_', '-')} {value!r} is not of the form {shape}")

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of this account in this region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def role(self, part: str) -> str:
        """Return the ARN of one of our roles."""
        return f"arn:aws:iam::{self.account}:role/{self.name}-{part}"

    def objects(self, *folders: str) -> list[str]:
        """Return the ARNs of the objects in these folders of the bucket."""
        return [f"arn:aws:s3:::{self.bucket}/{folder}/*" for folder in folders]

    def address(self, path: str) -> str:
        """Return the address of an object or folder of the bucket."""
        return f"s3://{self.bucket}/{path}"

    @property
    def table_bucket(self) -> str:
        """The ARN of the table bucket, for the catalog ``s3tables``."""
        return self.arn("s3tables", f"bucket/{self.name}")

    @property
    def settings(self) -> Settings:
        """The settings of the jobs of this deployment."""
        return Settings(
            catalog=self.catalog,
            warehouse=self.table_bucket if self.catalog == "s3tables" else self.address("warehouse"),
            s3_region=self.region,
            artifacts=self.address("models"),
        )

    @property
    def variables(self) -> dict[str, str]:
        """The same as ``CILAKE_*`` variables; none of them is a secret."""
        return {
            "CILAKE_CATALOG": self.settings.catalog,
            "CILAKE_WAREHOUSE": self.settings.warehouse,
            "CILAKE_S3_REGION": self.settings.s3_region,
            "CILAKE_ARTIFACTS": self.settings.artifacts,
            "CILAKE_SPARK_REMOTE": "",
        }
