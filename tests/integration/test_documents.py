"""The code of the documentation runs as written, in order, against a lake with two nights in it."""

import os
import re
import subprocess
import sys

import pytest
from deploy.local.layout import REPO

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PAGES = ["docs/analyst.md", "docs/pulls.md"]


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run_as_written(played, tmp_path, page):
    lake, _ = played
    blocks = re.findall(r"^```python\n(.*?)^```", (REPO / page).read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    # As a reader has it: the settings of the lake in the environment, and the folder of somebody else.
    environment = {**os.environ, **lake.stack.settings}
    done = subprocess.run(
        [sys.executable, script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip()


def test_shell_lines_run_as_written(played, tmp_path):
    lake, _ = played
    (block,) = re.findall(
        r"^```sh\n(.*?)^```", (REPO / "docs/analyst.md").read_text(), re.DOTALL | re.MULTILINE
    )
    environment = {**os.environ, **lake.stack.settings}
    for line in block.strip().splitlines():
        done = subprocess.run(
            line, shell=True, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "failures.parquet").exists()


def test_example_queries_of_the_table_pages_and_the_readme_run(played):
    from cilake.contracts.registry import tables

    lake, _ = played
    readme = re.findall(r"^```sql\n(.*?)^```", (REPO / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(readme) >= 3
    for query in [*readme, *(table.example_query for table in tables().values())]:
        lake.sql(query)
