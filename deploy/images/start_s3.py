"""SeaweedFS in a container, with one key that writes and one that only reads.

The flags are those of the embedded stack. The filer and the volumes take only requests that one of the
server's parts has signed. The master's port needs no key: only services that hold one share a network
with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

PROGRAM = "weed"
DATA = "/var/lib/cilake/s3"
IDENTITIES = Path("/tmp/identities.json")  # noqa: S108 - the container's own, on memory


def main() -> None:
    """Replace this process by the server."""
    environment = dict(os.environ)
    bucket = environment["CILAKE_WAREHOUSE"].split("/")[2]
    descriptor = os.open(IDENTITIES, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        json.dump(identities(environment, bucket), handle)
    own = {"PATH": environment["PATH"], "S3_BUCKET": bucket, **internal_keys(environment)}
    os.execvpe(PROGRAM, command(), own)  # noqa: S606 - no shell is wanted


def command() -> list[str]:
    """Return the server, for other containers too."""
    args = [PROGRAM, "mini", f"-dir={DATA}", "-ip=127.0.0.1", "-ip.bind=0.0.0.0"]
    args += ["-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.port.lance=0"]
    return [*args, "-s3.port.iceberg=0", "-s3.port=8333", f"-s3.config={IDENTITIES}"]


def internal_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which the parts of the server sign their requests to each other."""
    names = ("JWT_SIGNING", "JWT_SIGNING_READ", "JWT_FILER_SIGNING", "JWT_FILER_SIGNING_READ")
    return {f"WEED_{name}_KEY": environment["CILAKE_S3_INTERNAL_SECRET"] for name in names}


def identities(environment: Mapping[str, str], bucket: str) -> dict[str, object]:
    """Return who may do what: the jobs write the bucket, everybody else reads it."""

    def identity(name: str, prefix: str, *actions: str) -> dict[str, object]:
        keys = {
            "accessKey": environment[f"{prefix}_ACCESS_KEY"],
            "secretKey": environment[f"{prefix}_SECRET_KEY"],
        }
        return {"name": name, "credentials": [keys], "actions": [f"{word}:{bucket}" for word in actions]}

    return {
        "identities": [
            identity("writer", "CILAKE_S3", "Read", "Write", "List", "Tagging"),
            identity("reader", "CILAKE_S3_READER", "Read", "List"),
        ]
    }


if __name__ == "__main__":
    main()
