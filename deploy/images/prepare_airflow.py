"""Airflow's database brought up to date and its admin made; run once before its components start."""

from __future__ import annotations

import os
import subprocess

ADMIN = "admin"


def main() -> None:
    """Nothing: the database has today's schema and the admin has the password of the settings."""
    subprocess.run(["airflow", "db", "migrate"], check=True)

    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    # In this process and not with `airflow users create`: a password on a command line is for all to read.
    password = os.environ["CILAKE_AIRFLOW_PASSWORD"]
    with get_application_builder() as builder:
        security = builder.sm
        known = security.find_user(ADMIN)
        if known:
            security.reset_password(known.id, password)
        else:
            role = security.find_role("Admin")
            if not security.add_user(ADMIN, "cilake", "admin", "admin@localhost", role, password):
                raise SystemExit("the admin of Airflow could not be made: its reason is above")
    print("Airflow is prepared")


if __name__ == "__main__":
    main()
