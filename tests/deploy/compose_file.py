"""docker-compose.yaml and .env.example as data, with the defaults filled in where a test needs them."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML

from cilake.variables import read_variables

REPO = Path(__file__).resolve().parents[2]
TEXT = (REPO / "docker-compose.yaml").read_text()
EXAMPLE = (REPO / ".env.example").read_text()
COMPOSE = YAML(typ="safe").load(TEXT)
SERVICES = COMPOSE["services"]
DOCKERFILE = (REPO / "deploy/images/Dockerfile").read_text()
VARIABLE = re.compile(r"\$\{(\w+)(?::\?[^}]*)?\}")


def variables(text):
    """The names of the variables that compose fills in."""
    return set(
        VARIABLE.findall("\n".join(line for line in text.splitlines() if not line.strip().startswith("#")))
    )


def defaults():
    """The variables of .env.example, those without a value with a stand-in."""
    return {name: value or f"secret-{name}" for name, value in read_variables(EXAMPLE).items()}


def environment_of(name):
    """The environment of a service as compose makes it."""
    filled = YAML(typ="safe").load(VARIABLE.sub(lambda match: defaults()[match[1]], TEXT))
    return {key: str(value) for key, value in filled["services"][name]["environment"].items()}


def one_shot(service):
    """Whether a service ends by itself."""
    return service["restart"] == "no"
