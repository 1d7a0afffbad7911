"""Encoded responses: gzip ready to send, an ETag over what is stable, and a part that varies per response."""

import hashlib
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import orjson

Json = dict[str, Any]
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"


@dataclass(frozen=True)
class Payload:
    """One encoded response: complete (`gz`), or raw deflate that is open at its end (`head`) and `vary`."""

    etag: str
    gz: bytes
    head: bytes = b""
    crc: int = 0
    length: int = 0
    vary: Callable[[int], Json] = field(default=lambda count: {}, repr=False)

    @classmethod
    def fixed(cls, doc: Json) -> "Payload":
        """Return the payload of a document that is the same in every response."""
        raw = orjson.dumps(doc)
        return cls(content_etag(raw), _gzip(raw))

    @classmethod
    def varying(cls, doc: Json, vary: Callable[[int], Json]) -> "Payload":
        """Return the payload of a document whose last keys are those that `vary` returns for each response.

        The document is compressed once and left open at a byte boundary; each response appends its own last
        block. The ETag is that of the document alone.
        """
        raw = orjson.dumps(doc)
        etag = content_etag(raw)
        raw = raw[:-1] + b","
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        head = packer.compress(raw) + packer.flush(zlib.Z_FULL_FLUSH)
        return cls(etag, b"", head, zlib.crc32(raw), len(raw), vary)

    @property
    def size(self) -> int:
        """Return how many bytes the payload holds in memory."""
        return len(self.gz) + len(self.head)

    def gzipped(self, count: int) -> bytes:
        """Return the gzip body of the count-th response."""
        if self.gz:
            return self.gz
        tail = orjson.dumps(self.vary(count))[1:]
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        end = packer.compress(tail) + packer.flush(zlib.Z_FINISH)
        crc, length = zlib.crc32(tail, self.crc), (self.length + len(tail)) & 0xFFFFFFFF
        return b"".join((_GZIP_HEAD, self.head, end, struct.pack("<II", crc, length)))

    def plain(self, count: int) -> bytes:
        """Return the body of the count-th response without compression."""
        return zlib.decompress(self.gzipped(count), 31)


def content_etag(raw: bytes) -> str:
    """Return a strong ETag over the bytes that are the same in every response."""
    return f'"{hashlib.sha256(raw).hexdigest()[:32]}"'


def _gzip(raw: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(raw) + packer.flush()


class PayloadCache:
    """Payloads by key, the least recently used dropped first, bounded by the bytes they hold."""

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._building: dict[Hashable, threading.Lock] = {}
        self._items: OrderedDict[Hashable, Payload] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        """Return how many bytes the cached payloads hold."""
        return self._bytes

    def get(self, key: Hashable, build: Callable[[], Payload]) -> Payload:
        """Return the payload of a key, built at most once at a time when it is not there."""
        with self._lock:
            found = self._items.get(key)
            if found is not None:
                self._items.move_to_end(key)
                return found
            gate = self._building.setdefault(key, threading.Lock())
        with gate:
            with self._lock:
                if key in self._items:
                    return self._items[key]
            try:
                payload = build()
            finally:
                with self._lock:
                    self._building.pop(key, None)
            with self._lock:
                self._items[key] = payload
                self._bytes += payload.size
                while self._bytes > self._max_bytes and len(self._items) > 1:
                    self._bytes -= self._items.popitem(last=False)[1].size
            return payload
