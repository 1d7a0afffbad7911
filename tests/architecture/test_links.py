"""Every relative link in the pages for readers leads to a file."""

import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def test_relative_links_lead_somewhere():
    pages = [*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), *(REPO / "jobs").rglob("*.md")]
    links = [(page, target) for page in pages for target in LINK.findall(page.read_text(encoding="utf-8"))]
    broken = [f"{page.relative_to(REPO)}: {to}" for page, to in links if not (page.parent / to).exists()]
    assert links
    assert broken == []
