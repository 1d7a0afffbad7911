"""The IAM policies, one per role: what it needs and nothing else."""

from __future__ import annotations

from typing import Any

from cilake.contracts.registry import tables
from cilake.render.aws.deployment import AwsDeployment
from cilake.render.aws.emr_serverless import CONNECTION
from cilake.render.aws.mwaa import secrets_prefix

Policy = dict[str, Any]

WITHOUT_RESOURCE = {
    "cloudwatch:PutMetricData",
    "logs:DescribeLogGroups",
    "s3:GetAccountPublicAccessBlock",
}
"""The actions for which AWS knows no resource: they alone may have ``*``."""

_GLUE_READ = ["glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables"]
_GLUE_WRITE = ["glue:CreateDatabase", "glue:CreateTable", "glue:UpdateTable"]
_TABLES_READ = [
    "s3tables:GetNamespace",
    "s3tables:GetTable",
    "s3tables:GetTableBucket",
    "s3tables:GetTableData",
    "s3tables:GetTableMetadataLocation",
    "s3tables:ListNamespaces",
    "s3tables:ListTables",
]
_TABLES_WRITE = [
    "s3tables:CreateNamespace",
    "s3tables:CreateTable",
    "s3tables:PutTableData",
    "s3tables:UpdateTableMetadataLocation",
]


def emr_job(deployment: AwsDeployment) -> Policy:
    """Return what a job run may do: read the code, write tables, models and its log."""
    data = ["models"] if deployment.catalog == "s3tables" else ["warehouse", "models"]
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    return _policy(
        _allow("Code", ["s3:GetObject"], deployment.objects("code")),
        _allow("Data", objects, deployment.objects(*data)),
        _allow("Logs", ["s3:GetObject", "s3:PutObject"], deployment.objects("logs")),
        _list_bucket(deployment, "code", "logs", *data),
        _catalog(deployment, write=True),
    )


def mwaa(deployment: AwsDeployment) -> Policy:
    """Return what Airflow may do: read its files and our connections, run jobs, and what MWAA requires."""
    application = deployment.arn("emr-serverless", f"/applications/{deployment.application_id}")
    log_group = deployment.arn("logs", f"log-group:airflow-{deployment.name}-*")
    queue = f"arn:aws:sqs:{deployment.region}:*:airflow-celery-*"  # in an account of MWAA's own
    secret = deployment.arn("secretsmanager", f"secret:{secrets_prefix(deployment)}/{CONNECTION}-??????")
    logs = [f"logs:{name}" for name in ("CreateLogGroup", "CreateLogStream", "PutLogEvents", "GetLogEvents")]
    logs += ["logs:GetLogRecord", "logs:GetLogGroupFields", "logs:GetQueryResults"]
    queues = ["ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl"]
    queues += ["ReceiveMessage", "SendMessage"]
    return _policy(
        _allow(
            "Metrics",
            ["airflow:PublishMetrics"],
            [deployment.arn("airflow", f"environment/{deployment.name}")],
        ),
        _allow("Files", ["s3:GetObject", "s3:GetObjectVersion"], deployment.objects("airflow")),
        _allow(
            "Bucket",
            ["s3:GetBucketLocation", "s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning"],
            [f"arn:aws:s3:::{deployment.bucket}"],
        ),
        _list_bucket(deployment, "airflow"),
        _allow("AskedByMwaa", sorted(WITHOUT_RESOURCE), ["*"]),
        _allow("Logs", logs, [log_group]),
        _allow("Queue", [f"sqs:{name}" for name in queues], [queue]),
        {
            # The queue is encrypted with a key of MWAA's account, so no key of this account is meant.
            "Sid": "QueueKey",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
            "NotResource": f"arn:aws:kms:*:{deployment.account}:key/*",
            "Condition": {"StringLike": {"kms:ViaService": f"sqs.{deployment.region}.amazonaws.com"}},
        },
        _allow("Connections", ["secretsmanager:GetSecretValue"], [secret]),
        _allow("StartJobs", ["emr-serverless:StartJobRun"], [application]),
        _allow(
            "FollowJobs",
            ["emr-serverless:CancelJobRun", "emr-serverless:GetJobRun", "emr-serverless:TagResource"],
            [f"{application}/jobruns/*"],
        ),
        _allow(
            "HandOverTheJobRole",
            ["iam:PassRole"],
            [deployment.role("emr-job")],
            {"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}},
        ),
    )


def analyst(deployment: AwsDeployment) -> Policy:
    """Return what people may do: read the tables."""
    statements = [_catalog(deployment, write=False)]
    if deployment.catalog == "glue":
        statements += [
            _allow("Data", ["s3:GetObject"], deployment.objects("warehouse")),
            _list_bucket(deployment, "warehouse"),
        ]
    return _policy(*statements)


def trust(deployment: AwsDeployment, service: str) -> Policy:
    """Return who may assume a role: the service, for resources of this account."""
    services = ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]
    if service == "emr-serverless":
        services = ["emr-serverless.amazonaws.com"]
    return _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": services},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": deployment.account}},
        }
    )


def _catalog(deployment: AwsDeployment, *, write: bool) -> dict[str, Any]:
    if deployment.catalog == "s3tables":
        actions = sorted(_TABLES_READ + (_TABLES_WRITE if write else []))
        return _allow("Catalog", actions, [deployment.table_bucket, f"{deployment.table_bucket}/table/*"])
    namespaces = sorted({table.namespace for table in tables().values()})
    resources = [deployment.arn("glue", "catalog")]
    for namespace in namespaces:
        resources += [
            deployment.arn("glue", f"database/{namespace}"),
            deployment.arn("glue", f"table/{namespace}/*"),
        ]
    return _allow("Catalog", sorted(_GLUE_READ + (_GLUE_WRITE if write else [])), resources)


def _list_bucket(deployment: AwsDeployment, *folders: str) -> dict[str, Any]:
    prefixes = [pattern for folder in folders for pattern in (folder, f"{folder}/*")]
    condition = {"StringLike": {"s3:prefix": prefixes}}
    return _allow("List", ["s3:ListBucket"], [f"arn:aws:s3:::{deployment.bucket}"], condition)


def _allow(
    sid: str, actions: list[str], resources: list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | ({"Condition": condition} if condition else {})


def _policy(*statements: dict[str, Any]) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}
