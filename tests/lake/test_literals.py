"""Texts in SQL are read alike by every engine, or refused."""

import pytest

from cilake.lake.literals import listed, quoted
from cilake.transforms.engines import DuckEngine


@pytest.mark.parametrize("text", ["plain", "it's", "''", 'a "b"', "", "ü ✓\n"])
def test_a_text_is_read_as_it_was(text):
    read = DuckEngine().sql(f"SELECT {quoted(text)} AS one, 'x' IN {listed(['x', text])} AS is_listed")
    assert read.to_pylist() == [{"one": text, "is_listed": True}]


@pytest.mark.parametrize("text", ["a\\nb", "{input}", "}"])
def test_a_text_that_spark_reads_otherwise_is_refused(text):
    with pytest.raises(ValueError, match="Spark reads otherwise"):
        quoted(text)
