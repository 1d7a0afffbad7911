"""Days are replaced where they differ, by the same rules here and in Spark, and nothing else is touched."""

from datetime import date, timedelta

import pytest
from tests.support.builders import make_frame, make_row, make_rows
from tests.support.lake_session import local_lake

from cilake.contracts.predictions.accuracy import TABLE
from cilake.publish import few
from cilake.publish.branch import PublishError, open_branch
from cilake.publish.replace import Replacement, replace_days

DAY = date(2021, 6, 21)
OURS, OTHERS = "test_failure", "other"

pytestmark = pytest.mark.spark


@pytest.fixture(params=["here", "in Spark"])
def lake(request, spark, tmp_path, monkeypatch):
    if request.param == "in Spark":
        monkeypatch.setattr(few, "FEW_ROWS", 0)
    with local_lake(spark, tmp_path / "lake", monkeypatch) as lake:
        yield lake


def row(day=0, model=OURS, **columns):
    given = {"prediction_date": DAY + timedelta(days=day), "model_name": model, "failure_count": 1}
    return make_row(TABLE, **(given | columns))


def replace(lake, rows, days=(0,), model=OURS, audited=None):
    """Replace what the table holds of the days, and return how many rows were written."""
    # Few rows come from either engine; what is too much for this process may have been made here, too.
    made = make_frame(lake.spark, TABLE, rows) if few.FEW_ROWS else make_rows(TABLE, rows)
    replacement = Replacement(
        TABLE,
        made,
        "prediction_date",
        [DAY + timedelta(days=day) for day in days],
        where=f"model_name = {model!r}",
        properties={"cilake.built": str(len(rows))},
    )

    def audit(branch):
        audited.append(branch.appended_count)

    audited = [] if audited is None else audited
    return replace_days(lake.spark, lake.catalog, [replacement], audit=audit, run_id="x")[TABLE.address]


def snapshots(lake):
    return [one.snapshot_id for one in lake.catalog.load_table(TABLE.address).history()]


def held(lake):
    return lake.rows(TABLE.address, "model_name", "prediction_date", "scorer", "log_loss")


def test_only_days_that_differ_are_written_and_audited(lake):
    first = [row(0, scorer="model"), row(0, scorer="baseline"), row(1, log_loss=0.5), row(2)]
    assert replace(lake, first, days=(0, 1, 2)) == 4
    others = [row(0, OTHERS), row(1, OTHERS)]
    assert replace(lake, others, days=(0, 1, 2), model=OTHERS) == 2
    before, audited = snapshots(lake), []
    assert replace(lake, list(reversed(first)), days=(0, 1, 2), audited=audited) == 0
    assert (snapshots(lake), audited) == (before, []), "the same rows in another order commit nothing"
    again = [*first[:2], row(1, log_loss=0.25)]
    assert replace(lake, again, days=(0, 1, 2), audited=audited) == 1
    assert audited == [1], "a day that is as it was is not written, one that has no row any more is gone"
    found = held(lake)
    assert [one for one in found if one[0] == OTHERS] == [
        (OTHERS, one["prediction_date"], one["scorer"], one["log_loss"]) for one in others
    ]
    assert [one[1:] for one in found if one[0] == OURS] == sorted(
        ((one["prediction_date"], one["scorer"], one["log_loss"]) for one in again), key=repr
    )
    assert lake.catalog.load_table(TABLE.address).properties["cilake.built"] == "3"


def test_days_without_rows_lose_them(lake):
    replace(lake, [row(0), row(1)], days=(0, 1))
    assert replace(lake, [], days=(0,)) == 0
    assert [one[1] for one in held(lake)] == [DAY + timedelta(days=1)]


def test_texts_and_nulls_of_all_kinds_come_back_as_they_are(lake):
    hostile = ["\U0001f600" * 9, "a\ud7ff" * 9, "'; drop", "", "x" * 15 + "\ud7ff"]
    rows = [row(model_version=text, average_precision=None) for text in hostile]
    assert replace(lake, rows) == len(hostile)
    found = lake.rows(TABLE.address, "model_version", "average_precision")
    assert found == sorted(((text, None) for text in hostile), key=repr)
    assert replace(lake, rows) == 0


def test_the_two_ways_find_each_others_rows_unchanged(lake, monkeypatch):
    rows = [row(day, log_loss=value) for day, value in enumerate((0.1, float("nan"), float("inf"), -0.0))]
    days = range(4)
    replace(lake, rows, days=days)
    monkeypatch.setattr(few, "FEW_ROWS", 0 if few.FEW_ROWS else 100_000)
    assert replace(lake, rows, days=days) == 0


def test_another_writer_between_the_look_and_the_branch_doubles_nothing(lake, monkeypatch):
    from cilake.publish import replace as module

    def open_late(*arguments):
        if not held(lake):
            lake.insert(TABLE.address, [row(log_loss=0.5)])
        return open_branch(*arguments)

    monkeypatch.setattr(module, "open_branch", open_late)
    try:
        replace(lake, [row(log_loss=0.25)])
    except PublishError as error:
        assert "was changed by another run meanwhile; run again" in str(error)
    assert len(held(lake)) == 1
    replace(lake, [row(log_loss=0.25)])
    assert [one[-1] for one in held(lake)] == [0.25]
