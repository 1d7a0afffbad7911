"""Static pages of a synthetic world: a run with what its tests did, and the runs of a job.

The links of a table lead to them, as they lead to the pages of a real CI; they show what the clock allows.
"""

import base64
import hashlib
from collections import Counter
from datetime import datetime, timedelta
from html import escape
from http import HTTPStatus
from urllib.parse import quote, unquote

from ciworld.clock import iso
from ciworld.services.base import Page
from ciworld.world.runs import SECOND, UNFINISHED, Column, Run
from ciworld.world.statuses import FAIL, FLAKY, PASS, RUNNING, SKIPPED
from ciworld.world.synthetic import SyntheticWorld
from ciworld.world.universe import Job

RUN, HISTORY, BUCKET = "/view/gs/", "/job-history/", "ciworld-ci/logs"
HISTORY_RUNS, NEIGHBOURS = 100, 10
_WORDS = {FAIL: "failed", FLAKY: "flaky", PASS: "passed", SKIPPED: "passed with skips"}
_VERDICTS = {FAIL: "failed", PASS: "passed", RUNNING: "running"}
_STYLE = """
:root { color-scheme: light dark; --text: #1d2530; --soft: #5b6675; --line: #d9dee5; --back: #f5f7f9;
  --card: #fff; --link: #0b5cad; --good: #1a7f4b; --bad: #c2261d; --flaky: #a35c00; --other: #66707d; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --soft: #9aa5b3; --line: #323a45;
  --back: #14181d; --card: #1c2229; --link: #6db3ff; --good: #4cc38a; --bad: #ff7b72; --flaky: #e3a04f;
  --other: #98a2ae; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1.25rem 3rem; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
nav, .soft { color: var(--soft); font-size: .9rem; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: .4rem 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
code, .mono { font: .87rem/1.45 ui-monospace, SFMono-Regular, Menlo, monospace; overflow-wrap: anywhere; }
.badge { display: inline-block; border-radius: 1rem; padding: .05rem .65rem; color: var(--card);
  background: var(--other); font-size: .82rem; font-weight: 600; white-space: nowrap; }
.badge.passed { background: var(--good); } .badge.failed { background: var(--bad); }
.badge.flaky { background: var(--flaky); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .8rem 1.5rem;
  margin: 0; padding: 1rem 1.2rem; }
dt { color: var(--soft); font-size: .82rem; } dd { margin: 0; overflow-wrap: anywhere; }
ul.counts { display: flex; flex-wrap: wrap; gap: .75rem; list-style: none; margin: 1rem 0 0; padding: 0; }
ul.counts li { flex: 1 1 8rem; padding: .6rem 1rem; }
ul.counts b { display: block; font-size: 1.4rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.of-failed b { color: var(--bad); } .of-flaky b { color: var(--flaky); } .of-passed b { color: var(--good); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .45rem .8rem; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; } th { color: var(--soft); font-size: .82rem; font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.time { white-space: nowrap; } td.name { min-width: 16rem; } td.message { min-width: 16rem; }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""What goes with every page: nothing but its own style is loaded, and nothing runs."""


def page_at(world: SyntheticWorld, path: str, at: datetime) -> Page | None:
    """Return the page of a path at a time, or None when the path is neither of a run nor of a job."""
    for start, make_page in ((RUN, _run_at), (HISTORY, _history_at)):
        rest = path.removeprefix(f"{start}{BUCKET}/")
        if rest != path:
            return make_page(world, [unquote(piece) for piece in rest.rstrip("/").split("/")], at)
    return None


def _run_at(world: SyntheticWorld, pieces: list[str], at: datetime) -> Page:
    job = world.job(pieces[0])
    if job is None or len(pieces) != 2:
        return _missing(f"There is no job {pieces[0]} in this world.", at)
    run = world.run(job, pieces[1], at)
    if run is None:
        text = f"No run {pieces[1]} of this job has started by {iso(at)}."
        return _missing(text, at, _link(_history_url(job), f"All runs of {job.name}"))
    return _page(HTTPStatus.OK, _run_page(world, job, run, at))


def _history_at(world: SyntheticWorld, pieces: list[str], at: datetime) -> Page:
    job = world.job(pieces[0])
    if job is None or len(pieces) != 1:
        return _missing(f"There is no job {'/'.join(pieces)} in this world.", at)
    return _page(HTTPStatus.OK, _history_page(world, job, at))


def _missing(text: str, at: datetime, more: str = "") -> Page:
    body = f"<h1>Not found</h1><p>{escape(text)}</p>{_clock(at)}<p>{more}</p>"
    return _page(HTTPStatus.NOT_FOUND, _document("Not found", body))


def _page(status: HTTPStatus, html: str) -> Page:
    return Page(status, html.encode(), HEADERS)


# ---- a run


def _run_page(world: SyntheticWorld, job: Job, run: Run, at: datetime) -> str:
    stage = run.own_stage(at)
    column = world.column(run, stage)
    verdict = _VERDICTS[column.overall]
    facts = {
        "Job": _link(_history_url(job), job.name),
        "Dashboard": escape(job.dashboard),
        "Release": escape(job.release),
        "Platform": escape(job.platform),
        "Build id": f"<code>{escape(run.build_id)}</code>",
        "Commit": f"<code>{escape(run.commit)}</code>",
        "Started": _time(run.started),
        "Ended": _ended(run, stage),
        "On the dashboards": _shown(run, at),
        "Run again": _rerun(run, stage),
    }
    parts = [
        f"<nav>Simulated CI › {_link(_history_url(job), job.name)}</nav>",
        f"<h1>{_badge(verdict)} Run {escape(run.build_id)}</h1>",
        f"<p>{escape(_reason(column))}</p>",
        f'<dl class="card">{"".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items())}</dl>',
        _unfinished(at) if stage == UNFINISHED else _results(world, job, run, stage),
        f"<h2>Other runs of this job</h2>{_neighbours(world, job, run, at)}",
        _clock(at),
    ]
    return _document(f"{job.name} {run.build_id}", "".join(parts))


def _reason(column: Column) -> str:
    """Return what the run as a whole says, unless it is the count of failed tests, which the page shows."""
    message = column.overall_message
    return "" if message.endswith("tests failed") else f"{message[:1].upper()}{message[1:]}"


def _ended(run: Run, stage: int) -> str:
    if stage == UNFINISHED:
        return "not yet"
    return f"{_time(run.final)} (after {_duration(run.final - run.started)})"


def _shown(run: Run, at: datetime) -> str:
    if at < run.visible:
        return "not shown yet"
    if run.late:
        return f"late: since {_time(run.visible)}, {_duration(run.visible - run.final)} after the end"
    return f"since {_time(run.visible)}"


def _rerun(run: Run, stage: int) -> str:
    if stage != SECOND or run.rerun is None:
        return "no"
    return f"{_time(run.rerun)}; the results are those of the second time"


def _unfinished(at: datetime) -> str:
    return f"<h2>Results</h2><p>The run has not finished at {_time(at)}: there are no results yet.</p>"


def _results(world: SyntheticWorld, job: Job, run: Run, stage: int) -> str:
    results = world.results(job, [(run, stage)])
    tests = list(zip(results.codes[:, 0].tolist(), results.names, strict=True))
    count = Counter(code for code, _ in tests)
    counts = [(_WORDS[code], count[code]) for code in (FAIL, FLAKY, PASS, SKIPPED)]
    counts.append(("without result", len(job.tests) - len(tests)))
    tiles = "".join(f'<li class="card of-{w.replace(" ", "-")}"><b>{n:,}</b>{w}</li>' for w, n in counts)
    rows = sorted(
        (code == FLAKY, name, texts.get(0, ""))
        for (code, name), texts in zip(tests, results.messages, strict=True)
        if code in (FAIL, FLAKY)
    )
    lines = [
        f"<tr><td>{_badge('flaky' if flaky else 'failed')}</td>"
        f'<td class="name mono">{escape(name)}</td><td class="message mono">{escape(text)}</td></tr>'
        for flaky, name, text in rows
    ]
    table = _table("<th>Status</th><th>Test</th><th>Message</th>", lines)
    note = '<p class="soft">Counts of tests. Dashboards also count the row Overall.</p>'
    return (
        f'<ul class="counts">{tiles}</ul>{note}'
        f"<h2>Tests that did not pass</h2>{table if lines else '<p>All tests with a result passed.</p>'}"
    )


def _neighbours(world: SyntheticWorld, job: Job, run: Run, at: datetime) -> str:
    others = [other for other in world.recent_runs(job, at, NEIGHBOURS + 1) if other != run][:NEIGHBOURS]
    return _runs_table(world, job, others, at) + f"<p>{_link(_history_url(job), 'All runs of this job')}</p>"


# ---- a job


def _history_page(world: SyntheticWorld, job: Job, at: datetime) -> str:
    runs = world.recent_runs(job, at, HISTORY_RUNS)
    facts = f"Dashboard {job.dashboard}, release {job.release}, platform {job.platform}."
    parts = [
        "<nav>Simulated CI</nav>",
        f"<h1>{escape(job.name)}</h1><p>{escape(facts)} {len(job.tests):,} tests.</p>",
        f"<h2>Runs, newest first</h2>{_runs_table(world, job, runs, at)}",
        f'<p class="soft">At most {HISTORY_RUNS} runs are listed.</p>' if runs else "",
        _clock(at),
    ]
    return _document(job.name, "".join(parts))


def _runs_table(world: SyntheticWorld, job: Job, runs: list[Run], at: datetime) -> str:
    if not runs:
        return "<p>None has started yet.</p>"
    head = (
        '<th>Result</th><th>Build id</th><th>Started</th><th>Took</th><th class="number">Failed</th>'
        '<th class="number">Flaky</th><th>Remarks</th>'
    )
    return _table(head, [_run_row(world, job, run, at) for run in runs])


def _run_row(world: SyntheticWorld, job: Job, run: Run, at: datetime) -> str:
    stage = run.own_stage(at)
    column = world.column(run, stage)
    done = stage != UNFINISHED
    failed, flaky = (int((column.codes == code).sum()) if done else "" for code in (FAIL, FLAKY))
    remarks = [
        "shown late" if run.late and at >= run.visible else "",
        "not on the dashboards yet" if at < run.visible else "",
        "run again" if stage == SECOND else "",
    ]
    return (
        f"<tr><td>{_badge(_VERDICTS[column.overall])}</td>"
        f'<td class="mono">{_link(_run_url(job, run), run.build_id)}</td>'
        f'<td class="time">{_time(run.started)}</td>'
        f'<td class="time">{_duration(run.final - run.started) if done else ""}</td>'
        f'<td class="number">{failed}</td><td class="number">{flaky}</td>'
        f"<td>{', '.join(filter(None, remarks))}</td></tr>"
    )


# ---- parts of pages


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def _run_url(job: Job, run: Run) -> str:
    return f"{RUN}{BUCKET}/{quote(job.name)}/{quote(run.build_id)}"


def _history_url(job: Job) -> str:
    return f"{HISTORY}{BUCKET}/{quote(job.name)}"


def _link(url: str, text: str) -> str:
    return f'<a href="{escape(url)}">{escape(text)}</a>'


def _badge(word: str) -> str:
    return f'<span class="badge {escape(word)}">{escape(word)}</span>'


def _table(head: str, lines: list[str]) -> str:
    rows = "".join(lines)
    return (
        f'<div class="card scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _time(instant: datetime) -> str:
    return f'<time datetime="{iso(instant)}">{instant:%Y-%m-%d %H:%M} UTC</time>'


def _duration(span: timedelta) -> str:
    hours, minutes = divmod(int(span.total_seconds()) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _clock(at: datetime) -> str:
    made_up = "Runs, tests and failures are made up from a seed."
    return f'<p class="soft">Simulator clock: {_time(at)}. {made_up}</p>'
