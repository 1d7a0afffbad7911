"""JSON payloads that no source can read, whatever they are about."""

import orjson
import pytest
from tests.support.grids import dump

from cilake.sources import payload
from cilake.sources.errors import UnreadableError


def test_content_digest_ignores_what_changes_on_every_request():
    document = {"runs": [1, 2], "cached": True}
    later, other = document | {"cached": False}, document | {"runs": [1, 3]}

    def digest(one):
        return payload.content_digest(one, volatile=("cached",))

    assert digest(document) == digest(later) != digest(other)


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"[]", b"null", dump({})[:-1]])
def test_payloads_that_are_no_object_are_refused(body):
    with pytest.raises(UnreadableError):
        payload.parse_object(body)


def test_documents_nested_too_deep_are_refused():
    document = orjson.loads(b'{"a":' + b"[" * 400 + b"]" * 400 + b"}")
    with pytest.raises(UnreadableError, match="too_deep"):
        payload.content_digest(document)
    with pytest.raises(UnreadableError, match="malformed_json"):
        payload.parse_object(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")


def test_payloads_of_too_many_values_are_refused_before_they_fill_the_memory():
    body = b'{"a":[' + b"[]," * (payload.MAX_VALUES // 2) + b"[]]}"
    with pytest.raises(UnreadableError, match="too_large"):
        payload.parse_object(body)
    assert payload.parse_object(b'{"a":"' + b"x" * (payload.MAX_VALUES + 1) + b'"}')
