"""Files of ``NAME=value`` lines, as settings are kept; for every environment, so it imports nothing."""

from __future__ import annotations


class VariablesError(ValueError):
    """A line that is none; the message has its number."""


def read_variables(text: str) -> dict[str, str]:
    """Return the variables of a text, the last value of each.

    Blank lines and those that begin with ``#`` are none. A line may begin with ``export`` and its value may
    be quoted, as shells read it.

    Raises:
        VariablesError: when another line has no ``=``.

    """
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, separator, value = stripped.removeprefix("export ").partition("=")
        if not separator:
            raise VariablesError(f"line {number}: expected NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name.strip()] = value
    return found
