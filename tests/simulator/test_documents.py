"""The page about the simulator runs as written, and prints what it says."""

import json
import re
import subprocess
from datetime import date

import pytest
from deploy.local.commands.nights.world import check_days
from deploy.local.layout import REPO
from tests.support.temporary_stack import _free_block

from ciworld.faults import KINDS

PAGE = (REPO / "docs" / "simulator.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", PAGE, re.DOTALL | re.MULTILINE)
MARK = "end of block"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each block of the page prints, all of them run by one shell in an empty folder."""
    first = _free_block(2)
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
    script += "".join(f"{block}echo '{MARK}'\n" for block, _ in BLOCKS)
    script = script.replace("18500", str(first)).replace("18501", str(first + 1))
    folder = tmp_path_factory.mktemp("page")
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout.split(f"{MARK}\n")[:-1]


def test_every_block_prints_what_the_page_says(outputs):
    texts = [(output, text) for (_, text), output in zip(BLOCKS, outputs, strict=True) if text]
    assert len(texts) >= 5
    for printed_text, text in texts:
        assert printed_text == text


def test_the_recording_has_the_dashboards_of_the_pattern_and_the_nights_of_the_page(outputs):
    text, found = outputs[-1].strip(), []
    while text:
        document, end = json.JSONDecoder().raw_decode(text)
        found.append(document)
        text = text[end:].strip()
    counts, world, listing = found
    assert counts == {"dashboards": 2, "tables": 12, "missing": 0}
    assert [board["name"][:20] for board in listing["dashboards"]] == ["ciworld-release-1.2-"] * 2
    start, count = re.search(r"make nights FROM=recordings START=(\S+) NIGHTS=(\d+)", PAGE).groups()
    check_days(world, date.fromisoformat(start), int(count))


def test_every_kind_of_fault_and_every_address_is_on_the_page():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(KINDS)
    server = (REPO / "simulator" / "ciworld" / "server.py").read_text()
    addresses = set(re.findall(r'\("[A-Z]+", "([a-z]+)"\):', server))
    assert addresses == set(re.findall(r"^\| `/_ciworld/(\w+)`", PAGE, re.MULTILINE))


def test_the_page_is_linked():
    assert "(simulator.md)" in (REPO / "docs" / "README.md").read_text()
