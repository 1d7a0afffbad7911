"""Every run of a job leaves a record for each table it makes, also when it fails."""

from datetime import date

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from tests.support.builders import make_row

from cilake.commands import recorded
from cilake.commands.recorded import run_recorded
from cilake.contracts import registry
from cilake.lake.catalog import arrow_schema, create_tables
from cilake.settings import Settings
from cilake.windows import Window

WINDOW = Window(date(2021, 6, 21), date(2021, 6, 22))
STEP = {"verb": "build", "of": "kpi_ci_health"}
MADE = {table.address for table in registry.made_by("build_kpi_ci_health")}


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    found = SqlCatalog(
        "lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse"
    )
    create_tables(found)
    monkeypatch.setattr(recorded, "open_catalog", lambda settings: found)
    return found


def records(catalog):
    return catalog.load_table("ops.table_updates").scan().to_arrow().to_pylist()


def test_a_run_is_recorded_for_each_table_with_what_it_wrote(catalog):
    counts = {"kpi.daily_job_health": 3}
    assert run_recorded(lambda settings, window: counts, Settings(), WINDOW, **STEP) == counts
    rows = {row["table_address"]: row for row in records(catalog)}
    assert set(rows) == MADE and len(MADE) > 1
    daily, weekly = rows["kpi.daily_job_health"], rows["kpi.weekly_test_health"]
    assert (daily["written_count"], weekly["written_count"]) == (3, None)
    assert (daily["update_status"], daily["error_type"], daily["slo_hours"]) == ("succeeded", None, 36)
    assert daily["partition_date"] == WINDOW.start
    assert (daily["newest_date"], daily["run_url"]) == (None, None), "nothing is in the table"
    assert daily["finished_at"] >= daily["started_at"] and daily["run_seconds"] >= 0


def test_the_record_names_the_newest_day_of_the_table_and_the_page_of_the_run(catalog):
    days = ["2021-06-19", "2021-06-23", "2021-06-20"]
    rows = [make_row("kpi.daily_job_health", run_date=day) for day in days]
    schema = arrow_schema(registry.table("kpi.daily_job_health"))
    catalog.load_table("kpi.daily_job_health").append(pa.Table.from_pylist(rows, schema=schema))
    page = "https://airflow.example/dags/build_kpi_ci_health/runs/manual__1"
    run_recorded(lambda settings, window: {}, Settings(run_url=page), WINDOW, **STEP)
    rows = {row["table_address"]: row for row in records(catalog)}
    assert rows["kpi.daily_job_health"]["newest_date"] == date(2021, 6, 23)
    assert rows["kpi.weekly_test_health"]["newest_date"] is None
    assert {row["run_url"] for row in rows.values()} == {page}


def test_a_failure_is_recorded_and_raised(catalog):
    def fail(settings, window):
        raise RuntimeError("a secret")

    with pytest.raises(RuntimeError, match="a secret"):
        run_recorded(fail, Settings(), WINDOW, **STEP)
    rows = records(catalog)
    assert {row["update_status"] for row in rows} == {"failed"}
    assert {row["error_type"] for row in rows} == {"RuntimeError"}
    assert "a secret" not in str(rows)


def test_a_failure_that_cannot_be_recorded_says_both(catalog, monkeypatch):
    def fail(settings, window):
        raise RuntimeError("the work")

    def refuse(settings):
        raise OSError("no database")

    monkeypatch.setattr(recorded, "open_catalog", refuse)
    with pytest.raises(RuntimeError, match="the work") as caught:
        run_recorded(fail, Settings(), WINDOW, **STEP)
    assert any("no database" in note for note in caught.value.__notes__)
