"""Words and names that were replaced by plainer ones do not come back."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("jobs", "simulator", "plugins", "dags", "deploy", "benchmarks", "tests", "docs")
# The changelog is history, and this file names the words.
TEXTS = sorted(
    path
    for path in [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
        *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")),
    ]
    if path.suffix in (".py", ".md") and path != Path(__file__).resolve()
)

WORDS = {
    "anew": "again",
    "beside": "next to, in parallel",
    "mend": "fix",
    "mended": "fixed",
    "mends": "fixes",
    "of its own": "its own, separate",
    "of their own(?! [a-z])": "their own, separate",
    "patience": "timeout",
    "told": "logged, reported, given",
    "upkeep": "maintenance",
}
"""Words of prose, each with what is written instead."""

NAMES = {
    "AHEAD": "PREFETCH",
    "AHEAD_BYTES": "PREFETCH_BYTES",
    "AHEAD_OF_ALL": "MAX_CLOCK_LEAD",
    "AwsPlace": "AwsDeployment",
    "BadDay": "DayError",
    "CHECKOUT": "SUITES_DIR",
    "CILAKE_REJECTED_RATIO": "CILAKE_MAX_LOST_RATIO",
    "Dice": "Rng",
    "EarlierLayoutError": "OutdatedModelError",
    "Known": "StoredContent",
    "NO_ANSWER": "CONNECTION_ERRORS",
    "Place": "TableLocation",
    "Pretended": "FakeAirflow",
    "Scratch": "TemporaryStack",
    "UPKEEP_SECONDS": "MAINTENANCE_SECONDS",
    "dice": "rng",
    "place_of": "location_of",
    "prepare_audit": "preload_great_expectations",
    "rejected_ratio": "max_lost_ratio",
    r"(?:said|printed|told) =": "what it is",
    r"def _?say": "a logger",
    r"_?MOST_[A-Z]\w*": "MAX_…",
    r"_?LEAST_[A-Z]\w*": "MIN_…",
}
"""Names in code, each with its replacement; those that are English words may occur in a page."""


def _found(pattern: str, paths: list[Path], flags: int = 0) -> list[str]:
    """Where a pattern occurs: file, line and what was found."""
    words = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", flags)
    return [
        f"{path.relative_to(ROOT)}:{number}: {found[0]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (found := words.search(line))
    ]


def test_replaced_words_do_not_occur() -> None:
    assert _found("|".join(WORDS), TEXTS, re.IGNORECASE) == [], WORDS


def test_replaced_names_do_not_occur() -> None:
    code = [path for path in TEXTS if path.suffix == ".py"]
    assert _found("|".join(NAMES), code) == [], NAMES
    pages, english = [path for path in TEXTS if path.suffix == ".md"], {"Known", "Place", "Scratch", "dice"}
    assert _found("|".join(NAMES.keys() - english), pages) == [], NAMES
