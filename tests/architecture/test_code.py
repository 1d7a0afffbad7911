"""Rules about the code that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sorted(
    path
    for folder in ("jobs", "simulator", "plugins", "dags", "deploy", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
JOBS = [path for path in PYTHON if path.is_relative_to(ROOT / "jobs")]


def _imports(path: Path) -> set[str]:
    """The full names of all modules a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def _roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in _imports(path)}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_layers_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "path",
    [p for p in JOBS if "contracts" in p.parts or p.name in ("settings.py", "windows.py")],
    ids=_name,
)
def test_lowest_layer_needs_only_the_standard_library(path) -> None:
    assert _roots(path) - set(sys.stdlib_module_names) <= {"cilake"}


def test_jobs_and_simulator_know_nothing_of_airflow() -> None:
    world = [path for path in PYTHON if path.is_relative_to(ROOT / "simulator")]
    assert [_name(path) for path in JOBS + world if {"airflow", "cilake_airflow"} & _roots(path)] == []


def test_nothing_unpickles() -> None:
    banned = {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}
    assert [_name(path) for path in PYTHON if banned & _roots(path)] == []


def test_only_settings_reads_settings_from_the_environment() -> None:
    """Everything else is given a ``Settings``; elsewhere ``CILAKE_`` may only be in messages."""
    readers = [
        _name(path)
        for path in JOBS
        if path.name != "settings.py"
        and re.search(r"(environ|getenv)[^\n]*CILAKE_", path.read_text(encoding="utf-8"))
    ]
    assert readers == []


def test_no_drawers_for_leftovers() -> None:
    drawers = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert [_name(path) for path in PYTHON if drawers & {path.stem, *path.relative_to(ROOT).parts}] == []


def test_modules_stay_readable() -> None:
    long = {_name(p): n for p in PYTHON if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400}
    assert long == {}


def test_no_file_names_the_machine_it_was_written_on() -> None:
    # The first letter is apart so that this file does not find itself.
    machines = re.compile("|".join(["/" + "work/", "/" + "root/", "/" + "home/", "/" + "Users/"]))
    texts = [
        path
        for suffix in ("py", "md", "json", "toml", "in", "txt", "sh", "yaml", "yml", "ini", "cfg")
        for folder in ("jobs", "simulator", "plugins", "dags", "deploy", "docs", "expectations", "tests")
        for path in (ROOT / folder).rglob(f"*.{suffix}")
    ]
    found = [
        _name(path) for path in texts if machines.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


# fmt: off
VERBS = {
    "Add", "Allow", "Append", "Build", "Call", "Cancel", "Change", "Check", "Close", "Complete", "Count",
    "Cover", "Create", "Decode", "Demote", "Download", "Drop", "End", "Exclude", "Fetch", "Fill", "Finish",
    "Fit", "Forget", "Give", "Import", "Keep", "Land", "Let", "Log", "Look", "Maintain", "Make", "Measure",
    "Merge", "Migrate", "Move", "Note", "Open", "Pass", "Pause", "Plan", "Play", "Prepare", "Print", "Put",
    "Quarantine", "Raise", "Read", "Record", "Redirect", "Release", "Remove", "Replace", "Report",
    "Request", "Reserve", "Return", "Rewrite", "Run", "See", "Send", "Serve", "Set", "Sort", "Split",
    "Start", "Stop", "Store", "Submit", "Switch", "Take", "Terminate", "Train", "Unpack", "Update", "Wait",
    "Write", "Yield",
}
# fmt: on
"""The verbs with which docstrings of functions begin: a new one is added here when no other fits."""


def _functions(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Name, first line of the docstring and whether a truth value is returned, of documented functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_property = any("property" in ast.unparse(one) for one in node.decorator_list)
        if (text := ast.get_docstring(node)) and not is_property:
            returns = ast.unparse(node.returns) if node.returns else ""
            yield f"{_name(path)}: {node.name}", text.splitlines()[0], returns == "bool"


FUNCTIONS = [one for path in PYTHON for one in _functions(path)]


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    """Properties, values and classes are noun phrases."""
    first = [(name, re.split(r"\W", line)[0]) for name, line, _ in FUNCTIONS]
    assert [(name, word) for name, word in first if word not in VERBS] == []


def test_predicates_return_whether_something_is_so() -> None:
    odd = [name for name, line, is_predicate in FUNCTIONS if is_predicate and "eturn whether " not in line]
    assert odd == []
