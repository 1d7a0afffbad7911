"""The data changelog says what changed for readers, and nothing else."""

from dataclasses import replace

import pytest

from cilake.contracts.registry import tables
from cilake.render.data_changelog import differences, new_baseline, render_changelog, snapshot

ADDRESS = "core.ci_jobs"


def changed(**facts):
    before = {ADDRESS: tables()[ADDRESS]}
    return list(differences(snapshot(before), snapshot({ADDRESS: replace(before[ADDRESS], **facts)})))


def test_equal_contracts_differ_in_nothing():
    assert list(differences(snapshot(), snapshot())) == []
    assert changed(description="Worded otherwise.", example_query="select 1") == []


def test_tables_and_columns_come_and_go():
    every, fewer = snapshot(), snapshot()
    del fewer[ADDRESS]
    assert list(differences(every, fewer)) == [f"`{ADDRESS}` is gone"]
    assert list(differences(fewer, every)) == [f"`{ADDRESS}` is new"]
    columns = tables()[ADDRESS].columns
    assert changed(columns=columns[:-1]) == [f"`{ADDRESS}`: column `is_fips` is gone"]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"primary_key": ("job_key", "release")}, "primary key was (job_key), is (job_key, release)"),
        ({"grain": "One row."}, "grain was One row per job of a CI system., is One row."),
        ({"made_by": "build_other"}, "made by was build_core_ci, is build_other"),
    ],
)
def test_what_readers_rely_on_is_said_with_both_values(facts, message):
    # A key may not be null, so it is the contract's own check that is left out here.
    table = tables()[ADDRESS]
    after = snapshot({ADDRESS: table})
    after[ADDRESS] |= {name: list(v) if isinstance(v, tuple) else v for name, v in facts.items()}
    assert list(differences(snapshot({ADDRESS: table}), after)) == [f"`{ADDRESS}`: {message}"]


def test_a_column_that_means_another_value_is_said():
    columns = tables()[ADDRESS].columns
    other = replace(columns[1], nullable=True)
    message = changed(columns=(columns[0], other, *columns[2:]))
    assert message == [f"`{ADDRESS}`: column `ci_system`: nullable was False, is True"]


def test_a_new_baseline_has_nothing_to_tell(tmp_path):
    (tmp_path / "data-baseline.json").write_text(new_baseline("release 9"))
    page = render_changelog(tmp_path)
    assert "since release 9" in page and page.endswith("\n\nNothing.\n")
