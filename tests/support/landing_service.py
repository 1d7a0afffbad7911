"""What a service of the tests shows a landing, and what the lake says of it."""

import orjson
from tests.support.grids import DAY_MS, FIRST_MS, dump, make_table

DATE = "Mon, 21 Jun 2021 13:00:00 GMT"
NEXT_DATE = "Tue, 22 Jun 2021 13:00:00 GMT"


def serve(replies, board, tabs, date=DATE):
    """Let the dashboard list these tabs, each with a table."""
    replies["Date"] = date
    replies[f"/{board}/summary"] = (200, orjson.dumps({tab: {} for tab in tabs}))
    for tab in tabs:
        table = make_table({"Overall": [1]}, job=tab, timestamps=[FIRST_MS - DAY_MS])
        replies[f"/{board}/table#{tab}"] = (200, dump(table))


def receipt_of(catalog, scope, day):
    (row,) = rows(catalog, "ops.latest_receipts", f"scope == '{scope}' and partition_date == '{day}'")
    return {name.removesuffix("_count"): count for name, count in row.items() if name.endswith("_count")}


def rows(catalog, address, condition):
    return catalog.load_table(address).scan(row_filter=condition).to_arrow().to_pylist()
