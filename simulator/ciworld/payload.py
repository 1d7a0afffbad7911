"""Encoded answers: gzip ready to send, an ETag over what is stable, and a part that varies per answer."""

import hashlib
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import orjson

Json = dict[str, Any]
VOLATILE_KEYS = ("status", "phase-timer", "cached")
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"


def content_etag(doc: Json) -> str:
    """Return a strong ETag over a document without the keys that change on every request."""
    stable = {key: value for key, value in doc.items() if key not in VOLATILE_KEYS}
    return f'"{hashlib.sha256(orjson.dumps(stable)).hexdigest()[:32]}"'


def volatile_part(count: int) -> Json:
    """Return the three keys that TestGrid fills differently in every answer, for the count-th answer."""
    delta = [0.00001 + (count * 37 % 991) / 1e7, 0.01 + (count * 53 % 997) / 1e5, 0.002, 0.004]
    total = sum(delta)
    return {
        "status": f"Served {'from cache' if count % 2 else f'{count % 500} results'} in {total:.2f} seconds",
        "phase-timer": {
            "phases": ["config load", "cache read + validate", "table deserialize", "table querying"],
            "delta": delta,
            "total": total,
        },
        "cached": bool(count % 2),
    }


@dataclass(frozen=True)
class Payload:
    """One encoded answer. `head` is raw deflate: complete when `gz` is set, else open at the end."""

    etag: str
    gz: bytes
    head: bytes = b""
    crc: int = 0
    length: int = 0

    @classmethod
    def fixed(cls, doc: Json) -> "Payload":
        """Return the payload of a document that is the same in every answer."""
        raw = orjson.dumps(doc)
        return cls(f'"{hashlib.sha256(raw).hexdigest()[:32]}"', _gzip(raw))

    @classmethod
    def varying(cls, doc: Json) -> "Payload":
        """Return the payload of a table whose volatile keys are written anew for every answer.

        The stable part is compressed once and left open at a byte boundary; each answer appends its own
        last block. The volatile keys therefore come last in the JSON object.
        """
        raw = orjson.dumps({key: value for key, value in doc.items() if key not in VOLATILE_KEYS})
        etag = f'"{hashlib.sha256(raw).hexdigest()[:32]}"'
        raw = raw[:-1] + b","
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        head = packer.compress(raw) + packer.flush(zlib.Z_FULL_FLUSH)
        return cls(etag, b"", head, zlib.crc32(raw), len(raw))

    @property
    def size(self) -> int:
        """Return how many bytes the payload holds in memory."""
        return len(self.gz) + len(self.head)

    def gzipped(self, count: int) -> bytes:
        """Return the gzip body of the count-th answer."""
        if self.gz:
            return self.gz
        tail = orjson.dumps(volatile_part(count))[1:]
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        end = packer.compress(tail) + packer.flush(zlib.Z_FINISH)
        crc, length = zlib.crc32(tail, self.crc), (self.length + len(tail)) & 0xFFFFFFFF
        return b"".join((_GZIP_HEAD, self.head, end, struct.pack("<II", crc, length)))

    def plain(self, count: int) -> bytes:
        """Return the body of the count-th answer without compression."""
        return zlib.decompress(self.gzipped(count), 31)


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
