"""``cilake docs``: everything that is generated from contracts into the repository."""

from __future__ import annotations

from pathlib import Path

from cilake.contracts.registry import tables
from cilake.quality.suite import write_suites
from cilake.render.dags import render_dags
from cilake.render.dictionary import write_docs
from cilake.render.trino_rules import write_rules


def write_pages(root: Path) -> dict[str, int]:
    """Write suites, pages and Trino's rules where they differ; return how many of each."""
    suites = write_suites()  # the pages show them
    pages = write_docs(root / "docs" / "tables")
    if (page := root / "docs" / "dags.md") in (stale := stale_pages(root)):
        page.write_text(render_dags(root / "dags"), encoding="utf-8")
    return {
        "suites": len(suites),
        "pages": len(pages) + len(stale),
        "rules": int(write_rules(root / "deploy" / "trino" / "rules.json", tables())),
    }


def stale_pages(root: Path) -> list[Path]:
    """Return the page of the DAGs if it is missing or differs from what their files say."""
    page = root / "docs" / "dags.md"
    is_fresh = page.exists() and page.read_text(encoding="utf-8") == render_dags(root / "dags")
    return [] if is_fresh else [page]
