"""The configuration files that the embedded stack and the containers share, read and filled in.

Trino reads ``${ENV:NAME}`` from its environment by itself; Spark cannot: its files are filled in first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

DEPLOY = Path(__file__).resolve().parent
_FROM_ENVIRONMENT = re.compile(r"\$\{ENV:([A-Za-z][A-Za-z0-9_]*)\}")


class TemplateError(LookupError):
    """A setting that a template needs and nobody gave; the message names both."""


def read(*names: str) -> str:
    """Return the text of these files of ``deploy/`` one after the other, without comments."""
    texts = [(DEPLOY / name).read_text(encoding="utf-8") for name in names]
    lines = [line for text in texts for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


def fill(values: Mapping[str, str], *names: str) -> str:
    """Return the text of these files with every ``${NAME}`` replaced.

    Raises:
        TemplateError: naming what is missing.

    """
    try:
        return Template(read(*names)).substitute(values)
    except KeyError as error:
        raise TemplateError(f"{', '.join(names)}: the setting {error.args[0]} is missing") from None


def asked_for(text: str) -> list[str]:
    """Return the names of the variables that Trino will read from its environment for this text."""
    return sorted(set(_FROM_ENVIRONMENT.findall(text)))


def variables(name: str) -> dict[str, str]:
    """Return the ``NAME=value`` lines of a file of ``deploy/``."""
    return dict(line.split("=", 1) for line in read(name).splitlines())
