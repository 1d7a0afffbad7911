"""Example CI is a source like every other."""

import orjson
from tests.conformance.sources import SourceConformance

from cilake.sources.example_ci.settings import ExampleCiSettings


def build(number, status="passed", **changes):
    return {
        "job": "unit",
        "build": str(number),
        "started_at": f"2021-06-2{number}T10:00:00Z",
        "status": status,
        "url": f"https://ci.example/unit/{number}",
        "tests": [{"name": "adds up", "status": status}, {"name": "other", "status": "skipped"}],
    } | changes


def listing(*builds):
    return orjson.dumps({"builds": builds})


class TestExampleCi(SourceConformance):
    name = "example_ci"

    def settings(self, url):
        return ExampleCiSettings(url=url, projects="one,two")

    def serve(self, replies):
        replies["/one/builds.json"] = (200, listing(build(0), build(1, "failed")))
        replies["/two/builds.json"] = (200, listing(build(1, job="lint")))
