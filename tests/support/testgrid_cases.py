"""The situations of ``testgrid-cases``, and a service that replies as one of their nights does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
from tests.support.grids import make_table
from tests.support.reply_service import reply_service

CASES = Path(__file__).parents[3] / "shared/data/testgrid-cases"
ORDINARY = make_table({"Overall": [1], "a": [1]})


def load(number: int) -> dict[str, Any]:
    """Return the case of a number, its nights with all their replies."""
    (path,) = CASES.glob(f"{number:02d}-*.json")
    case: dict[str, Any] = orjson.loads(path.read_bytes())
    for night in case.get("nights", ()):
        if "same_as" in night:
            night |= case["nights"][night["same_as"]] | night
        for index in range(night.get("ordinary_tabs", 0)):
            night["replies"]["/example/summary"]["body"][f"ordinary-{index}"] = {}
            night["replies"][f"/example/table#ordinary-{index}"] = {"status": 200, "body": ORDINARY}
    return case


@contextmanager
def serve(replies: dict[str, Any], served: str) -> Iterator[str]:
    """Reply by path as given, by a clock at ``served``; yield the address."""
    with reply_service() as (url, shown):
        shown["Date"] = format_datetime(datetime.fromisoformat(served), usegmt=True)
        for key, reply in replies.items():
            body = orjson.dumps(reply["body"]) if "body" in reply else reply["text"].encode()
            shown[key] = (reply["status"], body, ("ETag", f'"{len(body)}"'))
        yield url
