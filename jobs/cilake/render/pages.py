"""``cilake docs``: everything that is generated from contracts into the repository."""

from __future__ import annotations

from pathlib import Path

from cilake.contracts.registry import tables
from cilake.quality.suite import write_suites
from cilake.render.dictionary import write_docs
from cilake.render.trino_rules import write_rules


def write_pages(root: Path) -> dict[str, int]:
    """Write suites, table pages and Trino's rules where they differ; return how many of each."""
    return {
        "suites": len(write_suites()),
        "pages": len(write_docs(root / "docs" / "tables")),
        "rules": int(write_rules(root / "deploy" / "trino" / "rules.json", tables())),
    }
