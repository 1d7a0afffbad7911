"""What `cilake render aws` writes: complete, consistent with the code that reads it, and least privilege."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from cilake.cli import main
from cilake.contracts.registry import tables
from cilake.lake.session import spark_conf
from cilake.render.aws import emr_serverless, iam, mwaa, write
from cilake.render.aws.deployment import AwsDeployment
from cilake.settings import SettingsError, read_settings

REPO = Path(__file__).resolve().parents[2]
GLUE = AwsDeployment("123456789012", "eu-central-1", "team-lake", application_id="00abcdefghijkl01")
S3TABLES = AwsDeployment("123456789012", "eu-central-1", "team-lake", catalog="s3tables")
BOTH = pytest.mark.parametrize("deployment", [GLUE, S3TABLES], ids=["glue", "s3tables"])
POLICIES = {"emr-job": iam.emr_job, "mwaa": iam.mwaa, "analyst": iam.analyst}


def constants(path):
    """The constants of a module of the plugin, which cannot be imported without Airflow."""
    tree = ast.parse((REPO / "plugins/cilake_airflow" / path).read_text())
    assigned = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Tuple)
    ]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in assigned}


def statements(policy):
    return policy["Statement"]


def actions(policy):
    return {action for statement in statements(policy) for action in statement["Action"]}


def conf(parameters):
    """The properties of `sparkSubmitParameters`."""
    return dict(word.split("=", 1) for word in parameters.replace("--conf ", "").split(" "))


def test_one_command_writes_everything_and_the_same_again(tmp_path, capsys):
    args = ["render", "aws", "--out", str(tmp_path), "--account", "123456789012", "--region", "eu-central-1"]
    assert main([*args, "--bucket", "team-lake"]) == 0
    output = json.loads(capsys.readouterr().out)
    found = {
        path.relative_to(tmp_path).as_posix(): path.read_text()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert output["files"] == sorted(found)
    assert found == write.files(AwsDeployment("123456789012", "eu-central-1", "team-lake"))
    assert main([*args, "--bucket", "team-lake"]) == 0
    for name, text in found.items():
        assert (tmp_path / name).read_text() == text
        if name.endswith(".json"):
            assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    ("option", "value"),
    [("account", "12"), ("region", "mars"), ("bucket", "A_b"), ("catalog", "jdbc"), ("name", "x y")],
)
def test_a_name_that_aws_would_refuse_is_refused_here(option, value):
    names = {"account": "123456789012", "region": "eu-central-1", "bucket": "team-lake", option: value}
    with pytest.raises(SettingsError, match=f"--{option}"):
        AwsDeployment(**names)


def test_the_command_says_so_in_one_line(tmp_path, capsys):
    args = [
        "render",
        "aws",
        "--out",
        str(tmp_path),
        "--account",
        "1",
        "--region",
        "eu-central-1",
        "--bucket",
        "lake",
    ]
    assert main(args) == 2
    assert capsys.readouterr().err.startswith("cilake: --account '1'")


@BOTH
def test_the_connection_is_what_the_back_end_reads(deployment):
    plugin = constants("backends/emr_serverless.py")
    assert plugin["CONNECTION"] == emr_serverless.CONNECTION
    rendered = write.files(deployment)
    name = f"secrets/{mwaa.secrets_prefix(deployment)}/{plugin['CONNECTION']}.json"
    connection = json.loads(rendered[name])
    assert connection["conn_type"] == "generic"
    assert all(connection["extra"][required] for required in plugin["REQUIRED"])
    source = (REPO / "plugins/cilake_airflow/backends/emr_serverless.py").read_text()
    read = set(re.findall(r"""extra(?:\.get\(|\[)["'](\w+)["']""", source))
    assert set(connection["extra"]) <= read | set(plugin["REQUIRED"])
    kwargs = json.loads(mwaa.options(deployment)["secrets.backend_kwargs"])
    assert name == f"secrets/{kwargs['connections_prefix']}/{plugin['CONNECTION']}.json"
    assert re.match(kwargs["connections_lookup_pattern"], plugin["CONNECTION"])
    assert not re.match(kwargs["connections_lookup_pattern"], "aws_default")


@BOTH
def test_jobs_are_started_with_the_catalog_of_the_settings_and_no_secret(deployment):
    properties = conf(
        emr_serverless.spark_parameters(emr_serverless.spark_properties(deployment, write.ICEBERG_JAR))
    )
    given = {
        name: value
        for name, value in properties.items()
        if name.startswith("spark.emr-serverless.driverEnv.CILAKE_")
    }
    environment = {name.rpartition(".")[2]: value for name, value in given.items()}
    settings = read_settings(environment)
    assert settings == deployment.settings
    assert (
        read_settings(
            dict(line.split("=", 1) for line in write.files(deployment)["settings.env"].splitlines())
        )
        == settings
    )
    # The driver sets the same properties for itself: neither may contradict the other.
    own = spark_conf(settings)
    assert {name: own[name] for name in own if name in properties} == {
        n: properties[n] for n in own if n in properties
    }
    assert [name for name in own if name.startswith("spark.sql.catalog.") and name not in properties] == []
    text = json.dumps(write.files(deployment))
    assert not re.search(r"(?i)password|secret[_-]?access|access-key", text)


@BOTH
def test_the_back_end_runs_on_emr_serverless(deployment):
    from_plugin = (REPO / "plugins/cilake_airflow/settings.py").read_text()
    assert "CILAKE_BACKEND" in from_plugin
    backend = re.search(r"export CILAKE_BACKEND=(\w+)", mwaa.startup(deployment))[1]
    assert backend in re.search(r"BACKENDS = \((.*)\)", from_plugin)[1]
    assert emr_serverless.application(deployment)["autoStopConfiguration"]["enabled"]
    assert emr_serverless.application(deployment)["maximumCapacity"]


@BOTH
@pytest.mark.parametrize("name", POLICIES)
def test_policies_name_their_resources(deployment, name):
    for statement in statements(POLICIES[name](deployment)):
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action], "every action is named"
        if "NotResource" in statement:
            assert statement["Condition"]["StringLike"]["kms:ViaService"].startswith("sqs.")
            continue
        for resource in statement["Resource"]:
            if resource == "*":
                assert set(statement["Action"]) <= iam.WITHOUT_RESOURCE
                continue
            service, account = resource.split(":")[2], resource.split(":")[4]
            assert resource.startswith("arn:aws:")
            assert account == ("" if service == "s3" else "*" if service == "sqs" else deployment.account)
            assert resource.split(":", 5)[5] not in ("*", ""), "a whole service"
            assert service != "s3" or resource.startswith("arn:aws:s3:::team-lake")


@BOTH
def test_analysts_read_and_jobs_delete_no_table(deployment):
    allowed = actions(iam.analyst(deployment))
    assert not [action for action in allowed if re.search(r":(Put|Create|Update|Delete|Start|Pass)", action)]
    assert not [
        action
        for action in actions(iam.emr_job(deployment))
        if re.search(r":Delete(Table|Database|Namespace)", action)
    ]
    where = json.dumps(iam.analyst(deployment))
    assert "models" not in where
    assert "code" not in where


def test_glue_databases_are_those_of_the_contracts():
    catalog = next(s for s in statements(iam.emr_job(GLUE)) if s["Sid"] == "Catalog")
    databases = {resource.rpartition("/")[2] for resource in catalog["Resource"] if ":database/" in resource}
    assert databases == {table.namespace for table in tables().values()}


def test_airflow_hands_over_the_job_role_to_emr_serverless_only():
    (passing,) = [s for s in statements(iam.mwaa(GLUE)) if "iam:PassRole" in s["Action"]]
    assert passing["Resource"] == [GLUE.role("emr-job")]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}}
    assert json.loads(write.files(GLUE)["emr-serverless/bootstrap-job-run.json"])[
        "executionRoleArn"
    ] == GLUE.role("emr-job")
    for service in ("emr-serverless", "airflow"):
        (statement,) = statements(iam.trust(GLUE, service))
        assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == GLUE.account
