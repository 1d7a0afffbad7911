"""How payloads in files would be read."""

import gzip
import json

import pytest
from tests.support.grids import dump, make_table

from cilake import cli


def parse(capsys, *paths):
    code = cli.main(["parse", "testgrid", *map(str, paths)])
    output = capsys.readouterr()
    return code, [json.loads(line) for line in output.out.splitlines()], output.err


def test_a_table_and_a_summary_say_what_they_hold(tmp_path, capsys):
    table, summary = tmp_path / "table.json.gz", tmp_path / "summary.json"
    table.write_bytes(gzip.compress(dump(make_table({"Overall": [12, 1], "a": [12, 1]}))))
    summary.write_text('{"one": {}, "two": {}}')
    code, (of_table, of_summary), _ = parse(capsys, table, summary)
    assert code == 0
    assert (of_table["file"], of_table["endpoint"], of_table["status"]) == (str(table), "table", "landed")
    assert (of_table["run_count"], of_table["result_count"], of_table["failed_count"]) == (2, 4, 1)
    assert of_table["job_names"] == ["e2e-aws-4.8"]
    assert of_summary == {"file": str(summary), "endpoint": "summary", "status": "landed", "tab_count": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "malformed_json"), ('{"a": 1}', "not_a_summary"), ('{"tests": []}', "not_a_table")],
)
def test_what_cannot_be_read_says_why(tmp_path, capsys, text, reason):
    path = tmp_path / "payload.json"
    path.write_text(text)
    code, (line,), _ = parse(capsys, path)
    assert (code, line["status"]) == (2, "rejected")
    assert line["reason"].startswith(reason)


def test_a_file_that_is_not_there_is_one_line(tmp_path, capsys):
    code, lines, error = parse(capsys, tmp_path / "nosuch")
    assert (code, lines) == (2, [])
    assert error.startswith(f"cilake: cannot read {tmp_path / 'nosuch'}: ")
