"""What the help of the reading verbs shows: the conditions that can be written, and examples."""

CONDITIONS = """\
conditions:
  run_count >= 3                             a number; also: = != < <= >
  test_status = 'failed'                     a text; write a quote in it twice
  run_date >= '2026-02-20'                   a day
  started_at < '2026-02-20T12:00:00+00:00'   an instant, with seconds and zone
  is_upgrade = true                          or false
  run_count between 1 and 3                  both included
  test_status in ('failed', 'flaky')         also: not in
  job_name like 'periodic-%'                 begins with: % at the end only, _ is no wildcard; also: not like
  release is null                            also: is not null
  pass_ratio is nan                          also: is not nan, which nulls meet as well
  run_count > 1 and (release = '4.8' or not pass_ratio < 0.5)
A null meets no other condition. Columns are written as `cilake describe` shows them."""

EXAMPLES = {
    "tables": "examples:\n  cilake tables\n  cilake tables --settings reader.env",
    "describe": "examples:\n  cilake describe core.test_results",
    "read": f"""\
{CONDITIONS}

examples:
  cilake read kpi.daily_job_health --start 2026-02-20 --columns job_name,pass_ratio
  cilake read core.test_results --start 2026-02-20 --end 2026-02-21 --where "test_status = 'failed'"
  cilake read kpi.daily_job_health --as-of "$(date -u +%FT%TZ)" --limit 10""",
    "export": f"""\
{CONDITIONS}

examples:
  cilake export core.test_results failures.parquet --start 2026-02-20 --where "test_status = 'failed'"
  cilake export core.ci_jobs jobs.csv""",
    "sql": """\
examples:
  cilake sql "select release, count(*) from core.ci_jobs group by 1"
  cilake sql "show columns from core.test_results\"""",
}
