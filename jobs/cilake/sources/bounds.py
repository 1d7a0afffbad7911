"""Bounds on how long a connection is waited for, below the HTTP client.

The client's own timeouts start again with every byte: one would wait for ever for headers that drip.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

SLICE_SECONDS = 1.0
"""How long one read waits before it looks whether the end has come."""


class Bounds(threading.local):
    """The ``time.monotonic`` instant at which the reads of the current thread end."""

    until = float("inf")


def bound_reads(client: httpx.Client, bounds: Bounds, closed: threading.Event) -> None:
    """End the reads of all connections of a client at their bound, and soon after the event is set.

    httpx has no setting for the network back end of its pools, and another transport would have no proxies.
    """
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Backend(bounds, closed)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, bounds: Bounds, closed: threading.Event) -> None:
        self._backend = httpcore.SyncBackend()
        self._bounds, self._closed = bounds, closed

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._bounds, self._closed)

    def sleep(self, seconds: float) -> None:
        self._closed.wait(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, bounds: Bounds, closed: threading.Event) -> None:
        self._stream, self._bounds, self._closed = stream, bounds, closed

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        idle_until = time.monotonic() + (timeout or float("inf"))
        while not self._closed.is_set():
            left = min(idle_until, self._bounds.until) - time.monotonic()
            if left <= 0:
                raise httpcore.ReadTimeout("no reply in time")
            try:
                return self._stream.read(max_bytes, min(SLICE_SECONDS, left))
            except httpcore.ReadTimeout:
                continue
        raise httpcore.ReadError("the client was closed")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Stream(stream, self._bounds, self._closed)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
