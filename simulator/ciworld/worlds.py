"""The worlds that can be served, each with its services, which are found by folder.

Another service is a package of `ciworld.services`, its recordings are a package of `ciworld.recorded`.
"""

import pkgutil
from importlib import import_module
from pathlib import Path

from ciworld import recorded, services
from ciworld.clock import Span
from ciworld.recorded.base import Layout, RecordedError, Recording
from ciworld.services.base import ServedWorld
from ciworld.world.synthetic import SyntheticWorld


def serve_synthetic(world: SyntheticWorld) -> ServedWorld:
    """Return a synthetic world with every service that can show it.

    A package of `ciworld.services` has a function `make_service(world)`, which returns its service.
    """
    made = (import_module(name).make_service(world) for name in _packages(services))
    return ServedWorld(tuple(made), world.identity(), world.span, world.truth)


def serve_recorded(root: Path) -> ServedWorld:
    """Return the recordings below a folder with the services that they are of; none is a RecordedError.

    A package of `ciworld.recorded` has a `LAYOUT`, which finds the recordings of its kind.
    """
    root = root.resolve()
    layouts: list[Layout] = [import_module(name).LAYOUT for name in _packages(recorded)]
    found = [recording for layout in layouts if (recording := layout.find(root))]
    if not found:
        raise RecordedError(f"no {' and no '.join(layout.needs for layout in layouts)} below {root}")
    made = tuple(recording.service for recording in found)
    return ServedWorld(made, {"kind": "recorded", "folder": str(root)}, lambda: _span(found), lambda: None)


def _packages(parent: object) -> list[str]:
    found = pkgutil.iter_modules(parent.__path__, f"{parent.__name__}.")  # type: ignore[attr-defined]
    return sorted(module.name for module in found if module.ispkg)


def _span(recordings: list[Recording]) -> Span | None:
    spans = [span for recording in recordings if (span := recording.span())]
    if not spans:
        return None
    return Span(min(span.first for span in spans), max(span.last for span in spans))
