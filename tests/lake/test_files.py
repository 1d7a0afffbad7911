"""Files of tables: only those that can say something are read."""

import pyarrow as pa
import pytest
from tests.support.builders import make_row
from tests.support.lake_session import make_catalog

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.lake.files import narrow, open_days


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three files of runs, read as they are consumed."""
    present = make_catalog(tmp_path_factory.mktemp("lake")).load_table(CI_RUNS.address)
    for first in (0, 10, 20):
        rows = [make_row(CI_RUNS, run_key=key) for key in range(first, first + 3)]
        present.append(pa.Table.from_pylist(rows, schema=present.schema().as_arrow()))
    opened = open_days(present, None, None, snapshot=None, limit=100)
    assert opened is not None
    return opened[0]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [([11], [10, 11, 12]), ([2, 21, 99], [0, 1, 2, 20, 21, 22]), ([99], []), ([], [])],
    ids=["one file", "two files", "none", "nothing"],
)
def test_of_files_without_a_value_no_row_is_read(runs, wanted, found):
    rows = narrow(runs, "run_key", pa.array(wanted, pa.int64()))
    held = rows if isinstance(rows, pa.Table) else rows.to_table()
    assert sorted(held["run_key"].to_pylist()) == found
    assert held.schema.names == CI_RUNS.column_names


def test_rows_that_are_here_already_stay_as_they_are():
    rows = pa.table({"run_key": [1]})
    assert narrow(rows, "run_key", pa.array([2])) is rows
