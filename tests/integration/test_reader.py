"""What a reader can do with the file that the stack writes for readers: read everything, write nothing."""

import csv
import io
import json
import os
import subprocess
import sys
from contextlib import closing, contextmanager

import pandas as pd
import psycopg2
import pyarrow as pa
import pytest
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy.exc import ProgrammingError

import cilake
from cilake.client.statement import ask
from cilake.lake.catalog import open_catalog
from cilake.settings import find_settings
from cilake.variables import read_variables

pytestmark = pytest.mark.integration

SECRET = ("PASSWORD", "SECRET", "TOKEN", "_KEY")


@pytest.fixture(scope="module")
def reader_file(stack):
    return stack.reader_file


@pytest.fixture(scope="module")
def reader(played, reader_file):
    return cilake.connect(reader_file)


@contextmanager
def database(stack, user, password, name="iceberg"):
    """A connection on which each statement is a transaction: psycopg2 would make one of the block."""
    address = {"host": "127.0.0.1", "port": stack.ports["POSTGRES"], "dbname": name}
    connection = psycopg2.connect(user=user, password=password, **address)
    connection.autocommit = True
    with closing(connection):
        yield connection


def test_the_file_holds_no_secret_but_the_readers_and_is_private(stack, reader_file):
    assert reader_file.stat().st_mode & 0o077 == 0
    given = read_variables(reader_file.read_text())
    secrets = {name: value for name, value in given.items() if name.endswith(SECRET)}
    settings = stack.settings
    assert secrets == {
        "CILAKE_CATALOG_PASSWORD": settings["CILAKE_CATALOG_READER_PASSWORD"],
        "CILAKE_S3_ACCESS_KEY": settings["CILAKE_S3_READER_ACCESS_KEY"],
        "CILAKE_S3_SECRET_KEY": settings["CILAKE_S3_READER_SECRET_KEY"],
    }
    writing = {v for k, v in settings.items() if k.endswith(SECRET) and "READER" not in k}
    assert not [value for value in writing if value in reader_file.read_text()]


def test_urls_name_the_file(stack, reader_file):
    rows = {row["service"]: row for row in json.loads(stack("urls", "--json").stdout)}
    assert rows["reader.env"]["url"] == reader_file.as_uri()
    for service in ("reader.env", "PostgreSQL", "S3"):
        assert rows[service]["password_file"].startswith(str(reader_file))
    assert str(reader_file) in stack("urls").stdout


def test_every_verb_of_the_library_reads(reader, tmp_path):
    counts = reader.tables().set_index("address")["row_count"]
    assert counts["core.test_results"] > 0 and counts["ops.latest_receipts"] > 0
    assert "run_key" in set(reader.describe("core.ci_runs")["column"])
    assert len(reader.read("core.ci_runs")) == counts["core.ci_runs"]
    assert reader.export("core.ci_runs", tmp_path / "runs.parquet") == counts["core.ci_runs"]
    assert reader.sql("select count(*) as n from core.ci_runs")["n"][0] == counts["core.ci_runs"]


@pytest.mark.parametrize(
    "args",
    [["tables"], ["describe", "core.tests"], ["read", "core.tests"], ["sql", "select * from core.tests"]],
    ids=lambda args: args[0],
)
def test_every_verb_of_the_command_line_reads(played, reader_file, tmp_path, args):
    done = subprocess.run(
        [sys.executable, "-m", "cilake.cli", args[0], "--settings", str(reader_file), *args[1:]],
        env={name: value for name, value in os.environ.items() if not name.startswith("CILAKE_")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(csv.reader(io.StringIO(done.stdout)))) > 1


def test_a_reader_in_the_folder_of_the_stack_finds_the_file(stack, monkeypatch):
    monkeypatch.delenv("CILAKE_CATALOG_URI", raising=False)
    monkeypatch.setenv("CILAKE_HOME", str(stack.home))
    found = find_settings()
    assert found.catalog_user == "iceberg_reader"
    assert found.s3_access_key == stack.settings["CILAKE_S3_READER_ACCESS_KEY"]


def test_the_storage_refuses_to_be_written(reader_file):
    table = open_catalog(find_settings(reader_file)).load_table("core.tests")
    row = {"test_key": 1, "test_name": "x"}
    with pytest.raises(OSError, match=r"ACCESS_DENIED|AccessDenied|Access Denied"):
        table.append(pa.Table.from_pylist([row], schema=table.schema().as_arrow()))
    assert len(table.refresh().scan(row_filter="test_key = 1").to_arrow()) == 0


def test_the_catalog_refuses_to_be_written(stack, reader_file):
    catalog = open_catalog(find_settings(reader_file))
    for refused in (
        lambda: catalog.create_namespace("mine"),
        lambda: catalog.drop_table("core.tests"),
        lambda: catalog.rename_table("core.tests", "core.other"),
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            refused()
    password = stack.settings["CILAKE_CATALOG_READER_PASSWORD"]
    with database(stack, "iceberg_reader", password) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from iceberg_tables")
        for statement in (
            "delete from iceberg_tables",
            "update iceberg_tables set metadata_location = ''",
            "create table mine (a int)",
        ):
            with pytest.raises(InsufficientPrivilege):
                cursor.execute(statement)
    with (
        pytest.raises(psycopg2.OperationalError, match="permission denied for database"),
        database(stack, "iceberg_reader", password, "airflow"),
    ):
        pass


def test_a_stack_from_before_gains_the_reader(stack, played, reader_file):
    with database(stack, "postgres", stack.settings["CILAKE_POSTGRES_PASSWORD"]) as owner:
        owner.cursor().execute("drop owned by iceberg_reader; drop role iceberg_reader")
    reader_file.unlink()
    done = stack("up", "--only", "postgres")
    assert done.returncode == 0, done.stderr
    # A connection of the role that was dropped is of no use to its successor.
    assert len(cilake.connect(reader_file).read("core.tests")) > 0


def test_before_the_first_bootstrap_the_reader_is_told_so(stack, reader_file):
    empty = read_variables(reader_file.read_text())
    with database(stack, "postgres", stack.settings["CILAKE_POSTGRES_PASSWORD"]) as owner:
        cursor = owner.cursor()
        cursor.execute("create database empty_catalog")
        cursor.execute("grant connect on database empty_catalog to iceberg_reader")
    file = reader_file.with_name("empty.env")
    empty["CILAKE_CATALOG_URI"] = empty["CILAKE_CATALOG_URI"].replace("/iceberg", "/empty_catalog")
    file.write_text("".join(f"{name}={value}\n" for name, value in empty.items()))
    with pytest.raises(cilake.LakeError, match="no tables yet: run `cilake bootstrap`"):
        cilake.connect(file)


def test_answers_of_trino_are_typed(reader):
    answer = reader.sql("""
        select date '9999-12-31' as day, timestamp '0001-01-01 00:00:00 UTC' as instant,
        1.25 as share, cast(null as bigint) as n, cast(null as boolean) as flag, array[1] as list,
        from_iso8601_timestamp('2026-02-20T01:00:00+02:00') as abroad, 9007199254740993 as key
    """)
    assert {name: str(dtype) for name, dtype in answer.dtypes.items()} == {
        "day": "datetime64[s]",
        "instant": "datetime64[us, UTC]",
        "share": "float64",
        "n": "Int64",
        "flag": "boolean",
        "list": "object",
        "abroad": "datetime64[us, UTC]",
        "key": "Int64",
    }
    first = answer.iloc[0]
    assert (str(answer["day"].dt.date[0]), answer["instant"].dt.year[0]) == ("9999-12-31", 1)
    assert (first["share"] * 2, first["abroad"]) == (2.5, pd.Timestamp("2026-02-19T23:00:00Z"))
    assert first["key"] == 9007199254740993
    empty = reader.sql("select max(run_date) as day, run_key from core.ci_runs where run_key = 0 group by 2")
    assert (str(empty["day"].dtype), str(empty["run_key"].dtype), len(empty)) == ("datetime64[s]", "Int64", 0)


def test_analysts_see_no_payloads_and_operators_do(reader, reader_file):
    for refused in ("raw.testgrid__tables", 'ops."quarantine$files"'):
        with pytest.raises(cilake.LakeError, match="Access Denied"):
            reader.sql(f"select * from {refused} limit 1")
    assert reader.sql("select payload, reason from ops.quarantine")["payload"].isna().all()
    url = find_settings(reader_file).trino_url
    statement = "select count(*) from raw.testgrid__tables where payload is not null"
    with ask(url, statement, user="operator") as (_, pages):
        assert next(row for page in pages for row in page)[0] > 0
