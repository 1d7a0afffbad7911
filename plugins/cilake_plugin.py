"""What Airflow loads from this folder: links under our tasks, our pages, their menu entries, days in run ids.

The package ``cilake_airflow`` next to this file is ordinary code that DAG files import; ``.airflowignore``
keeps the plugin manager from executing its modules one by one.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from cilake_airflow import addresses
from cilake_airflow.links import PLUGIN_LINKS
from cilake_airflow.run_ids import show_days_in_run_ids


class CilakePlugin(AirflowPlugin):
    """The plugin of the lake."""

    name = "cilake"
    operator_extra_links = list(PLUGIN_LINKS)  # noqa: RUF012  (Airflow's interface)
    # The paths are shown in a frame inside Airflow; without a category they get a separate button.
    external_views = [  # noqa: RUF012  (Airflow's interface)
        {
            "name": "Data docs",
            "href": addresses.airflow_path(f"{addresses.DATA_DOCS}/{addresses.DATA_DOCS_INDEX}"),
            "destination": "nav",
            "category": "browse",
            "url_route": "data-docs",
        },
        {
            "name": "Tables",
            "href": addresses.airflow_path(f"{addresses.TABLES}/{addresses.TABLES_INDEX}"),
            "destination": "nav",
            "category": "browse",
            "url_route": "tables",
        },
    ]

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Complete the ids of the runs that this process makes."""
        show_days_in_run_ids()

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The pages; made when used, because only the API server needs FastAPI and it loads slowly."""
        from cilake_airflow.pages import make_pages

        return [{"app": make_pages(), "url_prefix": addresses.PREFIX, "name": "cilake pages"}]
