"""Reading the lake: pandas, Polars and Arrow, pruned and as of a time, on a catalog of files."""

import inspect
import os
import re
import sys
import time
import typing
from datetime import UTC, datetime

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from tests.support.builders import make_row

import cilake
from cilake import cli
from cilake.client import lake as module
from cilake.commands.declared import COMMANDS
from cilake.contracts import registry
from cilake.lake.catalog import arrow_schema, create_tables
from cilake.settings import Settings, SettingsError, find_settings

HEALTH = registry.table("kpi.daily_job_health")
DAYS = ["2021-05-31", "2021-06-01", "2021-06-02"]


def append(catalog, days, jobs=(1, 2)):
    rows = [
        make_row(HEALTH, run_date=day, job_key=job, job_name=f"job {job}") for day in days for job in jobs
    ]
    catalog.load_table(HEALTH.address).append(pa.Table.from_pylist(rows, schema=arrow_schema(HEALTH)))


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    found = SqlCatalog(
        "lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse"
    )
    create_tables(found)
    append(found, DAYS)
    monkeypatch.setattr(module, "open_catalog", lambda settings: found)
    return found


@pytest.fixture
def lake(catalog):
    return cilake.connect(Settings())


def test_tables_lists_every_table_with_its_rows(lake):
    tables = lake.tables().set_index("address")
    assert set(tables.index) == set(registry.tables())
    assert tables.loc[HEALTH.address, "row_count"] == 6
    assert tables.loc["core.tests", "row_count"] == 0 and pd.isna(tables.loc["core.tests", "changed_at"])


def test_describe_says_what_the_contract_says(lake):
    columns = lake.describe(HEALTH.address)
    assert list(columns["column"]) == HEALTH.column_names
    assert columns.attrs["day_column"] == "run_date" and columns.attrs["grain"] == HEALTH.grain


def test_read_returns_the_asked_form_days_and_columns(lake):
    options = {"start": "2021-06-01", "end": "2021-06-02", "columns": ["job_key", "run_date"]}
    frame = lake.read(HEALTH.address, **options)
    assert isinstance(frame, pd.DataFrame) and list(frame.columns) == ["job_key", "run_date"]
    assert set(frame["run_date"]) == {pd.Timestamp("2021-06-01")} and sorted(frame["job_key"]) == [1, 2]
    assert isinstance(lake.read(HEALTH.address, form="polars", **options), pl.DataFrame)
    arrow = lake.read(HEALTH.address, form="arrow")
    assert arrow.num_rows == 6 and arrow.schema.names == HEALTH.column_names


def test_only_partitions_in_the_range_are_opened(lake):
    assert len(list(lake._scan(HEALTH.address).plan_files())) == 2
    assert len(list(lake._scan(HEALTH.address, start="2021-06-01").plan_files())) == 1


def test_a_condition_and_a_limit(lake):
    assert lake.read(HEALTH.address, where="job_name = 'job 2' and run_count > 0").shape[0] == 3
    assert lake.read(HEALTH.address, limit=2).shape[0] == 2
    with pytest.raises(cilake.LakeError, match="`limit` is at least 1"):
        lake.read(HEALTH.address, limit=0)


def test_as_of_reads_the_table_as_it_was(lake, catalog):
    time.sleep(0.01)
    before = datetime.now(UTC)
    time.sleep(0.01)
    append(catalog, ["2021-06-03"])
    assert lake.read(HEALTH.address).shape[0] == 8
    assert lake.read(HEALTH.address, as_of=before).shape[0] == 6
    with pytest.raises(cilake.LakeError, match="as of 2001-01-01 23:59:59 .* was published at 20"):
        lake.read(HEALTH.address, as_of="2001-01-01")
    with pytest.raises(cilake.LakeError, match="nor has it now"):
        lake.read("core.tests", as_of=before)


def test_an_empty_table_reads_as_an_empty_frame_with_its_columns(lake):
    assert list(lake.read("core.tests").columns) == ["test_key", "test_name", "is_verdict"]
    assert lake.read("core.tests").empty


def test_days_and_instants_can_be_compared_and_resampled_also_when_there_are_no_rows(lake):
    frame = lake.read(HEALTH.address)
    assert list(frame[frame.run_date >= "2021-06-02"]["job_key"]) == [1, 2]
    assert frame.resample("W", on="run_date")["run_count"].count().sum() == 6
    kinds = lake.read("core.test_results").dtypes.astype(str)
    assert (kinds["run_date"], kinds["started_at"], kinds["run_key"]) == (
        "datetime64[s]",
        "datetime64[us, UTC]",
        "int64",
    )
    assert lake.read(HEALTH.address, start=frame.run_date.max()).shape[0] == 2


def test_what_may_be_asked_is_spelled_out():
    asked = ["start", "end", "columns", "where", "as_of", "limit"]
    read, export = (list(inspect.signature(of).parameters) for of in (cilake.Lake.read, cilake.Lake.export))
    assert read == ["self", "address", *asked, "form", "progress"]
    assert export == ["self", "address", "path", *asked, "progress"]
    for overload in typing.get_overloads(cilake.Lake.read):
        assert list(inspect.signature(overload).parameters) == read


def test_without_polars_the_error_names_the_extra(lake, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(cilake.LakeError, match=r"pip install 'cilake\[polars\]'"):
        lake.read(HEALTH.address, form="polars")
    with pytest.raises(cilake.LakeError, match="no form 'xml': choose pandas, polars or arrow"):
        lake.read(HEALTH.address, form="xml")


def test_export_writes_the_whole_file_or_none(lake, tmp_path):
    target = tmp_path / "health.parquet"
    assert lake.export(HEALTH.address, target, start="2021-06-01") == 4
    assert pq.read_table(target).num_rows == 4
    assert lake.export(HEALTH.address, tmp_path / "health.csv", columns=["job_key"]) == 6
    assert (tmp_path / "health.csv").read_text().splitlines()[0] == '"job_key"'
    with pytest.raises(cilake.LakeError, match="ends in .parquet or .csv"):
        lake.export(HEALTH.address, tmp_path / "health.xlsx")
    with pytest.raises(cilake.LakeError, match="there is no folder"):
        lake.export(HEALTH.address, tmp_path / "none" / "health.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(cilake.LakeError, match=r"folder.csv: it is a folder"):
        lake.export(HEALTH.address, tmp_path / "folder.csv")
    assert sorted(path.name for path in tmp_path.glob("*health*")) == ["health.csv", "health.parquet"]


def test_progress_is_told_on_standard_error_only_when_asked(lake, capsys):
    lake.read(HEALTH.address)
    assert capsys.readouterr().err == ""
    lake.read(HEALTH.address, progress=True)
    assert "reading kpi.daily_job_health" in capsys.readouterr().err


def test_without_a_lake_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("CILAKE_CATALOG_URI", "CILAKE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="make up"):
        cilake.connect()
    with pytest.raises(SettingsError, match="cannot read the settings"):
        cilake.connect(tmp_path / "none.env")


@pytest.mark.parametrize("args", [["tables"], ["describe", HEALTH.address], ["read", HEALTH.address]])
def test_a_reader_that_has_seen_enough_is_no_error(catalog, monkeypatch, args):
    monkeypatch.setenv("CILAKE_CATALOG_URI", "postgresql://unused")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert cli.main(args) == 0


def test_the_command_line_reads_too(catalog, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CILAKE_CATALOG_URI", "postgresql://unused")
    assert cli.main(["read", HEALTH.address, "--columns", "job_key,run_date", "--start", "2021-06-02"]) == 0
    assert capsys.readouterr().out == "job_key,run_date\n1,2021-06-02\n2,2021-06-02\n"
    assert cli.main(["export", HEALTH.address, str(tmp_path / "x.parquet")]) == 0
    assert "wrote 6 rows" in capsys.readouterr().err
    assert cli.main(["describe", "kpi.daily_job_helth"]) == 2
    assert "nearest: kpi.daily_job_health" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["describe", "zzz"], "no table 'zzz': `cilake tables` lists them all"),
        (["read", HEALTH.address, "--columns", "x"], f"`cilake describe {HEALTH.address}` lists them"),
        (["read", "core.tests", "--start", "2021-06-01"], "leave --start and --end out"),
        (["read", HEALTH.address, "--start", "2021-06-01T12:00"], "--start takes whole days"),
        (["read", HEALTH.address, "--end", "x"], "--end takes a day, YYYY-MM-DD"),
        (
            ["read", HEALTH.address, "--start", "2021-06-02", "--end", "2021-06-01"],
            "empty range 2021-06-02 to 2021-06-01: --end is exclusive",
        ),
        (["read", HEALTH.address, "--as-of", "x"], "'x' is neither a day nor an instant: --as-of takes"),
        (["read", HEALTH.address, "--as-of", "2001-01-01"], "--as-of is about when rows were published"),
        (["read", HEALTH.address, "--limit", "-1"], "-1 is not a number of rows: --limit is at least 1"),
        (["read", HEALTH.address, "--where", "x is"], "`cilake read --help` lists all forms"),
        (["export", HEALTH.address, "none/x.csv"], "cannot write none/x.csv: there is no folder none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_of_the_command_line_name_its_own_options(catalog, monkeypatch, capsys, args, hint):
    monkeypatch.setenv("CILAKE_CATALOG_URI", "postgresql://unused")
    assert cli.main(args) == 2
    out, err = capsys.readouterr()
    assert hint in err and out == ""
    assert len(err.splitlines()) == 1
    assert not re.search(r"lake\.(read|tables|describe)\(|`start`|`end`|as_of", err)


@pytest.mark.parametrize("verb", [command.name for command in COMMANDS if command.reads])
def test_the_help_of_every_reading_verb_has_an_example(capsys, verb):
    with pytest.raises(SystemExit):
        cli.main([verb, "--help"])
    assert re.search(rf"^  cilake {verb}", capsys.readouterr().out, re.MULTILINE)


def test_without_a_lake_the_command_line_names_its_own_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("CILAKE_CATALOG_URI", "CILAKE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cli.main(["tables"]) == 2
    assert "name a settings file with --settings …/reader.env" in capsys.readouterr().err


def test_readers_prefer_the_file_that_cannot_write(tmp_path, monkeypatch):
    monkeypatch.delenv("CILAKE_CATALOG_URI", raising=False)
    monkeypatch.setenv("CILAKE_HOME", str(tmp_path))
    (tmp_path / "settings.env").write_text(
        "CILAKE_CATALOG_USER=iceberg\nCILAKE_CATALOG_PASSWORD=w\nCILAKE_CATALOG_READER_PASSWORD=r\n"
    )
    found = find_settings()
    assert (found.catalog_user, found.catalog_password) == ("iceberg_reader", "r")
    (tmp_path / "reader.env").write_text("CILAKE_CATALOG_USER=somebody\nCILAKE_CATALOG_PASSWORD=own\n")
    found = find_settings()
    assert (found.catalog_user, found.catalog_password) == ("somebody", "own")


def test_readers_take_the_key_that_cannot_write(tmp_path):
    file = tmp_path / "settings.env"
    keys = {
        "ACCESS_KEY": "writer",
        "SECRET_KEY": "secret",
        "READER_ACCESS_KEY": "reader",
        "READER_SECRET_KEY": "own",
    }
    file.write_text("".join(f"CILAKE_S3_{name}={value}\n" for name, value in keys.items()))
    found = find_settings(file)
    assert (found.s3_access_key, found.s3_secret_key) == ("reader", "own")
    file.write_text("CILAKE_S3_ACCESS_KEY=given\nCILAKE_S3_SECRET_KEY=to-me\n")
    found = find_settings(file)
    assert (found.s3_access_key, found.s3_secret_key) == ("given", "to-me")
