"""What Airflow loads from this folder: the links under our operator's tasks.

The package ``cilake_airflow`` beside this file is ordinary code that DAG files import; ``.airflowignore``
keeps the plugin manager from executing its modules one by one.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from cilake_airflow.links import DataDocsLink


class CilakePlugin(AirflowPlugin):
    """The plugin of the lake: operator links, nothing that runs by itself."""

    name = "cilake"
    operator_extra_links = [DataDocsLink()]  # noqa: RUF012  (Airflow's interface)
