"""``cilake docs``: everything that is generated from contracts into the repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cilake.contracts.registry import tables
from cilake.quality.suite import write_suites
from cilake.render.dags import render_dags
from cilake.render.data_changelog import BASELINE, PAGE, new_baseline, render_changelog
from cilake.render.dictionary import write_docs
from cilake.render.trino_rules import write_rules
from cilake.settings import SettingsError

SINGLE: dict[str, Callable[[Path], str]] = {
    "docs/dags.md": lambda root: render_dags(root / "dags"),
    f"docs/{PAGE}": lambda root: render_changelog(root / "docs"),
}
"""The generated pages that are no page of a table."""


def write_pages(root: Path, baseline: str = "") -> dict[str, int]:
    """Write suites, pages and Trino's rules where they differ; return how many of each.

    ``baseline`` names the state from which on the data changelog lists changes, such as a release.

    Raises:
        SettingsError: when the folder is no checkout.

    """
    if not (root / "docs").is_dir() or not (root / "dags").is_dir():
        raise SettingsError(f"--root {root} is no checkout: it has no docs/ and dags/")
    if baseline:
        (root / "docs" / BASELINE).write_text(new_baseline(baseline), encoding="utf-8")
    suites = write_suites()  # the pages show them
    pages = write_docs(root / "docs" / "tables")
    stale = stale_pages(root)
    for page in stale:
        page.write_text(SINGLE[str(page.relative_to(root))](root), encoding="utf-8")
    return {
        "suites": len(suites),
        "pages": len(pages) + len(stale),
        "rules": int(write_rules(root / "deploy" / "trino" / "rules.json", tables())),
    }


def stale_pages(root: Path) -> list[Path]:
    """Return the single pages that are missing or differ from what they are generated from."""
    pages = {root / name: render(root) for name, render in SINGLE.items()}
    return [
        page for page, text in pages.items() if not page.exists() or page.read_text(encoding="utf-8") != text
    ]
