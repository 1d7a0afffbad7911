"""Columns of frames can be compared, resampled and counted, whatever is in them, and when nothing is."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from cilake.client.frames import answer_frame, table_frame

KEY = 2**62 + 1  # not a float: the nearest one is one less

INSTANTS = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]

COLUMNS = {
    "key": (pa.int64(), [KEY, 2], "int64"),
    "optional_key": (pa.int64(), [KEY, None], "Int64"),
    "count": (pa.int32(), [None, 1], "Int32"),
    "is_it": (pa.bool_(), [True, False], "bool"),
    "was_it": (pa.bool_(), [True, None], "boolean"),
    "ratio": (pa.float64(), [0.5, None], "float64"),
    "day": (pa.date32(), [date(1, 1, 1), date(9999, 12, 31)], "datetime64[s]"),
    "instant": (
        pa.timestamp("us", tz="UTC"),
        INSTANTS,
        "datetime64[us, UTC]",
    ),
}
REQUIRED = ("key", "is_it")


@pytest.fixture
def rows():
    schema = pa.schema(
        [pa.field(name, kind, nullable=name not in REQUIRED) for name, (kind, _, _) in COLUMNS.items()]
    )
    return pa.table({name: values for name, (_, values, _) in COLUMNS.items()}, schema=schema)


def dtypes(frame):
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def test_every_column_has_its_type_also_when_there_are_no_rows(rows):
    expected = {name: dtype for name, (_, _, dtype) in COLUMNS.items()}
    assert dtypes(table_frame(rows)) == expected
    assert dtypes(table_frame(rows.slice(0, 0))) == expected


def test_text_has_one_type_whether_there_are_rows_or_not():
    for kind in (pa.string(), pa.large_string()):
        full, empty = (table_frame(pa.table({"text": pa.array(texts, kind)})) for texts in (["a", None], []))
        assert full["text"].dtype == empty["text"].dtype == pd.Series(["a"]).dtype


def test_values_come_through_unchanged(rows):
    frame = table_frame(rows)
    assert list(frame["key"]) == [KEY, 2]
    assert frame["optional_key"][0] == KEY and frame["optional_key"][1] is pd.NA
    assert [day.date() for day in frame["day"]] == COLUMNS["day"][1]
    assert [instant.to_pydatetime() for instant in frame["instant"]] == COLUMNS["instant"][1]


def test_days_compare_with_texts_and_resample_by_week():
    days = [date(2026, 2, 19), date(2026, 2, 20), date(2026, 2, 27)]
    frame = table_frame(pa.table({"run_date": pa.array(days, pa.date32()), "run_count": [1, 2, 3]}))
    assert list(frame[frame.run_date >= "2026-02-20"]["run_count"]) == [2, 3]
    assert list(frame.run_date.dt.day_name()) == ["Thursday", "Friday", "Friday"]
    assert list(frame.resample("W", on="run_date")["run_count"].sum()) == [3, 3]


TRINO = {
    "bigint": ([KEY, None], "Int64"),
    "integer": ([1, None], "Int32"),
    "boolean": ([True, None], "boolean"),
    "double": ([0.5, None], "float64"),
    "decimal(38, 2)": ([Decimal("1.25"), None], "float64"),
    "date": ([date(9999, 12, 31), None], "datetime64[s]"),
    "timestamp(6)": ([INSTANTS[0].replace(tzinfo=None), None], "datetime64[us]"),
    "timestamp(3) with time zone": (
        [datetime(2026, 2, 20, 1, tzinfo=timezone(timedelta(hours=2))), None],
        "datetime64[us, UTC]",
    ),
    "varbinary": ([b"x", None], "object"),
    "array(bigint)": ([[1, 2], None], "object"),
    "map(varchar(1), bigint)": ([{"a": 1}, None], "object"),
    "unknown": ([None, None], "object"),
}


def test_answers_are_typed_by_what_trino_says_also_when_they_are_empty():
    columns = [(kind, kind) for kind in TRINO]
    answers = [tuple(values[i] for values, _ in TRINO.values()) for i in range(2)]
    frame = answer_frame(columns, answers)
    expected = {kind: dtype for kind, (_, dtype) in TRINO.items()}
    assert dtypes(frame) == expected == dtypes(answer_frame(columns, []))
    first = frame.iloc[0]
    assert first["bigint"] == KEY
    assert first["timestamp(3) with time zone"] == pd.Timestamp("2026-02-19T23:00:00Z")
    assert (first["decimal(38, 2)"] * 2, first["array(bigint)"]) == (2.5, [1, 2])
    assert frame.iloc[1].isna().all()


def test_an_answer_may_repeat_a_name():
    frame = answer_frame([("a", "bigint"), ("a", "varchar")], [(1, "x")])
    assert list(frame.columns) == ["a", "a"]
    assert frame.iloc[0, 1] == "x"
