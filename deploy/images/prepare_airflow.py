"""Airflow's database brought up to date, with pools and first users; run once before its components start."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

POOLS = Path(__file__).resolve().parents[1] / "airflow" / "pools.json"
USERS = {
    "admin": ("Admin", "CILAKE_AIRFLOW_PASSWORD"),
    "viewer": ("Viewer", "CILAKE_AIRFLOW_VIEWER_PASSWORD"),
}
"""The first users, each with its role and the setting of its first password."""


def main() -> None:
    """Migrate the schema and create the missing pools and users; existing ones are kept."""
    subprocess.run(["airflow", "db", "migrate"], check=True)
    make_pools()

    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        made = [name for name in USERS if ensure_user(builder.sm, name, os.environ)]
    print(f"Airflow is prepared; users made: {', '.join(made) or 'none'}")


def make_pools() -> None:
    """Make the pools that are missing: a task of a pool that is not there is never scheduled."""
    from airflow.models.pool import Pool

    for name, pool in json.loads(POOLS.read_text(encoding="utf-8")).items():
        if Pool.get_pool(name) is None:
            Pool.create_or_update_pool(name, **pool)


def ensure_user(security: Any, name: str, environment: Mapping[str, str]) -> bool:
    """Create the user if it does not exist, return whether it was created; a changed password is kept.

    Raises:
        SystemExit: when Airflow refuses the user.

    """
    if security.find_user(name):
        return False
    role, variable = USERS[name]
    # In this process and not with `airflow users create`: a password on a command line is for all to read.
    password = environment[variable]
    if not security.add_user(name, "cilake", name, f"{name}@localhost", security.find_role(role), password):
        raise SystemExit(f"the user {name} of Airflow could not be made: its reason is above")
    return True


if __name__ == "__main__":
    main()
