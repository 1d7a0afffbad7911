"""Trino's rules, judged as Trino does: from top to bottom, the first that matches decides."""

from __future__ import annotations

import json
import re

import pytest
from deploy.local import configuration, layout
from deploy.local.layout import REPO
from deploy.local.services import trino
from tests.deploy.compose_file import DOCKERFILE, environment_of

from cilake.contracts.registry import tables
from cilake.render import trino_rules
from deploy import templates

FOLDER = templates.DEPLOY / "trino"
RULES = json.loads((FOLDER / "rules.json").read_text())
GROUPS = {user: group for user, (group, _) in trino.LOGINS.items()}
ACCESS = {"all": 2, "read-only": 1, "none": 0}


def rule(section, user, rules=RULES, **things):
    """The rule that decides; Trino denies when there is none."""
    subject = {"user": user, "group": GROUPS.get(user, ""), **things}
    for candidate in rules[section]:
        if all(re.fullmatch(candidate.get(key, ".*"), value) for key, value in subject.items()):
            return candidate
    return {}


def access(user, catalog):
    return ACCESS[rule("catalogs", user, catalog=catalog).get("allow", "none")]


def table_rule(user, address, rules=RULES):
    schema, _, table = address.partition(".")
    return rule("tables", user, rules, catalog="lake", schema=schema, table=table)


def test_the_rules_are_those_of_the_contracts(tmp_path):
    assert trino_rules.rules(tables().values()) == RULES, "run `cilake docs`"
    path = tmp_path / "deploy" / "rules.json"
    assert trino_rules.write_rules(path, tables())
    assert not trino_rules.write_rules(path, tables())
    assert path.read_text() == (FOLDER / "rules.json").read_text()


@pytest.mark.parametrize("user", ["analyst", "superset"])
@pytest.mark.parametrize("address", sorted(tables()))
def test_people_see_what_is_public(user, address):
    table = tables()[address]
    found = table_rule(user, address)
    if table.namespace == "raw":
        assert found["privileges"] == [], "payloads as received are for operators"
        return
    assert found["privileges"] == ["SELECT"]
    masks = {column["name"]: column["mask"] for column in found.get("columns", [])}
    internal = [column.name for column in table.columns if column.sensitivity != "public"]
    assert list(masks) == internal
    for name, mask in masks.items():
        assert mask == f"cast(null as {trino_rules._trino_type(table.column(name).type)})"
    # The tables about a table hold its smallest and largest values.
    about = table_rule(user, f"{address}$files")["privileges"]
    assert about == ([] if internal else ["SELECT"])


def test_there_is_something_to_mask():
    assert any(trino_rules.masked_columns(table) for table in tables().values())
    types = {column.type for table in tables().values() for column in table.columns}
    of_trino = re.compile(
        r"bigint|integer|double|varchar|boolean|date|varbinary|timestamp\(6\) with time zone"
    )
    for name in types:
        element = trino_rules._trino_type(name).removeprefix("array(")
        assert of_trino.fullmatch(element.removesuffix(")") if "array" in name else element), name


@pytest.mark.parametrize("user", ["analyst", "superset", "operator"])
def test_nobody_writes(user):
    assert access(user, "lake") == ACCESS["read-only"]
    for address in tables():
        assert set(table_rule(user, address)["privileges"]) <= {"SELECT"}
    assert not rule("schemas", user, catalog="lake", schema="core").get("owner")
    assert rule("procedures", user, catalog="lake", schema="system", procedure="rollback") == {}
    # The rules cannot forbid table procedures such as expire_snapshots: the read-only catalog does.
    assert templates.variables("trino/lake.properties")["iceberg.security"] == "read_only"
    assert access(user, "lake_write") == ACCESS["none"]


def test_operators_read_payloads_and_see_the_queries_of_others():
    for address in tables():
        assert table_rule("operator", address) == RULES["tables"][0]
    assert "columns" not in RULES["tables"][0]
    assert rule("queries", "operator")["allow"] == ["execute", "view", "kill"]
    assert rule("queries", "analyst")["allow"] == ["execute"], "their own queries they may always see and end"


def test_no_dashboard_needs_what_is_masked():
    """Superset reads as an analyst: its datasets name no masked column and no table of payloads."""
    masked = {
        table.address: trino_rules.masked_columns(table)
        for table in tables().values()
        if trino_rules.masked_columns(table)
    }
    datasets = sorted((REPO / "dashboards" / "datasets").rglob("*.yaml"))
    assert datasets
    for path in datasets:
        text = path.read_text()
        assert not re.search(r"\b(from|join) raw\.", text) and "schema: raw" not in text, path
        for address, columns in masked.items():
            named = address in text or f"schema: {address.partition('.')[0]}\n" in text
            assert not named or not re.search(rf"\b({'|'.join(columns)})\b", text), path


def test_who_is_in_no_group_gets_nothing():
    assert access("stranger", "lake") == access("stranger", "system") == ACCESS["none"]
    assert table_rule("stranger", "core.tests")["privileges"] == []
    assert rule("queries", "stranger") == {}


def test_nobody_acts_as_somebody_else_or_manages_the_server():
    assert [entry["allow"] for entry in RULES["impersonation"]] == [False]
    assert [entry["allow"] for entry in RULES["system_information"]] == [[]]
    for user in GROUPS:
        found = rule("tables", user, catalog="system", schema="runtime", table="queries")
        assert set(found["privileges"]) <= {"SELECT"}


def test_every_login_has_a_resource_group():
    found = json.loads((FOLDER / "resource-groups.json").read_text())
    roots = {group["name"]: group for group in found["rootGroups"]}
    assert [selector["group"] for selector in found["selectors"]] == ["dashboards", "people.${USER}"]
    assert [sub["name"] for sub in roots["people"]["subGroups"]] == ["${USER}"]
    assert all(group["hardConcurrencyLimit"] and group["maxQueued"] for group in roots.values())


def test_the_files_of_the_containers_name_one_another():
    login = dict(line.split("=", 1) for line in templates.read("trino/login.properties").splitlines())
    assert login["http-server.authentication.type"] == "PASSWORD"
    assert login["http-server.https.enabled"] == "true"
    for name, key, expected in (
        ("access-control", "security.config-file", "/etc/trino/rules.json"),
        ("resource-groups", "resource-groups.config-file", "/etc/trino/resource-groups.json"),
        ("password-authenticator", "file.password-file", "/run/cilake/passwords"),
        ("group-provider", "file.group-file", "/run/cilake/groups"),
    ):
        assert templates.variables(f"trino/{name}.properties")[key] == expected


def test_the_embedded_stack_uses_the_same_files(tmp_path):
    here = layout.Layout(tmp_path, tmp_path)
    here.make()
    settings = configuration.prepare(here)
    files = {path.name: text for path, text in trino.files(here, settings).items()}
    assert "fs.native-s3.enabled=true" in files["lake.properties"]
    catalog = templates.read("trino/lake.properties")
    assert files["lake.properties"].replace("native-s3", "s3") == catalog
    assert templates.read("trino/server.properties") in files["config.properties"]
    assert "web-ui.user=analyst" in files["config.properties"]
    assert "authentication.type=PASSWORD" not in files["config.properties"]
    environment = trino.environment(here, settings)
    assert set(templates.asked_for("".join(files.values()))) == set(environment)
    assert environment["CILAKE_TRINO_QUERY_MEMORY"] == "400MB"


def test_both_stacks_read_with_logins_that_only_read(tmp_path):
    here = layout.Layout(tmp_path, tmp_path)
    here.make()
    settings = configuration.prepare(here)
    embedded = trino.environment(here, settings)
    readers = {
        "CILAKE_CATALOG_PASSWORD": "CILAKE_CATALOG_READER_PASSWORD",
        "CILAKE_S3_ACCESS_KEY": "CILAKE_S3_READER_ACCESS_KEY",
        "CILAKE_S3_SECRET_KEY": "CILAKE_S3_READER_SECRET_KEY",
    }
    asked = templates.asked_for(templates.read("trino/lake.properties"))
    assert {*readers, "CILAKE_CATALOG_USER"} <= set(asked)
    for name, reader in readers.items():
        assert embedded[name] == settings[reader] != settings[name]
    assert embedded["CILAKE_CATALOG_USER"] == configuration.CATALOG_READER
    for node in ("trino", "trino-worker"):
        given = environment_of(node)
        assert {name: given[name] for name in readers} == {n: f"secret-{r}" for n, r in readers.items()}
        assert given["CILAKE_CATALOG_USER"] == configuration.CATALOG_READER
    image = DOCKERFILE[DOCKERFILE.index("AS trino-node") :]
    assert re.findall(r"/etc/trino/catalog/(\S*)", image) == ["*", ""], "the catalog lake and no other"


def test_without_a_login_whoever_asks_is_an_analyst(tmp_path):
    here = layout.Layout(tmp_path, tmp_path)
    here.make()
    files = trino.files(here, configuration.prepare(here))
    own = here.cwd / "trino" / "etc" / "access-control.properties"
    path = dict(line.split("=", 1) for line in files[own].splitlines())["security.config-file"]
    embedded = json.loads(files[type(own)(path)])
    assert not [entry for entries in embedded.values() for entry in entries if "group" in entry]
    for address in tables():
        for user, like in (("analyst", "analyst"), ("anybody", "analyst"), ("operator", "operator")):
            here_ = table_rule(user, address, embedded)
            there = table_rule(like, address)
            assert (here_["privileges"], here_.get("columns")) == (there["privileges"], there.get("columns"))
