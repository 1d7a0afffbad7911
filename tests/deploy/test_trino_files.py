"""Trino's rules, judged as Trino does: from top to bottom, the first that matches decides."""

from __future__ import annotations

import json
import re

import pytest
from deploy.local import configuration, env_file, layout, trino

from deploy import templates

FOLDER = templates.DEPLOY / "trino"
RULES = json.loads((FOLDER / "rules.json").read_text())
GROUPS = {user: group for user, (group, _) in env_file.LOGINS.items()}
WRITING = {"INSERT", "UPDATE", "DELETE", "OWNERSHIP", "GRANT_SELECT"}
ACCESS = {"all": 2, "read-only": 1, "none": 0}


def rule(section, user, **things):
    """The rule that decides; Trino denies when there is none."""
    subject = {"user": user, "group": GROUPS.get(user, ""), **things}
    for candidate in RULES[section]:
        if all(re.fullmatch(candidate.get(key, ".*"), value) for key, value in subject.items()):
            return candidate
    return {}


def access(user, catalog):
    return ACCESS[rule("catalogs", user, catalog=catalog).get("allow", "none")]


def privileges(user, catalog="lake", schema="core", table="test_results"):
    return set(rule("tables", user, catalog=catalog, schema=schema, table=table).get("privileges", []))


@pytest.mark.parametrize("user", ["analyst", "superset"])
def test_analysts_read_and_nothing_else(user):
    assert access(user, "lake") == ACCESS["read-only"]
    for schema in ("raw", "core", "kpi", "predictions", "ops"):
        assert privileges(user, schema=schema) == {"SELECT"}
    assert not rule("schemas", user, catalog="lake", schema="core").get("owner")
    assert rule("procedures", user, catalog="lake", schema="system", procedure="rollback") == {}
    # The rules cannot forbid table procedures such as expire_snapshots: the read-only catalog does.
    assert templates.variables("trino/read.properties") == {"iceberg.security": "read_only"}
    assert access(user, "lake_write") == ACCESS["none"]
    assert privileges(user, catalog="lake_write") == set()
    assert rule("queries", user)["allow"] == ["execute"], "their own queries they may always see and end"


def test_jobs_write():
    assert access("jobs", "lake_write") == ACCESS["all"]
    assert privileges("jobs", catalog="lake_write") >= WRITING
    assert rule("schemas", "jobs", catalog="lake_write", schema="core")["owner"] is True
    assert privileges("jobs") == {"SELECT"}


def test_who_is_in_no_group_gets_nothing():
    assert access("stranger", "lake") == access("stranger", "system") == ACCESS["none"]
    assert privileges("stranger") == set()
    assert rule("queries", "stranger") == {}


def test_nobody_acts_as_somebody_else_or_manages_the_server():
    assert [entry["allow"] for entry in RULES["impersonation"]] == [False]
    assert [entry["allow"] for entry in RULES["system_information"]] == [[]]
    for user in GROUPS:
        assert not WRITING & privileges(user, catalog="system", schema="runtime", table="queries")


def test_every_login_has_a_resource_group():
    found = json.loads((FOLDER / "resource-groups.json").read_text())
    roots = {group["name"]: group for group in found["rootGroups"]}
    assert [selector["group"] for selector in found["selectors"]] == ["jobs", "dashboards", "people.${USER}"]
    assert [sub["name"] for sub in roots["people"]["subGroups"]] == ["${USER}"]
    assert all(group["hardConcurrencyLimit"] and group["maxQueued"] for group in roots.values())


def test_the_files_of_the_containers_name_one_another():
    login = dict(line.split("=", 1) for line in templates.read("trino/login.properties").splitlines())
    assert login["http-server.authentication.type"] == "PASSWORD"
    assert login["http-server.https.enabled"] == "true"
    for name, key, place in (
        ("access-control", "security.config-file", "/etc/trino/rules.json"),
        ("resource-groups", "resource-groups.config-file", "/etc/trino/resource-groups.json"),
        ("password-authenticator", "file.password-file", "/run/cilake/trino-passwords"),
        ("group-provider", "file.group-file", "/run/cilake/trino-groups"),
    ):
        assert templates.variables(f"trino/{name}.properties")[key] == place


def test_the_embedded_stack_uses_the_same_files(tmp_path):
    here = layout.Layout(tmp_path, tmp_path)
    here.make()
    settings = configuration.prepare(here)
    files = {path.name: text for path, text in trino.files(here, settings).items()}
    assert "fs.native-s3.enabled=true" in files["lake.properties"]
    catalog = templates.read("trino/lake.properties", "trino/read.properties")
    assert files["lake.properties"].replace("native-s3", "s3") == catalog
    assert templates.read("trino/server.properties") in files["config.properties"]
    assert "web-ui.user=analyst" in files["config.properties"]
    assert "authentication.type=PASSWORD" not in files["config.properties"]
    environment = trino.environment(here, settings)
    assert set(templates.asked_for("".join(files.values()))) == set(environment)
    assert environment["CILAKE_TRINO_QUERY_MEMORY"] == "400MB"
