from __future__ import annotations

from pathlib import Path

from cilake.contracts import registry
from cilake.quality import suite
from cilake.render import dictionary, pages

ROOT = Path(__file__).resolve().parents[2]


def test_generated_files_are_fresh() -> None:
    stale = suite.stale_suites() + dictionary.check_docs(ROOT / "docs" / "tables") + pages.stale_pages(ROOT)
    assert not stale, f"run `cilake docs`: {[str(path.relative_to(ROOT)) for path in stale]}"


def test_docs_report_missing_edited_and_surplus_pages(tmp_path) -> None:
    dictionary.write_docs(tmp_path)
    assert dictionary.check_docs(tmp_path) == []
    missing, edited = tmp_path / "core" / "tests.md", tmp_path / "README.md"
    surplus = tmp_path / "core" / "gone.md"
    missing.unlink()
    edited.write_text("x")
    surplus.write_text("x")
    assert set(dictionary.check_docs(tmp_path)) == {missing, edited, surplus}
    dictionary.write_docs(tmp_path)
    assert dictionary.check_docs(tmp_path) == []


def test_page_has_its_sections_in_order() -> None:
    page = dictionary.render_table(registry.table("core.test_results"))
    titles = ["# Test results", "## Caveats", "## Columns", "## Lineage", "## Expectations", "## Example"]
    assert sorted(titles, key=page.index) == titles
    assert 'core_ci_run_observations["core.ci_run_observations"] --> core_test_results[' in page
    assert "\\|" in dictionary._grid(["a"], [["x|y"]]), "a bar inside a cell would split it"
