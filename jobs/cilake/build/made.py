"""The rows of a table by its transform, whatever engine has its inputs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import date
from importlib import import_module

from cilake.build.targets import Target
from cilake.publish.replace import days_condition
from cilake.transforms.engines import Engine, Rows

Extras = Mapping[str, object]
"""What transforms are given besides their inputs, by argument; each is given the arguments that it names."""


def make_rows(
    engine: Engine[Rows], target: Target, periods: list[date], inputs: Mapping[str, Rows], extras: Extras
) -> Rows:
    """Return the rows of a target for periods by the transform at its address."""
    transform = import_module(f"cilake.transforms.{target.table.address}").transform
    asked = {name: extras[name] for name in inspect.signature(transform).parameters if name in extras}
    # A transform may return more than was requested, such as of the days that only show what was before.
    return engine.sql(
        f"SELECT {', '.join(target.table.column_names)} FROM made"  # noqa: S608 - names are ours
        f" WHERE {days_condition(target.rule.column, periods)}",
        made=transform(engine, **inputs, **asked),
    )
