"""Test results: one row per result of the current observation, keyed like the names."""

from tests.support.decoded import observe
from tests.support.engines import rows_of
from tests.support.grids import make_table

from cilake.sources.keys import hash_name
from cilake.transforms.core import test_results
from cilake.transforms.core.ci_run_observations import select_standing


def test_results_become_rows_with_readable_statuses(engine):
    observed = observe(engine, make_table({"Overall": [12, 1], "a": [12, 13], "b": [0, 3]}))
    standing = select_standing(engine, observed, {})
    rows = rows_of(engine, test_results.transform(engine, standing=standing, observations=observed))
    names = {hash_name(name): name for name in ("Overall", "a", "b")}
    seen = {(names[r.test_key], str(r.run_date)): (r.test_status, r.message) for r in rows}
    assert len(seen) == len(rows)
    assert seen == {
        ("Overall", "2021-06-23"): ("failed", "boom"),
        ("Overall", "2021-06-22"): ("passed", None),
        ("a", "2021-06-23"): ("failed", "boom"),
        ("a", "2021-06-22"): ("flaky", None),
        ("b", "2021-06-22"): ("passed_with_skips", None),
    }
