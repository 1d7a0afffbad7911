"""The code of the documentation runs as written, in order, against a lake with two nights in it."""

import os
import re
import subprocess
import sys

import pytest
from deploy.local.layout import REPO

from cilake.variables import read_variables

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PAGES = {
    str(path.relative_to(REPO)): path.read_text() for path in [*REPO.glob("*.md"), *REPO.glob("docs/**/*.md")]
}
# These start stacks, this very test, or containers; tests/simulator runs the page about the simulator, and
# tests/deploy/test_scaffold what the how-to pages make.
NOT_RUN_HERE = {"README.md", "docs/deploy-compose.md", "docs/simulator.md"}
NOT_RUN_HERE |= {page for page in PAGES if page.startswith("docs/howto/")}


def pages_with(language):
    """Every page with code in the language, and its blocks."""
    fenced = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [pytest.param(found, id=page) for page, text in PAGES.items() if (found := fenced.findall(text))]


# These say what a reader can do, with the file that the stack writes for readers.
FOR_READERS = {"docs/analyst.md", "docs/exports.md"}
OF_SPARK = ("CILAKE_SPARK_REMOTE", "SPARK_CONNECT_AUTHENTICATE_TOKEN")


@pytest.fixture
def run(played, tmp_path, request):
    """A function: what words or a line print for a reader, with the lake's settings and an empty folder."""
    stack = played[0].stack
    settings = stack.settings
    if request.node.callspec.id in FOR_READERS:
        given = read_variables(stack.reader_file.read_text())
        settings = given | {name: settings[name] for name in OF_SPARK}

    def run(command):
        done = subprocess.run(
            command,
            shell=isinstance(command, str),
            env={**os.environ, **settings},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr[-3000:])
        return done.stdout

    return run


@pytest.mark.parametrize("blocks", pages_with("python"))
def test_python_blocks_run_as_written(run, tmp_path, blocks):
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    run([sys.executable, script])


@pytest.mark.parametrize("blocks", [page for page in pages_with("sh") if page.id not in NOT_RUN_HERE])
def test_shell_lines_run_as_written(run, tmp_path, blocks):
    for line in "".join(blocks).strip().splitlines():
        run(line)
    assert list(tmp_path.iterdir()), "these lines write files"


@pytest.mark.parametrize("blocks", pages_with("sql"))
def test_questions_run_as_written(played, blocks):
    """As an analyst, but those about payloads, which an operator asks."""
    lake, _ = played
    for query in blocks:
        lake.sql(query, user="operator" if "from raw." in query else "analyst")
