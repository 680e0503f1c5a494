"""Long lists of journeys and messages: looked through piece by piece, each by an index of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from tests.fakes.clock import FakeClock

from tongdai.domain.zalo import (
    JourneyFilter,
    JourneyState,
    MessageFilter,
    MessageState,
    Paging,
    list_journeys,
    list_messages,
)
from tongdai.domain.zalo.store import journeys as journey_store
from tongdai.domain.zalo.store import messages as message_store
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx

pytestmark = pytest.mark.anyio

ACCOUNT = 1
OFTEN = "84900000000"

# Times go up and down by less than two minutes.
JOURNEYS = """
INSERT INTO zalo_journeys
       (account_id, oa_ref, oa_id, user_id, phone, token_type, state, journey_id, charged, created_at,
        expires_at, updated_at)
SELECT n %% %(accounts)s + 1, 1, 500 + n %% 3, 1,
       CASE WHEN n %% 4 = 0 THEN '84900000000' ELSE '849' || lpad(n::text, 8, '0') END, '24h',
       CASE WHEN n %% 7 = 0 THEN 'refused' ELSE 'enabled' END, CASE WHEN n %% 7 <> 0 THEN 'z' || n END,
       n %% 5 = 0, %(now)s + n * interval '20 seconds' + n * 37 %% 5 * interval '25 seconds',
       %(now)s + interval '9 days', %(now)s
  FROM generate_series(1, %(rows)s) n
"""
MESSAGES = """
INSERT INTO zalo_messages
       (account_id, oa_ref, oa_id, user_id, type, phone, template_id, template_data, tracking_id, state,
        msg_id, journey_id, created_at, sent_at, delivered_at, updated_at)
SELECT n %% %(accounts)s + 1, 1, 500 + n %% 3, 1, 'template',
       CASE WHEN n %% 4 = 0 THEN '84900000000' ELSE '849' || lpad(n::text, 8, '0') END, 7 + n %% 5, '{}',
       CASE WHEN n %% 2 = 0 THEN 'all' ELSE 't' || n END,
       CASE WHEN n %% 7 = 0 THEN 'undelivered' ELSE 'delivered' END, 'm' || n, 'z' || n, made.at,
       made.at + interval '5 seconds',
       CASE WHEN n %% 7 <> 0 THEN made.at + n %% 9 * interval '8 hours' END, made.at
  FROM generate_series(1, %(rows)s) n,
       LATERAL (SELECT %(now)s + n * interval '20 seconds' + n * 37 %% 5 * interval '25 seconds' AS at) made
"""


async def fill(tx: Tx, now: datetime, rows: int, accounts: int = 1) -> None:
    values = {"now": now, "rows": rows, "accounts": accounts}
    await tx.execute(JOURNEYS, values)
    await tx.execute(MESSAGES, values)


def pieces(**filters: list[Any]) -> Iterator[dict[str, Any]]:
    """Every combination of these values, each left out, too."""
    for values in product(*([None, *some] for some in filters.values())):
        yield dict(zip(filters, values, strict=True))


async def test_rare_messages_are_found_by_going_on_in_either_direction(tx: Tx, clock: FakeClock) -> None:
    await fill(tx, clock.now(), 60)
    everything = (await list_messages(tx, ACCOUNT, MessageFilter(), Paging(limit=100))).items
    assert len(everything) == 60
    for where in pieces(
        oa_id=[501], phone=[OFTEN], tracking_id=["all"], states=[frozenset({MessageState.UNDELIVERED})]
    ):
        named = {name: value for name, value in where.items() if value is not None and name != "states"}
        expected = [
            one.id
            for one in everything
            if all(getattr(one, name) == value for name, value in named.items() if name != "tracking_id")
            and (where["tracking_id"] is None or int(one.msg_id[1:]) % 2 == 0)  # type: ignore[index]
            and (where["states"] is None or one.state in where["states"])
        ]
        for newest_first in (True, False):
            found: list[int] = []
            paging = Paging(limit=3, newest_first=newest_first)
            while True:
                page = await list_messages(tx, ACCOUNT, MessageFilter(**where), paging, examine=4)
                found += [one.id for one in page.items]
                if page.next is None:
                    break
                paging = Paging(after=page.next, limit=3, newest_first=newest_first)
            assert found == (expected if newest_first else expected[::-1]), where


async def test_rare_journeys_are_found_by_going_on_in_either_direction(
    tx: Tx, clock: FakeClock, keyring: Keyring
) -> None:
    now = clock.now()
    await fill(tx, now, 60)
    whole = await list_journeys(tx, keyring, ACCOUNT, JourneyFilter(), Paging(limit=100), now=now)
    assert len(whole.items) == 60
    for wanted in pieces(
        oa_id=[501], phone=[OFTEN], charged=[True], states=[frozenset({JourneyState.REFUSED})]
    ):
        expected = [
            one.id
            for one in whole.items
            if all(
                value is None or (one.state in value if name == "states" else getattr(one, name) == value)
                for name, value in wanted.items()
            )
        ]
        for newest_first in (True, False):
            found: list[int] = []
            paging = Paging(limit=3, newest_first=newest_first)
            while True:
                page = await list_journeys(
                    tx, keyring, ACCOUNT, JourneyFilter(**wanted), paging, now=now, examine=4
                )
                found += [one.id for one in page.items]
                if page.next is None:
                    break
                paging = Paging(after=page.next, limit=3, newest_first=newest_first)
            assert found == (expected if newest_first else expected[::-1]), wanted


async def test_one_request_looks_through_no_more_than_it_may(tx: Tx, clock: FakeClock) -> None:
    await fill(tx, clock.now(), 60)
    page = await list_messages(tx, ACCOUNT, MessageFilter(template_id=99), Paging(), examine=10)
    assert page.items == []
    [(tenth,)] = await (
        await tx.execute("SELECT id FROM zalo_messages ORDER BY id DESC OFFSET 9 LIMIT 1")
    ).fetchall()
    assert page.next == tenth


@pytest.mark.parametrize("time_type", ["created_at", "sent_time", "delivery_time"])
async def test_times_are_found_though_rows_were_not_written_in_their_order(
    tx: Tx, clock: FakeClock, keyring: Keyring, time_type: str
) -> None:
    now = clock.now()
    await fill(tx, now, 40)
    columns = {"created_at": "created_at", "sent_time": "sent_at", "delivery_time": "delivered_at"}
    everything = (await list_messages(tx, ACCOUNT, MessageFilter(), Paging(limit=100))).items
    times = [(one.id, getattr(one, columns[time_type])) for one in everything]
    assert time_type != "created_at" or times != sorted(times, key=lambda one: one[1], reverse=True)
    some = [at for _, at in times if at is not None][::4]
    for where in pieces(since=some, until=some):
        since, until = where["since"], where["until"]
        expected = [
            id_
            for id_, at in times
            if (since is None and until is None)
            or (at is not None and (since is None or at >= since) and (until is None or at < until))
        ]
        page = await list_messages(
            tx,
            ACCOUNT,
            MessageFilter(time_type=time_type, **where),  # type: ignore[arg-type]
            Paging(limit=100),
        )
        assert [one.id for one in page.items] == expected
        if time_type == "created_at":
            listed = await list_journeys(
                tx, keyring, ACCOUNT, JourneyFilter(**where), Paging(limit=100), now=now
            )
            assert len(listed.items) == len(expected)


# ---------------------------------------------------------------- plans

PLANS: Mapping[str, tuple[str, str]] = {
    **{
        f"journeys by {scope}": (journey_store._LISTED[scope] + " DESC LIMIT %(limit)s", index)
        for scope, index in {
            "account_id": "zalo_journeys_pkey",
            "journey_id": "zalo_journeys_zalo_id",
            "phone": "zalo_journeys_phone",
            "oa_id": "zalo_journeys_of_oa",
        }.items()
    },
    **{
        f"messages by {scope}": (message_store._LISTED[scope] + " LIMIT %(limit)s", index)
        for scope, index in {
            "account_id": "zalo_messages_pkey",
            "msg_id": "zalo_messages_msg_id",
            "journey_id": "zalo_messages_journey_id",
            "phone": "zalo_messages_phone",
            "tracking_id": "zalo_messages_tracking",
            "oa_id": "zalo_messages_of_oa",
        }.items()
    },
    "a journey that is charged": (journey_store.ENABLE_OWN, "zalo_journeys_pkey"),
    "a journey that Zalo charges": (journey_store.ENABLE_ZALOS, "zalo_journeys_zalo_id"),
    "a journey that Zalo ends": (journey_store.EXPIRE_ZALOS, "zalo_journeys_zalo_id"),
    "a message that Zalo names": (message_store.GET_BY_MSG_ID, "zalo_messages_msg_id"),
    "a message without Zalo's name": (message_store.GET_BY_TRACKING, "zalo_messages_unnamed"),
}


async def test_no_prepared_statement_reads_a_whole_account(tx: Tx, clock: FakeClock) -> None:
    """As PostgreSQL plans them once it does not look at the values any more."""
    await fill(tx, clock.now(), 30_000, accounts=3)
    await tx.execute("ANALYZE zalo_journeys, zalo_messages")
    for name, (statement, index) in PLANS.items():
        plan = await generic_plan(tx, statement)
        assert re.search(f'"Index Name": "{index}"', plan), f"{name}: {plan}"
        assert "Seq Scan" not in plan, f"{name}: {plan}"


async def generic_plan(tx: Tx, statement: str) -> str:
    names: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    query = re.sub(r"%\((\w+)\)[sb]", numbered, statement)
    explained = await tx.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {query}")
    row = await explained.fetchone()
    assert row is not None
    return json.dumps(row[0])
