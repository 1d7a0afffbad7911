"""The extras of the package name the libraries that the jobs environment has been tested with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
PINNED = dict(
    re.findall(r"^([\w-]+)(?:\[.*\])?==([\d.]+)", (ROOT / "requirements/jobs.txt").read_text(), re.M)
)
SERVER = {"pyspark-client": "pyspark"}  # the client is its own package, of the server's minor version


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@pytest.mark.parametrize("extra", ["polars", "duckdb", "spark"])
def test_the_pinned_version_is_within_the_bounds_of_the_extra(extra) -> None:
    (requirement,) = EXTRAS[extra]
    name, low, high = re.fullmatch(r"([\w-]+)>=([\d.]+),<([\d.]+)", requirement).groups()
    assert numbers(low) <= numbers(PINNED[SERVER.get(name, name)]) < numbers(high)


def test_every_extra_is_named_where_analysts_read() -> None:
    pages = [(ROOT / "docs" / page).read_text() for page in ("analyst.md", "exports.md")]
    for extra in EXTRAS:
        assert any(extra in named for page in pages for named in re.findall(r"\.\[([\w,]+)\]", page)), extra
