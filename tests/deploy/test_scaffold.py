"""What `make new-…` writes passes all checks as it is, in a copy of the tree, and touches no other file."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from deploy.local.commands import scaffold
from deploy.local.errors import StackError
from deploy.local.layout import REPO, current

GENERATED = "<!-- Generated from "
ADDED = {"source": "tidy_ci", "table": "kpi.tidy_counts", "model": "tidy_model"}


def git(*args, cwd):
    done = subprocess.run(["git", *args], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree with a new source, table and model in it."""
    root = tmp_path_factory.mktemp("tree")
    for name in git("ls-files", "--cached", "--others", "--exclude-standard", cwd=REPO):
        if (REPO / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, root / name)
    git("init", "--quiet", cwd=root)
    git("add", "--all", cwd=root)
    for kind, name in ADDED.items():
        scaffold.create(current(), kind, name, root=root)
    return root


def run(tree, *args):
    paths = os.pathsep.join([str(tree / "jobs"), str(tree / "simulator"), str(tree)])
    environment = os.environ | {"PYTHONPATH": paths, "MYPYPATH": "jobs:simulator"}
    done = subprocess.run(
        [sys.executable, *args], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def is_generated(path):
    return GENERATED in path.read_text() or path.name == "rules.json"


def test_an_addition_touches_no_shared_file_but_what_is_generated(tree):
    changed = git("diff", "--name-only", cwd=tree)
    assert [name for name in changed if not is_generated(tree / name)] == []
    added = git("ls-files", "--others", "--exclude-standard", cwd=tree)
    names = ("tidy_ci", "tidy_counts", "tidy_model")
    assert len(added) > 20 and [path for path in added if not any(name in path for name in names)] == []
    texts = [(tree / path).read_text() for path in added]
    assert not any(example in text for text in texts for example in scaffold.EXAMPLES.values())


def test_an_addition_passes_the_linters(tree):
    run(tree, "-m", "ruff", "check", ".")
    run(tree, "-m", "ruff", "format", "--check", ".")
    run(tree, "-m", "mypy", "jobs/cilake/sources/tidy_ci", "jobs/cilake/models/tidy_model")


@pytest.mark.spark
@pytest.mark.timeout(1800)
def test_an_addition_passes_its_tests_and_those_of_the_architecture(tree):
    tests = ["architecture", "sources/tidy_ci", "models/tidy_model", "transforms/kpi/test_tidy_counts.py"]
    tests += ["transforms/predictions/test_tidy_model_outcomes.py", "commands/test_night.py"]
    tests += ["deploy/test_nights.py::test_a_night", "build/test_targets.py"]
    args = [f"tests/{one}" for one in tests]
    run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *args)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("source", "testgrid", "exists: choose another NAME"),
        ("source", "My-CI", "is no name"),
        ("model", "../x", "is no name"),
        ("table", "core.mine", "is no address of a table for people"),
        ("table", "kpi.daily_job_health", "exists: choose another NAME"),
        ("source", "http", "sources/http.py exists"),
        ("model", "registry", "exists: choose another NAME"),
        ("source", "class", "is no name"),
        ("source", "superset", "are settings of the stack"),
        ("table", "kpi.import", "is no name"),
        ("model", "m" * 300, "is no name: at most 40"),
    ],
)
def test_a_name_that_is_taken_or_none_is_refused_before_anything_is_written(kind, name, message):
    before = git("status", "--porcelain", cwd=REPO)
    with pytest.raises(StackError, match=message):
        scaffold.create(current(), kind, name)
    assert git("status", "--porcelain", cwd=REPO) == before


def test_what_fails_leaves_no_file(tree, monkeypatch):
    before = git("status", "--porcelain", "--untracked-files=all", cwd=tree)

    def fail(here, root, files):
        raise StackError("the linter fell over")

    monkeypatch.setattr(scaffold, "_generate", fail)
    for kind in ADDED:
        with pytest.raises(StackError, match="fell over"):
            scaffold.create(current(), kind, "kpi.late_one" if kind == "table" else "late_one", root=tree)
    assert git("status", "--porcelain", "--untracked-files=all", cwd=tree) == before
    assert not (tree / "jobs/cilake/sources/late_one").exists()


@pytest.mark.parametrize(
    ("kind", "shown"), [("source", "my_ci"), ("table", "my_table"), ("model", "my_model")]
)
def test_a_how_to_page_names_the_files_that_are_written(tree, kind, shown):
    page = (REPO / "docs/howto" / f"add-a-{kind}.md").read_text()
    assert f"make new-{kind} NAME=" in page
    named = re.findall(rf"`((?:jobs|dags|tests|expectations)/[^` ]*{shown}[^` ]*)`", page)
    assert len(named) > 2
    for path in named:
        pattern = path.replace(shown, ADDED[kind].rpartition(".")[2]).replace("<endpoint>", "*")
        patterns = [pattern]
        if found := re.search(r"\{(.*)\}", pattern):
            patterns = [pattern.replace(found[0], one) for one in found[1].split(",")]
        for one in patterns:
            assert list(tree.glob(one)), f"{path}: no {one}"
