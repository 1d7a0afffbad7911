"""The rows of a table by its transform, whatever engine has its inputs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import date
from importlib import import_module

from cilake.build.targets import Target
from cilake.publish.replace import days_condition
from cilake.transforms.engines import Engine, Rows

Told = Mapping[str, object]
"""What transforms are told besides their inputs, by argument; each is told what it asks for."""


def make_rows(
    engine: Engine[Rows], target: Target, periods: list[date], inputs: Mapping[str, Rows], told: Told
) -> Rows:
    """Return the rows of a target for periods by the transform at its address."""
    transform = import_module(f"cilake.transforms.{target.table.address}").transform
    asked = {name: told[name] for name in inspect.signature(transform).parameters if name in told}
    # A transform may tell more than is asked, such as of the days that only show what was before.
    return engine.sql(
        f"SELECT {', '.join(target.table.column_names)} FROM made"  # noqa: S608 - names are ours
        f" WHERE {days_condition(target.rule.column, periods)}",
        made=transform(engine, **inputs, **asked),
    )
