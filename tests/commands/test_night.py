"""The steps of a day in one process: their order, what is left out, and what ends them."""

from datetime import date

import pytest

from cilake import cli
from cilake.commands import night
from cilake.commands.steps import steps_of_night

SUNDAY, MONDAY = "2026-03-01", "2026-03-02"


@pytest.fixture
def done(monkeypatch):
    """The steps that were done, with their days; only TestGrid is configured."""
    done = []
    monkeypatch.setenv("CILAKE_TESTGRID_DASHBOARDS", "board")
    monkeypatch.delenv("CILAKE_EXAMPLE_CI_PROJECTS", raising=False)
    for name in ("URI", "USER", "PASSWORD"):
        monkeypatch.setenv(f"CILAKE_CATALOG_{name}", "postgresql://given")

    def run(work, settings, window, *, verb, of):
        done.append((f"{verb}_{of}", window.start))
        return {"rows": len(done)}

    monkeypatch.setattr(night, "run_recorded", run)
    return done


def test_a_step_comes_after_those_whose_tables_it_reads():
    steps = [f"{verb}_{of}" for verb, of in steps_of_night()]
    wanted = [
        "land_testgrid",
        "build_core_ci",
        "build_kpi_ci_health",
        "score_test_failure",
        "measure_test_failure",
        "build_kpi_predictions",
    ]
    assert set(steps) > set(wanted)
    for before, after in (wanted[:2], wanted[1:3], wanted[1:4:2], wanted[3:5], wanted[3::2]):
        assert steps.index(before) < steps.index(after)


def test_without_settings_of_the_lake_it_says_where_they_are(done, monkeypatch, capsys):
    for name in ("CILAKE_CATALOG_URI", "CILAKE_TESTGRID_DASHBOARDS"):
        monkeypatch.delenv(name)
    assert cli.main(["night", "--start", SUNDAY]) == 2
    assert "missing settings: CILAKE_CATALOG_URI" in capsys.readouterr().err
    assert done == []


def test_days_come_one_after_the_other_and_models_are_trained_on_mondays(done, capsys):
    assert cli.main(["night", "--start", SUNDAY, "--end", "2026-03-03"]) == 0
    days = [day for _, day in done]
    assert days == sorted(days)
    assert ("train_test_failure", date(2026, 3, 2)) in done
    trained = [step.startswith("train_") for step, _ in done]
    assert trained == sorted(trained), "at the end, and not on Sunday"
    assert '"build_core_ci": {"rows": 2}' in capsys.readouterr().out


def test_steps_are_left_out_by_name_or_verb(done):
    assert cli.main(["night", "--start", MONDAY, "--skip", "train, score,measure_test_failure"]) == 0
    steps = [step for step, _ in done]
    assert steps[:3] == ["land_testgrid", "build_core_ci", "build_kpi_ci_health"]
    assert "measure_test_failure" not in steps
    assert not any(step.startswith(("train", "score")) for step in steps)


def test_only_sources_that_are_configured_or_named_are_landed(done, monkeypatch, capsys):
    args = ["night", "--start", SUNDAY, "--skip", "build,score,measure"]
    assert cli.main([*args, "--sources", "example_ci"]) == 0
    assert [step for step, _ in done] == ["land_example_ci"]
    monkeypatch.delenv("CILAKE_TESTGRID_DASHBOARDS")
    assert cli.main(args) == 2
    assert "no source is configured: set one of CILAKE_EXAMPLE_CI_PROJECTS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--sources", "nosuch"], "no source nosuch: there are example_ci, testgrid"),
        (["--skip", "scor"], "no step scor: there are build, build_core_ci, "),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_done(done, capsys, args, message):
    assert cli.main(["night", "--start", SUNDAY, *args]) == 2
    assert message in capsys.readouterr().err
    assert done == []
