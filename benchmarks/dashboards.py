"""How long every chart takes, requested alone and past Superset's cache; `make dashboards-bench`.

Prints one JSON line a chart (median of three, milliseconds, next to the bare round trip of a Trino query of
the same run) and one for all; with ``--pictures DIR`` also writes a picture of every dashboard.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from deploy.local import configuration, layout
from tests.support.browser import Superset, chromium, open_page

from cilake.client.statement import ask

TARGET_MS = 1000
REPEATS = 3


def main() -> int:
    """Return the exit code: 0 when every chart responds in time, 1 when one fails or is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write a picture of every dashboard")
    arguments = parser.parse_args()
    if chromium() is None:
        sys.exit("no Chromium on this machine: install it (Debian: chromium), then repeat")
    settings = configuration.require(layout.current())
    floor = _round_trip(settings["CILAKE_TRINO_URL"])
    slow, medians = [], []
    with open_page() as page:
        superset = Superset(page, settings)
        for slug in superset.dashboards():
            with superset.dashboard(slug) as dashboard:
                if arguments.pictures:
                    dashboard.photograph(arguments.pictures / f"{slug}.png")
                for title, answer in sorted(dashboard.answers.items()):
                    asked = [superset.measure_again(answer) for _ in range(REPEATS)]
                    median = round(statistics.median(ms for ms, _ in asked))
                    bad = any(status != 200 for _, status in asked) or bool(answer.errors)
                    medians.append(median)
                    slow += [title] if bad or median > TARGET_MS else []
                    line = {"dashboard": slug, "chart": title, "median_ms": median, "rows": answer.row_count}
                    print(json.dumps(line | {"trino_floor_ms": floor, "failed": bad}), flush=True)
    total = {"charts": len(medians), "median_ms": statistics.median(medians), "slowest_ms": max(medians)}
    print(json.dumps(total | {"target_ms": TARGET_MS, "over_target": slow}))
    return 1 if slow else 0


def _round_trip(trino_url: str) -> int:
    """Return the milliseconds of the cheapest query of Trino: what no chart can beat."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        with ask(trino_url, "select 1") as (_, pages):
            list(pages)
        times.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(times))


if __name__ == "__main__":
    sys.exit(main())
