"""Pages of results: from counters, yet exactly what counting every row would give (promise 16)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import factories

from tongdai.domain import calls
from tongdai.domain.calls import CampaignScope, Outcome, ResultMove, ResultPage, UserScope
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

T = TypeVar("T")

START = datetime(2026, 11, 20, 23, 59, 50, tzinfo=UTC)
DAY = 86400 * 10**6
# Around the edges of all three spans, on both sides of a midnight, and days away.
MICROSECONDS = (
    st.sampled_from([0, 1, -1, 10**7, 10**7 - 1, 10**7 + 1, 6 * 10**8, DAY, DAY - 1, -DAY, 40 * DAY])
    | st.integers(-3 * 10**7, 3 * 10**7)
    | st.integers(-2 * DAY, 2 * DAY)
)


@dataclass(frozen=True)
class House:
    """Two campaigns of the owner's, one of the colleague's."""

    cast: factories.Cast
    first: int
    second: int
    foreign: int


@pytest.fixture
async def house(db: Database) -> House:
    return await built(db)


async def built(db: Database) -> House:
    cast = await factories.cast(db)
    made = [await factories.campaign(db, person) for person in (cast.owner, cast.owner, cast.colleague)]
    return House(cast, *(campaign.id for campaign in made))


async def put(tx: Tx, house: House, campaign_id: int, moments: list[datetime]) -> list[int]:
    """Finished calls with these times, counted as the end of an attempt counts them."""
    owner, colleague = house.cast.owner, house.cast.colleague
    user_id = (colleague if campaign_id == house.foreign else owner).user.id
    cursor = await tx.execute(
        "INSERT INTO calls (account_id, campaign_id, user_id, state, number, number_given, outcome,"
        " called_at)"
        " SELECT %s, %s, %s, 'done', '84912345678', '0912345678', 'answered', at"
        " FROM unnest(%s::timestamptz[]) AS at RETURNING id",
        (owner.account_id, campaign_id, user_id, moments),
    )
    ids = [row[0] for row in await cursor.fetchall()]
    moves = [ResultMove(owner.account_id, campaign_id, user_id, None, moment) for moment in moments]
    await calls.count_results(tx, moves)
    return ids


async def counted_plainly(
    tx: Tx,
    column: str,
    scope_id: int,
    start: datetime | None,
    end: datetime | None,
    limit: int,
    offset: int,
) -> tuple[int, list[int]]:
    cursor = await tx.execute(
        f"SELECT id FROM calls WHERE {column} = %s AND called_at IS NOT NULL"
        " AND called_at >= coalesce(%s, '-infinity'::timestamptz)"
        " AND called_at <= coalesce(%s, 'infinity'::timestamptz) ORDER BY called_at, id",
        (scope_id, start, end),
    )
    ids = [row[0] for row in await cursor.fetchall()]
    return len(ids), ids[offset : offset + limit]


def ids_of(page: ResultPage) -> tuple[int, list[int]]:
    return page.total, [row.id for row in page.rows]


@dataclass(frozen=True)
class Case:
    moments: list[int]
    moved: list[int]
    """Where the first of the calls are moved to afterwards, as a retry moves them."""
    start: int | None
    end: int | None
    limit: int
    offset: int


CASES = st.builds(
    Case,
    moments=st.lists(MICROSECONDS, max_size=60),
    moved=st.lists(MICROSECONDS, max_size=20),
    start=st.none() | MICROSECONDS,
    end=st.none() | MICROSECONDS,
    limit=st.integers(0, 70),
    offset=st.integers(0, 70),
)


def test_a_page_is_what_counting_every_row_would_give(database_url: str) -> None:
    house = asyncio.run(in_database(database_url, built))

    @settings(max_examples=100, deadline=None)
    @given(case=CASES)
    def check(case: Case) -> None:
        asyncio.run(in_database(database_url, partial(check_case, house=house, case=case)))

    check()


async def in_database(url: str, use: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(url)
    await database.open()
    try:
        return await use(database)
    finally:
        await database.close()


async def check_case(db: Database, house: House, case: Case) -> None:
    async with db.autocommit() as tx, tx.transaction(force_rollback=True):
        times = [moment_of(moment) for moment in case.moments]
        ids = await put(tx, house, house.first, times)
        await put(tx, house, house.second, times[:7])
        await put(tx, house, house.foreign, times[:5])
        for call_id, before, after in zip(ids, times, case.moved, strict=False):
            await move(tx, house, call_id, before, moment_of(after))
        start = None if case.start is None else moment_of(case.start)
        end = None if case.end is None else moment_of(case.end)
        owner = house.cast.owner
        for scope, column, scope_id in (
            (CampaignScope(owner.account_id, house.first), "campaign_id", house.first),
            (UserScope(owner.account_id, owner.user.id), "user_id", owner.user.id),
        ):
            page = await calls.export_page(
                tx, scope, start=start, end=end, limit=case.limit, offset=case.offset
            )
            plain = await counted_plainly(tx, column, scope_id, start, end, case.limit, case.offset)
            assert ids_of(page) == plain


def moment_of(microseconds: int) -> datetime:
    return START + timedelta(microseconds=microseconds)


async def move(tx: Tx, house: House, call_id: int, before: datetime, after: datetime) -> None:
    owner = house.cast.owner
    await tx.execute("UPDATE calls SET called_at = %s WHERE id = %s", (after, call_id))
    await calls.count_results(tx, [ResultMove(owner.account_id, house.first, owner.user.id, before, after)])


async def test_paging_through_gives_every_result_once_and_in_order(tx: Tx, house: House) -> None:
    times = [START + timedelta(seconds=n % 37, minutes=n % 11) for n in range(250)]
    ids = await put(tx, house, house.first, times)
    scope = CampaignScope(house.cast.owner.account_id, house.first)
    rows = []
    for offset in range(0, 260, 20):
        page = await calls.export_page(tx, scope, limit=20, offset=offset)
        assert page.total == 250
        rows += [(row.called_at, row.id) for row in page.rows]
    assert rows == sorted(rows)
    assert sorted(call_id for _, call_id in rows) == ids


async def test_both_ends_of_the_interval_belong_to_it(tx: Tx, house: House) -> None:
    await put(tx, house, house.first, [START + timedelta(seconds=n) for n in range(5)])
    scope = CampaignScope(house.cast.owner.account_id, house.first)
    page = await calls.export_page(
        tx, scope, start=START + timedelta(seconds=1), end=START + timedelta(seconds=3), limit=10, offset=0
    )
    assert page.total == len(page.rows) == 3


async def test_times_that_make_no_sense_give_an_empty_page(tx: Tx, house: House) -> None:
    await put(tx, house, house.first, [START])
    scope = CampaignScope(house.cast.owner.account_id, house.first)
    earliest = datetime.min.replace(tzinfo=UTC)
    latest = datetime.max.replace(tzinfo=UTC)
    backwards = await calls.export_page(tx, scope, start=latest, end=earliest, limit=10, offset=0)
    assert ids_of(backwards) == (0, [])
    forever = await calls.export_page(tx, scope, start=earliest, end=latest, limit=10, offset=0)
    assert forever.total == len(forever.rows) == 1
    beyond = await calls.export_page(tx, scope, limit=10, offset=2**70)
    assert ids_of(beyond) == (1, [])
    negative = await calls.export_page(tx, scope, limit=10, offset=-5)
    assert negative.total == len(negative.rows) == 1


async def test_a_colleague_sees_the_campaign_but_has_a_call_log_of_their_own(tx: Tx, house: House) -> None:
    await put(tx, house, house.first, [START])
    colleague = house.cast.colleague
    assert (
        await calls.export_page(tx, CampaignScope(colleague.account_id, house.first), limit=9, offset=0)
    ).total == 1
    assert (
        await calls.export_page(tx, UserScope(colleague.account_id, colleague.user.id), limit=9, offset=0)
    ).total == 0


async def test_a_stranger_finds_no_results_and_cannot_tell_that_there_are_any(tx: Tx, house: House) -> None:
    await put(tx, house, house.first, [START])
    stranger = house.cast.stranger.account_id
    for scope in (CampaignScope(stranger, house.first), UserScope(stranger, house.cast.owner.user.id)):
        assert await calls.export_page(tx, scope, limit=10, offset=0) == ResultPage(0, ())
    assert await calls.export_page(tx, CampaignScope(stranger, 10**9), limit=10, offset=0) == ResultPage(
        0, ()
    )


async def test_a_page_spans_partitions(tx: Tx, house: House) -> None:
    await put(tx, house, house.first, [START + timedelta(seconds=n) for n in range(0, 10, 2)])
    await tx.execute("SELECT setval('call_ids', 20000000)")
    await tx.execute("SELECT ensure_partitions()")
    await put(tx, house, house.first, [START + timedelta(seconds=n) for n in range(1, 10, 2)])
    page = await calls.export_page(
        tx, CampaignScope(house.cast.owner.account_id, house.first), limit=4, offset=3
    )
    assert page.total == 10
    assert [row.called_at for row in page.rows] == [START + timedelta(seconds=n) for n in (3, 4, 5, 6)]


async def test_counters_hold_no_more_than_the_moves_left_in_them(tx: Tx, house: House) -> None:
    owner = house.cast.owner
    later = START + timedelta(days=3)
    await calls.count_results(
        tx, [ResultMove(owner.account_id, house.first, owner.user.id, None, START) for _ in range(3)]
    )
    await calls.count_results(
        tx, [ResultMove(owner.account_id, house.first, owner.user.id, START, later) for _ in range(2)]
    )
    cursor = await tx.execute(
        "SELECT scope, span_s, sum(calls), min(calls) FROM result_counts GROUP BY scope, span_s ORDER BY 1, 2"
    )
    assert await cursor.fetchall() == [
        (scope, span_s, 3, 1) for scope in ("campaign", "user") for span_s in (10, 600, 86400)
    ]


async def test_a_move_within_one_span_writes_only_the_finer_ones(tx: Tx, house: House) -> None:
    owner = house.cast.owner
    at = datetime(2026, 11, 20, 10, 0, 1, tzinfo=UTC)
    await calls.count_results(
        tx, [ResultMove(owner.account_id, house.first, owner.user.id, at, at + timedelta(seconds=9))]
    )
    cursor = await tx.execute("SELECT DISTINCT span_s, calls FROM result_counts ORDER BY 1, 2")
    assert await cursor.fetchall() == [(10, -1), (10, 1)]


async def test_finals_add_up_per_campaign_and_outcome(tx: Tx, house: House) -> None:
    account_id = house.cast.owner.account_id
    await calls.count_finals(
        tx,
        [
            (account_id, house.second, Outcome.BUSY, "", 1),
            (account_id, house.first, Outcome.BUSY, "", 2),
            (account_id, house.first, Outcome.BUSY, "", 3),
        ],
    )
    await calls.count_finals(tx, [(account_id, house.first, Outcome.ANSWERED, "", 1)])
    await calls.count_finals(tx, [])
    cursor = await tx.execute("SELECT campaign_id, outcome, calls FROM outcome_counts ORDER BY 1, 2")
    assert await cursor.fetchall() == [
        (house.first, "answered", 1),
        (house.first, "busy", 5),
        (house.second, "busy", 1),
    ]
