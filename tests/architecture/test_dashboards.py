"""The dashboards as files: what their texts say is there and true of the charts next to it."""

import re

import pytest
import yaml
from deploy.local.services.superset import DASHBOARDS

from cilake.contracts.registry import tables

CARDS = {"big_number", "big_number_total"}
MAX_COLOURS = 8


def load(folder):
    return [yaml.safe_load(path.read_text()) for path in sorted((DASHBOARDS / folder).rglob("*.yaml"))]


CHARTS = {chart["uuid"]: chart for chart in load("charts")}
DATASETS = {dataset["uuid"]: dataset for dataset in load("datasets")}
BOARDS = {board["slug"]: board for board in load("dashboards")}
SHOWN = [
    (slug, item["id"]) for slug, b in BOARDS.items() for item in b["position"].values() if "meta" in item
]
SHOWN = [(slug, item) for slug, item in SHOWN if item.startswith("CHART-")]


def chart_at(slug, item):
    return CHARTS[BOARDS[slug]["position"][item]["meta"]["uuid"]]


def caption(slug, item):
    """What is written with the chart: the subtitle of a card, else the text block in its column."""
    chart, position = chart_at(slug, item), BOARDS[slug]["position"]
    if chart["viz_type"] in CARDS:
        return chart["params"]["subtitle"]
    column = position[position[item]["parents"][-1]]
    return " ".join(
        position[child]["meta"]["code"] for child in column["children"] if child.startswith("MARKDOWN-")
    )


def filters_of(slug):
    return BOARDS[slug]["metadata"]["native_filter_configuration"]


def columns_of(chart):
    return {column["column_name"] for column in DATASETS[chart["dataset_uuid"]]["columns"]}


@pytest.mark.parametrize(("slug", "item"), SHOWN)
def test_a_chart_says_what_it_counts_where_people_look(slug, item):
    chart = chart_at(slug, item)
    assert len(chart["description"]) > 15
    assert caption(slug, item).startswith(chart["description"])


@pytest.mark.parametrize(("slug", "item"), SHOWN)
def test_a_chart_obeys_every_filter_of_its_dashboard_or_says_that_it_does_not(slug, item):
    chart, words = chart_at(slug, item), caption(slug, item)
    number = BOARDS[slug]["position"][item]["meta"]["chartId"]
    not_obeyed = []
    for chosen in filters_of(slug):
        if number in chosen["scope"]["excluded"]:
            not_obeyed.append(chosen["name"])
        elif chosen["filterType"] == "filter_time":
            ranges = [f for f in chart["params"]["adhoc_filters"] if f.get("operator") == "TEMPORAL_RANGE"]
            assert len(ranges) == 1 and ranges[0]["subject"] in columns_of(chart), "no range of days"
        else:
            assert chosen["targets"][0]["column"]["name"] in columns_of(chart), chosen["name"]
    assert all(name in words.partition("Not filtered by")[2] for name in not_obeyed) or (
        "whatever the filters choose" in words
    ), not_obeyed


@pytest.mark.parametrize("slug", ["ci-health", "flaky-and-failing-tests"])
def test_the_rows_behind_a_chart_of_runs_and_tests_lead_to_a_run(slug):
    behind = {chart_at(*shown)["dataset_uuid"] for shown in SHOWN if shown[0] == slug}
    about_the_lake = {"data_span", "table_freshness"}
    datasets = [DATASETS[uuid] for uuid in behind if DATASETS[uuid]["table_name"] not in about_the_lake]
    links = {
        dataset["table_name"]: [c for c in dataset["columns"] if "link(" in (c.get("expression") or "")]
        for dataset in datasets
    }
    assert len(links) > 1 and all(links.values()), links


def test_every_chart_is_on_a_dashboard_and_charts_are_numbered_from_one():
    assert {chart_at(*shown)["uuid"] for shown in SHOWN} == set(CHARTS)
    for slug in BOARDS:
        numbers = [BOARDS[s]["position"][item]["meta"]["chartId"] for s, item in SHOWN if s == slug]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("chart", CHARTS.values(), ids=lambda chart: chart["slice_name"])
def test_a_legend_has_at_most_eight_entries(chart):
    params = chart["params"]
    if params.get("show_legend") and chart["viz_type"].startswith("echarts_timeseries"):
        assert not params.get("groupby") or params["series_limit"] <= MAX_COLOURS
        assert len(params["metrics"]) <= MAX_COLOURS


@pytest.mark.parametrize("chart", CHARTS.values(), ids=lambda chart: chart["slice_name"])
def test_a_table_that_ends_early_says_so_in_its_title(chart):
    limit = chart["params"].get("row_limit")
    if chart["viz_type"] == "table" and chart["params"].get("include_search") and limit < 200:
        ordered = re.search(r"\(first (\d+)\)", chart["slice_name"])
        per_job = {"Worst jobs", "Jobs that got worse"}
        assert chart["slice_name"] in per_job or (ordered and int(ordered[1]) == limit)


@pytest.mark.parametrize("chart", CHARTS.values(), ids=lambda chart: chart["slice_name"])
def test_a_card_of_a_day_or_week_says_which_and_compares_whole_ones(chart):
    params = chart["params"]
    if chart["viz_type"] != "big_number":
        return
    unit = {"P1D": "day", "P1W": "week"}[params["time_grain_sqla"]]
    assert params["show_timestamp"] and params["compare_suffix"] == f"relative to the {unit} before"
    assert {f"is_full_{unit}"} <= {f["subject"] for f in params["adhoc_filters"]}
    assert ("week of" in params["time_format"]) == (unit == "week")


@pytest.mark.parametrize("chart", CHARTS.values(), ids=lambda chart: chart["slice_name"])
def test_a_table_with_a_link_shows_it_as_one(chart):
    dataset, params = DATASETS[chart["dataset_uuid"]], chart["params"]
    links = {
        part.get("column_name") or part.get("metric_name")
        for part in (*dataset["columns"], *dataset["metrics"])
        if "link(" in (part.get("expression") or "")
    }
    shown = {*params.get("all_columns", ()), *params.get("groupby", ()), *params.get("metrics", ())}
    if chart["viz_type"] == "table":
        assert params["allow_render_html"] == bool(links & shown)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset["table_name"])
def test_links_are_made_in_one_place_so_that_downloads_have_none(dataset):
    written = [dataset.get("sql", "")]
    written += [part.get("expression") or "" for part in (*dataset["columns"], *dataset["metrics"])]
    assert not [text for text in written if "<a " in text]
    assert all("cache_key_wrapper(answer_format())" in text for text in written if "link(" in text)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset["table_name"])
def test_a_dataset_of_a_table_has_its_columns_and_their_types(dataset):
    address = f"{dataset.get('schema')}.{dataset['table_name']}"
    if dataset.get("sql"):
        return
    contract = {column.name: column for column in tables()[address].columns}
    own = {c["column_name"]: c for c in dataset["columns"] if not c.get("expression")}
    assert set(own) <= set(contract)
    assert {name for name, c in own.items() if c["is_dttm"]} == {
        name for name in own if contract[name].type in ("date", "timestamp")
    }


def test_nothing_asks_for_the_verdict_rows_by_name():
    texts = [yaml.safe_dump(asset) for asset in (*CHARTS.values(), *DATASETS.values())]
    assert not [text for text in texts if "Overall" in text], "the tables leave them out"
