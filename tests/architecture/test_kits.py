"""What makes an addition local: declarations that are read, and shared files that name no source or model."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from cilake.contracts.model import Column, Table
from cilake.contracts.model_spec import Gate, Model
from cilake.contracts.rebuild import Rebuild
from cilake.sources.base import Collected, Landing, Source

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "jobs" / "cilake"
NO_READERS = [
    PACKAGE / "contracts" / "model.py",
    *(PACKAGE / "render" / f"{name}.py" for name in ("dictionary", "pages", "data_changelog", "dags")),
]
"""Files that declare fields, or only show them to people."""
DECLARED = (Table, Column, Rebuild, Model, Gate, Source, Landing, Collected)

SOURCES = sorted(path.parent.name for path in (PACKAGE / "sources").glob("*/source.py"))
MODELS = sorted(path.parent.name for path in (PACKAGE / "models").glob("*/spec.py"))
FOLDERS = ("jobs", "plugins", "deploy", "simulator")
NAMED_WITH_REASON = {
    "deploy/local/configuration.py": "the source that a new stack lands by default",
    "deploy/local/commands/nights/world.py": "the source that the simulator stands for",
    "deploy/local/commands/nights/report.py": "the columns of the demonstration's closing table",
    "deploy/local/commands/checks.py": "the payloads that a soak fuzzes",
    "deploy/local/commands/scaffold.py": "the examples that a new source and model are copied from",
    "deploy/sources.env.example": "settings of a source to begin with",
    "simulator/ciworld/cli.py": "the service whose recordings are replayed by default",
}
"""Shared files that may name a source or a model, and why."""


def _shared() -> list[Path]:
    """The files of the platform that belong to no source and no model."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = "|".join((*SOURCES, *MODELS))
    own = re.compile(rf"/(?:{names})(?:/|\.py$|__\w+\.py$|_\w+\.py$)")
    # A table is its own file, and so is what makes it; the simulator shows services by theirs.
    of_tables = re.compile(
        r"^jobs/cilake/(?:contracts|transforms)/(?!vocabulary)\w+/\w+\.py$|^simulator/ciworld/recorded/"
    )
    return [
        ROOT / name
        for name in listed.stdout.splitlines()
        if name.endswith((".py", ".example", ".toml", ".yaml"))
        and (ROOT / name).is_file()
        and not own.search(name)
        and not of_tables.search(name)
    ]


@pytest.mark.parametrize("kind", DECLARED, ids=lambda kind: kind.__name__)
def test_every_field_has_a_reader(kind: type) -> None:
    """What nobody obeys is no declaration."""
    read = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("jobs/cilake", "plugins", "dags", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if path not in NO_READERS
    )
    fields = [field.name for field in dataclasses.fields(kind)]
    assert [name for name in fields if not re.search(rf"\.{name}\b", read)] == []


@pytest.mark.parametrize("name", [*SOURCES, *MODELS])
def test_no_shared_file_names_a_source_or_a_model(name: str) -> None:
    """However it is written: `testgrid`, `TestGrid`, `land_testgrid`, `CILAKE_TESTGRID_URL`."""
    words = name.split("_")
    written = re.compile(rf"(?<![a-z]){'[-_ ]?'.join(words)}(?![a-z])", re.IGNORECASE)
    if words == ["test", "failure"]:  # as words, what any test does
        written = re.compile(rf"(?<![a-z]){name}(?![a-z])", re.IGNORECASE)
    found = []
    for path in _shared():
        relative = str(path.relative_to(ROOT))
        if relative not in NAMED_WITH_REASON:
            lines = path.read_text(encoding="utf-8").splitlines()
            found += [
                f"{relative}:{number}: {line.strip()[:90]}"
                for number, line in enumerate(lines, start=1)
                if written.search(line)
            ]
    assert found == []


def test_every_file_that_may_name_one_does() -> None:
    """An exception that nobody needs any more is none."""
    named = re.compile("|".join((*SOURCES, *MODELS)), re.IGNORECASE)
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMED_WITH_REASON}
    assert [name for name, text in texts.items() if not named.search(text)] == []
