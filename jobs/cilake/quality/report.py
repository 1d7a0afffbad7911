"""What a check found, for people: text for the task log and static pages.

The pages are our own and not Great Expectations' site: that one loads scripts from other hosts and puts
values into the page unescaped, and test names and messages are hostile text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from cilake.contracts import registry
from cilake.quality import suite
from cilake.quality.run import Failure, Report

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { border-bottom: 1px solid #ddd; padding: .4rem .6rem;
text-align: left; vertical-align: top }
code, pre { font-size: 13px; overflow-wrap: anywhere; white-space: pre-wrap }
.held { color: #1a7f37 } .critical { color: #b42318; font-weight: 600 }
.warning { color: #b54708 } .info { color: #175cd3 }
"""


def summary(report: Report) -> str:
    """Return one line: the table, the verdict and the counts."""
    rules = len(report.results)
    verdict = "passed" if report.was_successful else "FAILED"
    return (
        f"{report.table_address}: validation {verdict}, {rules - len(report.failures)} of {rules} rules hold "
        f"over {report.row_count:,} rows"
    )


def failure_text(report: Report) -> str:
    """Return the verdict and, per failed rule, its reason, what was seen, example rows and what to do."""
    return "\n".join([summary(report), *(_failure_lines(failure) for failure in report.failures)])


def _failure_lines(failure: Failure) -> str:
    lines = [
        f"  [{failure.severity}] {failure.expectation_id}: {failure.reason}",
        f"    rule:     {failure.expectation_type} {_json(failure.rule)}",
        f"    observed: {_json(failure.observed)}",
    ]
    lines += [f"    example:  {_json(example)}" for example in failure.examples]
    return "\n".join([*lines, f"    to do:    {failure.advice}"])


def write_data_docs(reports: Report | Iterable[Report], folder: Path | str) -> Path:
    """Write one page per report and the index of all pages; return the path of the index.

    A page always shows the latest check of its table; a table that was not checked keeps its page.
    """
    root = Path(folder)
    for report in [reports] if isinstance(reports, Report) else reports:
        page = root / f"{report.table_address}.html"
        _replace(page, _page(report))
        _replace(page.with_suffix(".json"), _json(_index_entry(report)))
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(root.glob("*.*.json"))]
    index = root / "index.html"
    _replace(index, _index(entries))
    return index


def _replace(path: Path, text: str) -> None:
    """Replace the file in one step, so that a reader never sees half a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f"{path.suffix}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _index_entry(report: Report) -> dict[str, Any]:
    return {
        "table_address": report.table_address,
        "was_successful": report.was_successful,
        "rule_count": len(report.results),
        "failed_count": len(report.failures),
        "row_count": report.row_count,
        "partition_date": str(report.partition_date),
        "validated_at": _validated_at(report),
    }


def _index(entries: list[dict[str, Any]]) -> str:
    rows: list[tuple[str, ...]] = [
        (
            f'<a href="{_text(entry["table_address"])}.html">{_text(entry["table_address"])}</a>',
            _verdict(entry["was_successful"], entry["failed_count"]),
            _text(entry["rule_count"]),
            _text(entry["row_count"]),
            _text(entry["partition_date"]),
            _text(entry["validated_at"]),
        )
        for entry in entries
    ]
    heads = ("table", "verdict", "rules", "rows checked", "day", "checked at (UTC)")
    return _html("Data quality", f"<h1>Data quality</h1>{_table(heads, rows)}")


def _page(report: Report) -> str:
    table = registry.table(report.table_address)
    failed = {failure.expectation_id: failure for failure in report.failures}
    entries = {entry["id"]: entry for entry in suite.read(table)}
    results = sorted(report.results, key=lambda row: row["was_successful"])
    rows = [
        _rule_row(row, entries.get(row["expectation_id"], {}), failed.get(row["expectation_id"]))
        for row in results
    ]
    heads = ("result", "severity", "rule", "reason", "observed, examples and what to do")
    body = (
        f'<p><a href="index.html">All tables</a></p><h1>{_text(table.title)}</h1>'
        f"<p><code>{_text(report.table_address)}</code>: {_text(table.grain)}</p>"
        f"<p>{_verdict(report.was_successful, len(failed))}: {len(rows) - len(failed)} of {len(rows)} rules "
        f"hold over {_text(report.row_count)} rows; day {_text(report.partition_date)}, "
        f"check {_text(report.validation_id)}, {_text(_validated_at(report))} UTC.</p>{_table(heads, rows)}"
    )
    return _html(report.table_address, body)


def _rule_row(result: dict[str, Any], entry: suite.Entry, failure: Failure | None) -> tuple[str, ...]:
    severity = _text(result["severity"])
    seen = ""
    if failure:
        examples = "\n".join(_json(example) for example in failure.examples)
        seen = f"<code>{_text(_json(failure.observed))}</code><pre>{_text(examples)}</pre>"
        seen += _text(failure.advice)
    rule = f"{result['expectation_type']} {_json(entry.get('kwargs', {}))}"
    return (
        f'<span class="{severity if failure else "held"}">{"failed" if failure else "holds"}</span>',
        severity,
        f"<b>{_text(result['expectation_id'])}</b><br><code>{_text(rule)}</code>",
        _text(entry.get("notes", "")),
        seen,
    )


def _verdict(was_successful: bool, failed_count: int) -> str:
    if not was_successful:
        return '<span class="critical">failed, not published</span>'
    if failed_count:
        return '<span class="warning">published with remarks</span>'
    return '<span class="held">all rules hold</span>'


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _validated_at(report: Report) -> str:
    moment: datetime | None = report.results[0]["validated_at"] if report.results else None
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""


def _text(value: Any) -> str:
    return escape(str(value), quote=True)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
