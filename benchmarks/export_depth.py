"""Pages of results deep in a campaign of 5 million, beside the first page of one of 50,000."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from benchmarks import data
from benchmarks.client import Connection, get
from benchmarks.figures import Figure, median_of
from benchmarks.stage import Bench, Stage, Tenant
from tongdai.domain import calls

DEEP = 5_000_000
SHALLOW = 50_000
DAYS = 60
LIMIT = 100
SAMPLES = 60
FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)

Query = dict[str, int]


async def measure(stage: Stage) -> list[Figure]:
    async with stage.database() as bench:
        deep, shallow = await bench.tenant("lớn"), await bench.tenant("nhỏ")
        big, small = await bench.campaign(deep), await bench.campaign(shallow)
        async with data.WithoutIndexes(bench):
            await data.finish(bench, deep, big, DEEP, a_day=-(-DEEP // DAYS))
            await data.finish(bench, shallow, small, SHALLOW, a_day=SHALLOW)
        await data.count_results(bench)
        await bench.analyze()
        figures: list[Figure] = []
        async with bench.api() as (port, _):
            client = await Connection(port).open()
            for kind in ("export", "call-log"):
                scopes = _scopes(kind, deep, big), _scopes(kind, shallow, small)
                figures += await _compare(f"{kind}, service", *(_service(bench, one) for one in scopes))
                paths = _path(kind, deep, big), _path(kind, shallow, small)
                figures += await _compare(f"{kind}, HTTP", *(_http(client, one) for one in paths))
            await client.close()
    return figures


def _scopes(kind: str, tenant: Tenant, campaign: int) -> calls.CampaignScope | calls.UserScope:
    if kind == "export":
        return calls.CampaignScope(tenant.account_id, campaign)
    return calls.UserScope(tenant.account_id, tenant.user_id)


def _path(kind: str, tenant: Tenant, campaign: int) -> str:
    path = f"/api/campaigns/{campaign}/export" if kind == "export" else "/api/users/call-log"
    return f"{path}?access_token={tenant.token}&"


def _service(bench: Bench, scope: calls.CampaignScope | calls.UserScope) -> Callable[[Query], Awaitable[int]]:
    async def read(query: Query) -> int:
        moments = {
            name: _moment(query[f"{name}_time"]) for name in ("start", "end") if f"{name}_time" in query
        }
        async with bench.db.transaction() as tx:
            page = await calls.export_page(
                tx,
                scope,
                start=moments.get("start"),
                end=moments.get("end"),
                limit=query["limit"],
                offset=query["offset"],
            )
        return len(page.rows)

    return read


def _http(client: Connection, path: str) -> Callable[[Query], Awaitable[int]]:
    async def read(query: Query) -> int:
        answer = await client.send(get(path + urlencode(query)))
        # Reading the answer is the client's own work, and would be timed: the number of its calls is enough.
        return answer.count(b'"call_id"')

    return read


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _places() -> Mapping[str, Callable[[], Query]]:
    """What is asked for: fixed places, and times that are new for each page."""
    moments = random.Random(7)

    def some_time() -> Query:
        day = moments.randrange(DAYS - 11)
        start = FIRST_DAY + timedelta(days=day, hours=2, seconds=moments.uniform(0, 3600))
        end = start + timedelta(days=moments.randrange(1, 10), seconds=moments.uniform(-600, 600))
        return {
            "start_time": int(start.timestamp() * 1000),
            "end_time": int(end.timestamp() * 1000),
            "limit": LIMIT,
            "offset": moments.randrange(60_000),
        }

    return {
        "offset 10,000": lambda: {"limit": LIMIT, "offset": 10_000},
        "offset 4,900,000": lambda: {"limit": LIMIT, "offset": 4_900_000},
        "arbitrary times": some_time,
    }


async def _compare(
    name: str, deep: Callable[[Query], Awaitable[int]], shallow: Callable[[Query], Awaitable[int]]
) -> list[Figure]:
    places = _places()
    first: Query = {"limit": LIMIT, "offset": 0}
    spent: dict[str, list[float]] = {place: [] for place in places}
    bare: list[float] = []
    for sample in range(SAMPLES + 10):
        took = await _timed(shallow, first)
        if sample >= 10:
            bare.append(took)
        for place, query in places.items():
            took = await _timed(deep, query())
            if sample >= 10:
                spent[place].append(took)
    return [
        Figure(
            name=f"{name}: {place}",
            value=median_of(spent[place]) * 1000,
            unit="ms",
            limit=median_of(bare) * 1000,
            limit_is="first page in 50,000 calls; a page is 100 calls with the total",
            sense="at most",
            target=2.0,
        )
        for place in places
    ]


async def _timed(read: Callable[[Query], Awaitable[int]], query: Query) -> float:
    began = time.perf_counter()
    found = await read(query)
    took = time.perf_counter() - began
    if found != LIMIT:
        raise RuntimeError(f"a page of {found} calls")
    return took
