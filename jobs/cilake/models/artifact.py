"""What a model has learned as bytes that load without running foreign code, the same for the same content."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import skops.io

_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold."""


def dump(content: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the content as bytes and their SHA-256 in hexadecimal.

    A training that is repeated is thereby the version that it was: skops names the parts of an archive by
    their addresses in memory, which are numbered here in the order in which they occur.
    """
    data = _renumber(skops.io.dumps(dict(content)))
    return data, hashlib.sha256(data).hexdigest()


def load(data: bytes, sha256: str | None, *, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """Return the content in ``data``, which may hold plain types and those that are ``trusted``.

    Raises:
        ValueError: when the digest differs, or the bytes hold anything else; none of it is executed.

    """
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError("the model's bytes do not have the registered SHA-256")
    try:
        content = skops.io.loads(data, trusted=list(trusted))
    except Exception as error:  # bytes of whoever can write them: whatever they raise, they are no model
        raise ValueError(f"the bytes are no model of this kind: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("the bytes are no model of this kind: unknown layout")
    return content


def _renumber(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        numbers: dict[int, int] = {}
        files: dict[str, str] = {}
        _number_parts(schema, numbers, files)
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as renumbered:
            for old, new in files.items():
                renumbered.writestr(zipfile.ZipInfo(new, _EPOCH), archive.read(old), zipfile.ZIP_DEFLATED)
            text = json.dumps(schema, indent=2)
            renumbered.writestr(zipfile.ZipInfo(_SCHEMA, _EPOCH), text, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _number_parts(node: Any, numbers: dict[int, int], files: dict[str, str]) -> None:
    """Replace ids and names of files in a schema by numbers, and note which became which."""
    if isinstance(node, dict):
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
        if isinstance(node.get("file"), str):
            stem, dot, ending = node["file"].partition(".")
            node["file"] = files.setdefault(f"{stem}{dot}{ending}", f"{len(files)}{dot}{ending}")
        for value in node.values():
            _number_parts(value, numbers, files)
    elif isinstance(node, list):
        for value in node:
            _number_parts(value, numbers, files)
