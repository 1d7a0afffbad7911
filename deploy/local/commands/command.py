"""What a command of the stack is: its name, what it does, and the arguments that it takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from deploy.local.layout import Layout


def _none(parser: argparse.ArgumentParser) -> None:
    """Add no argument."""


@dataclass(frozen=True)
class Command:
    """One command; `run` returns its exit status, `arguments` declares what it takes."""

    name: str
    run: Callable[[argparse.Namespace, Layout], int]
    arguments: Callable[[argparse.ArgumentParser], None] = _none
    passes_on: bool = False
    """The words after its name belong to the program that it runs; they are `rest`."""
