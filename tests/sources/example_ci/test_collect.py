"""The requests to Example CI: each project once, and only what can name one."""

from datetime import timedelta

import pytest
from tests.conformance.sources import DAY
from tests.sources.example_ci.test_conformance import build, listing
from tests.support.lake_session import make_catalog
from tests.support.reply_service import reply_service

from cilake.commands import land, leave_out
from cilake.settings import Settings, SettingsError
from cilake.sources.example_ci.settings import ExampleCiSettings
from cilake.sources.registry import source
from cilake.windows import Window


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that lands projects of a service with two of them."""
    catalog = make_catalog(tmp_path)
    for module in (land, leave_out):
        monkeypatch.setattr(module, "open_catalog", lambda settings: catalog)
    with reply_service() as (url, replies):
        for project in ("one", "two"):
            replies[f"/{project}/builds.json"] = (200, listing(build(0)))

        def run(projects):
            own = ExampleCiSettings(url=url, projects=projects)
            window = Window(DAY, DAY + timedelta(days=1))
            return land.land(Settings(landing_seconds=60), window, source=source("example_ci"), own=own)

        yield run


def test_a_project_that_is_named_twice_is_asked_for_once(run):
    assert run("one, two,one")["landed"] == 2


@pytest.mark.parametrize("name", ["..", ".", "x/y", "a\nb"])
def test_what_cannot_name_a_project_is_a_setting_to_correct(run, name):
    with pytest.raises(SettingsError, match="cannot name a project"):
        run(f"one,{name}")


def test_a_landing_of_which_all_is_left_out_loses_nothing(run, capsys):
    leave_out.leave_out_payload(Settings(), "example_ci", "one", "it is gone", str(DAY), None)
    assert set(run("one").values()) == {0}
    assert "no request, all is left out" in capsys.readouterr().err


def test_a_project_that_is_not_there_is_named_and_the_others_are_landed(run, capsys):
    counts = run("one,none")
    assert (counts["landed"], counts["missing"]) == (1, 1)
    assert "has no project none: correct CILAKE_EXAMPLE_CI_PROJECTS" in capsys.readouterr().err
