"""The queries of the guides: every SQL block of the pages that people read, under the question it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
GUIDES = ("README.md", "docs/ci-engineer.md")
"""The pages whose SQL blocks people find in Superset as saved queries."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class GuideQuery:
    """One query with the sentence above it as its label, and the page it comes from."""

    label: str
    sql: str
    guide: str


def read_queries(repo: Path = REPO) -> list[GuideQuery]:
    """Return the queries of all guides in their order.

    Raises:
        ValueError: when a block has no sentence above it, or two blocks have the same.

    """
    found: dict[str, GuideQuery] = {}
    for guide in GUIDES:
        for query in parse(guide, (repo / guide).read_text(encoding="utf-8")):
            if query.label in found:
                raise ValueError(
                    f"{guide}: a second SQL block under {query.label!r}: change the sentence above"
                )
            found[query.label] = query
    return list(found.values())


def parse(guide: str, text: str) -> list[GuideQuery]:
    """Return the queries of one page: each SQL block, labelled by the last sentence before it."""
    queries = []
    for block in re.finditer(r"^```sql\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE):
        paragraph = " ".join(text[: block.start()].rstrip().rpartition("\n\n")[2].split())
        label = _SENTENCE_END.split(paragraph)[-1].rstrip(":").strip()
        if not label or label.startswith(("#", "|", "```")):
            line = text.count("\n", 0, block.start()) + 1
            raise ValueError(
                f"{guide}, line {line}: an SQL block without a sentence above: write its question"
            )
        queries.append(GuideQuery(label, block.group(1), guide))
    return queries
