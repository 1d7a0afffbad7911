"""Where everything of the embedded stack is."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
"""The root of the working tree."""


@dataclass(frozen=True)
class Layout:
    """The folders of one stack: `home` holds its state, `shared` what several stacks can use together."""

    home: Path
    shared: Path

    @property
    def envs(self) -> Path:
        """The folder of the virtual environments."""
        return self.shared / "env"

    @property
    def lib(self) -> Path:
        """The folder of the verified jars."""
        return self.shared / "lib"

    @property
    def trino(self) -> Path:
        """The unpacked Trino server."""
        return self.shared / "trino"

    @property
    def data(self) -> Path:
        """What the services keep."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """The logs of the services, rotated."""
        return self.home / "log"

    @property
    def run(self) -> Path:
        """Rendered configuration and the state of running processes."""
        return self.home / "run"

    @property
    def cwd(self) -> Path:
        """The parent of the services' working folders; a process that runs below it is one of ours."""
        return self.run / "cwd"

    @property
    def settings_file(self) -> Path:
        """Every setting and secret of the stack, readable by its owner only."""
        return self.home / "settings.env"

    @property
    def reader_file(self) -> Path:
        """What reading the tables needs and nothing else, to be handed out."""
        return self.home / "reader.env"

    @property
    def airflow_home(self) -> Path:
        """Airflow's own folder."""
        return self.home / "airflow"

    @property
    def airflow_passwords(self) -> Path:
        """The file that holds the password of the Airflow user."""
        return self.airflow_home / "passwords.json"

    @property
    def data_docs(self) -> Path:
        """The static pages of the validation results."""
        return self.home / "data-docs"

    @property
    def marker(self) -> str:
        """The value of CILAKE_STACK by which processes of this stack are recognised."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:12]

    @property
    def socket(self) -> Path:
        """The control socket of supervisord; short, because a socket's path has at most 107 bytes."""
        path = self.run / "supervisor.sock"
        if len(str(path)) < 90:  # supervisord binds a longer temporary name first
            return path
        return Path(tempfile.gettempdir()) / f"cilake-{os.getuid()}-{self.marker}" / "supervisor.sock"

    def bin(self, env: str, program: str) -> Path:
        """Return the path of a program inside one of the environments."""
        return self.envs / env / "bin" / program

    def site_packages(self, env: str) -> Path:
        """Return the folder of an environment's installed packages."""
        return (
            self.envs / env / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        )

    def make(self) -> None:
        """Create every missing folder, closed to other users where it holds secrets."""
        for folder in (self.home, self.data, self.log, self.run, self.cwd, self.airflow_home, self.data_docs):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.run, self.airflow_home):
            folder.chmod(0o700)
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def current() -> Layout:
    """Return the layout that CILAKE_HOME and CILAKE_ENV_HOME name, by default all in `.local`."""
    home = Path(os.environ.get("CILAKE_HOME") or REPO / ".local").absolute()
    shared = Path(os.environ.get("CILAKE_ENV_HOME") or REPO / ".local").absolute()
    return Layout(home=home, shared=shared)
