"""`make new-source`, `new-table`, `new-model`: the files of an addition, which pass all checks as they are.

A source is a copy of the worked example in the tree; tables and models are copies of what is in
deploy/scaffolds. Only names differ.
"""

from __future__ import annotations

import argparse
import keyword
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy.local.commands.command import Command
from deploy.local.errors import StackError
from deploy.local.install import environments
from deploy.local.layout import REPO, Layout

from cilake.log import logger

EXAMPLES = {"source": "example_ci", "table": "example_table", "model": "example_model"}
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAX_NAME = 40
_EXISTING = ("jobs/cilake/sources", "jobs/cilake/models")
"""Where a folder of that name would hide a module."""
_TEXTS = (".py", ".md", ".json")


def create(here: Layout, kind: str, name: str, *, root: Path = REPO) -> list[Path]:
    """Write the files of a new source, table or model and what is generated from them; return the former.

    A table is named by its address, ``kpi.<table>``.

    Raises:
        StackError: when the name is none, or something of it exists.

    """
    if kind == "table" and name.startswith("kpi."):
        name = name.removeprefix("kpi.")
    elif kind == "table":
        raise StackError(f"NAME={name} is no address of a table for people: kpi.<table>")
    example = EXAMPLES[kind]
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME or keyword.iskeyword(name):
        raise StackError(
            f"NAME={name[:60]} is no name: at most {_MAX_NAME} small letters, digits and single underscores, "
            "and no word of Python"
        )
    prefix = f"CILAKE_{name.upper()}_"
    if kind == "source" and prefix in (root / ".env.example").read_text(encoding="utf-8"):
        raise StackError(f"NAME={name}: {prefix}… are settings of the stack: choose another NAME")
    if taken := [folder for folder in _EXISTING if (root / folder / f"{name}.py").exists()]:
        raise StackError(f"{taken[0]}/{name}.py exists: choose another NAME")
    files = {root / _rename(str(path), example, name): text for path, text in _read(kind, root)}
    if existing := [path for path in files if path.exists()]:
        raise StackError(f"{existing[0].relative_to(root)} exists: choose another NAME")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_rename(text, example, name), encoding="utf-8")
        _generate(here, root, list(files))
    except BaseException:
        for path in files:
            path.unlink(missing_ok=True)
        _remove_empty({path.parent for path in files}, root)
        raise
    for path in files:
        logger.info(f"{path.relative_to(root)}: written")
    logger.info(f"next: docs/howto/add-a-{kind}.md, then make test")
    return list(files)


def _remove_empty(folders: set[Path], root: Path) -> None:
    for folder in sorted(folders, key=lambda path: -len(path.parts)):
        if folder.is_dir() and not any(folder.iterdir()) and folder != root:
            folder.rmdir()


def _read(kind: str, root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of the example, by their path in the tree."""
    if kind == "source":
        example = EXAMPLES[kind]
        folders = [root / "jobs/cilake/sources" / example, root / "tests/sources" / example]
        paths = [path for folder in folders for path in folder.rglob("*")]
        paths += (root / "jobs/cilake/contracts/raw").glob(f"{example}__*.py")
        paths.append(root / f"dags/land_{example}.py")
        base = root
    else:
        base = root / "deploy/scaffolds" / kind
        paths = list(base.rglob("*"))
    for path in sorted(paths):
        if path.is_file() and path.suffix in _TEXTS:
            yield path.relative_to(base), path.read_text(encoding="utf-8")


def _rename(text: str, example: str, name: str) -> str:
    """Return the text with the name in place of the example's, in each way of writing it."""
    for old, new in (
        (example, name),
        (example.upper(), name.upper()),
        (_camel(example), _camel(name)),
        ("Example CI", name.replace("_", " ").title()),
    ):
        text = text.replace(old, new)
    return text


def _camel(name: str) -> str:
    return "".join(word.title() for word in name.split("_"))


def _generate(here: Layout, root: Path, files: list[Path]) -> None:
    """Sort the imports by ruff, as their order depends on names; write suites and pages by `cilake docs`."""
    modules = [str(path) for path in files if path.suffix == ".py"]
    python = str(here.bin("jobs", "python"))
    environment = {"PYTHONPATH": f"{root / 'jobs'}:{root}", "PATH": str(here.bin("jobs", "python").parent)}
    for args in (
        ["-m", "ruff", "check", "--quiet", "--select", "I", "--fix", *modules],
        ["-m", "ruff", "format", "--quiet", *modules],
        ["-m", "cilake.cli", "docs"],
    ):
        done = subprocess.run(
            [python, *args], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StackError(f"{' '.join(args)} failed:\n{done.stdout}{done.stderr}")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True)


def _new(arguments: argparse.Namespace, here: Layout) -> int:
    environments.setup(here)
    create(here, arguments.command.removeprefix("new-"), arguments.name)
    return 0


COMMANDS = tuple(Command(f"new-{kind}", _new, _arguments) for kind in EXAMPLES)
