from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests import factories
from tests.facades.vbot.client import Api, answer_of, bearer, invalid
from tests.factories import Cast, Person
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import rows

from tongdai.domain import billing, recordings, routing
from tongdai.domain.inbound.store import reading
from tongdai.kit.db import Database
from tongdai.ports.services import Services, VBotOptions

pytestmark = pytest.mark.anyio

HISTORY = "/api/crm/historycall/getAll"
NOON = datetime(2026, 11, 18, 5, 0, tzinfo=UTC)
"""12:00 in Vietnam."""

ADD = """
WITH call AS (
    INSERT INTO calls (account_id, campaign_id, user_id, state, number, number_given)
    VALUES (%(account)s, %(campaign)s, %(user)s, 'done', %(number)s, 'x') RETURNING id
)
INSERT INTO attempts (account_id, call_id, campaign_id, ordinal, hotline_id, dialled_at, ended_at, outcome,
                      ring_s, duration_s, postage)
SELECT %(account)s, call.id, %(campaign)s, 1, %(hotline)s, %(at)s, %(ended)s, %(outcome)s, 4.6, %(seconds)s,
       %(postage)s
FROM call
"""


class Past:
    """Calls that a person's account has made."""

    def __init__(self, db: Database, person: Person) -> None:
        self.db = db
        self.person = person
        self.campaign_id = 0
        self.hotline = 0

    async def add(
        self,
        number: str,
        at: datetime = NOON,
        outcome: str | None = "answered",
        seconds: int = 0,
        postage: str | None = None,
    ) -> None:
        if not self.campaign_id:
            line = await factories.hotline(self.db, self.person.account_id, number="02473001234")
            made = await factories.campaign(self.db, self.person, hotline_ids=[line.id])
            self.campaign_id, self.hotline = made.id, line.id
        values = {
            "account": self.person.account_id,
            "user": self.person.user.id,
            "campaign": self.campaign_id,
            "hotline": self.hotline,
            "number": number,
            "at": at,
            "ended": None if outcome is None else at + timedelta(seconds=60),
            "outcome": outcome,
            "seconds": seconds,
            "postage": None if postage is None else Decimal(postage),
        }
        async with self.db.autocommit() as connection:
            await connection.execute(ADD, values)


@pytest.fixture
def past(db: Database, cast: Cast) -> Past:
    return Past(db, cast.owner)


def numbers(answer: dict[str, Any]) -> list[str]:
    return [row["callee"][0]["phone"] for row in answer["data"]]


# ---------------------------------------------------------------- call history


async def test_an_ended_attempt_is_a_row_with_the_vendors_fields(api: Api, cast: Cast, past: Past) -> None:
    await past.add("84912345001", seconds=3725, postage="1234.00")
    answer = await api.get(cast.owner.api_key, HISTORY)
    party = {"vbot_id": "", "date_create": "11/18/2026 12:00:00", "time_call": "01:02:05", "member_no": ""}
    assert answer == {
        "status": 1,
        "error": 0,
        "msg": "success",
        "message": "success",
        "data": [
            {
                "hotline_number": "02473001234",
                "date_create": "11/18/2026 12:00:00",
                "time_call": "01:02:05",
                "type_call": "CALLOUT",
                "caller": [
                    party
                    | {"phone": "02473001234", "disposition": "", "postage": 1234.0, "source": "Campaign"}
                ],
                "callee": [
                    party
                    | {
                        "phone": "0912345001",
                        "disposition": "ANSWER",
                        "postage": 1234.0,
                        "source": "Phone",
                        "duration_call": "01:02:10",
                    }
                ],
                "postage": "1234.00",
                "source": "Campaign",
                "disposition": "ANSWER",
                "record_file": [],
            }
        ],
    }


async def test_a_row_has_the_addresses_of_what_was_recorded_of_that_attempt(
    api: Api, cast: Cast, past: Past, db: Database
) -> None:
    await past.add("84912345001")
    await past.add("84912345002", NOON + timedelta(minutes=1))
    found = await rows(db, "SELECT id, call_id FROM attempts ORDER BY id LIMIT 1")
    [(attempt_id, call_id)] = found
    new = recordings.NewRecording(
        account_id=cast.owner.account_id,
        leg_id=1,
        engine="asterisk/1",
        name="td-1-0",
        kind="call",
        seconds=1.0,
        at=NOON,
        call_id=call_id,
        attempt_id=attempt_id,
    )
    async with db.transaction() as tx:
        [recording_id] = await recordings.note(tx, [new])

    second, first = (await api.get(cast.owner.api_key, HISTORY))["data"]

    assert second["record_file"] == []
    [address] = first["record_file"]
    assert address.partition("?")[0] == f"/v1/recordings/{recording_id}/file"


async def test_calls_come_newest_first_page_by_page_and_running_ones_not_at_all(
    api: Api, cast: Cast, past: Past
) -> None:
    for number in range(5):
        await past.add(f"8491234500{number}", NOON + timedelta(minutes=number), "busy")
    await past.add("84912345009", NOON + timedelta(minutes=9), None)
    key = cast.owner.api_key
    pages = [numbers(await api.get(key, HISTORY, page=page, size=2)) for page in (0, 1, 2, 3, 4)]
    first = ["0912345004", "0912345003"]
    assert pages == [first, first, ["0912345002", "0912345001"], ["0912345000"], []]


async def test_parameters_count_in_the_query_and_in_the_body_of_every_kind(
    api: Api, cast: Cast, past: Past
) -> None:
    for number in range(3):
        await past.add(f"8491234500{number}", NOON + timedelta(minutes=number))
    wanted = {"phone": "0912345001", "page": 1, "size": 10}
    ways: list[dict[str, Any]] = [
        {"params": wanted},
        {"content": json.dumps(wanted)},
        {"content": "phone=0912345001&page=1&size=10"},
        {"params": {"phone": "+84 912 345 001"}, "content": json.dumps({"phone": "0912345002"})},
    ]
    for way in ways:
        response = await api.http.request("GET", HISTORY, headers=bearer(cast.owner.api_key), **way)
        assert numbers(answer_of(response)) == ["0912345001"], way


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("11/18/2026 12:01:00", "", [2, 1]),
        ("", "11/18/2026 12:01:00", [1, 0]),
        ("11/18/2026 12:01", "11/18/2026 12:01:59", [1]),
        ("2026-11-18", "2026-11-18", [2, 1, 0]),
        ("2026-11-19", "", []),
        ("", "11/17/2026", []),
        ("2026-11-18T12:01:00+07:00", "2026-11-18T05:01:00Z", [1]),
        ("1795000000", "9999999999", []),
        (str(int(NOON.timestamp()) + 60), str((int(NOON.timestamp()) + 60) * 1000), [1]),
        ("0001-01-01", "9999-12-31", [2, 1, 0]),
        ("2026-11-19", "2026-11-17", []),
    ],
)
async def test_times_are_read_in_every_likely_form(
    api: Api, cast: Cast, past: Past, start: str, end: str, found: list[int]
) -> None:
    for number in range(3):
        await past.add(f"8491234500{number}", NOON + timedelta(minutes=number))
    answer = await api.get(cast.owner.api_key, HISTORY, **{"from": start, "to": end})
    assert numbers(answer) == [f"091234500{number}" for number in found]


async def test_days_come_first_under_a_setting(services: Services, cast: Cast, past: Past) -> None:
    api = Api(replace(services, vbot=VBotOptions(date_format="dd/MM/yyyy")))
    await past.add("84912345001")
    answer = await api.get(cast.owner.api_key, HISTORY, **{"from": "18/11/2026", "to": "18/11/2026"})
    assert [row["date_create"] for row in answer["data"]] == ["18/11/2026 12:00:00"]


async def test_a_parameter_that_cannot_be_read_is_told_by_name(api: Api, cast: Cast) -> None:
    for query, detail in (
        ({"page": "x"}, "page phải là số nguyên"),
        ({"size": "-1"}, "size phải là số nguyên"),
        ({"from": "hôm qua"}, "from không đúng định dạng MM/dd/yyyy HH:mm:ss"),
        ({"to": "13/13/2026"}, "to không đúng định dạng MM/dd/yyyy HH:mm:ss"),
        ({"to": "9" * 30}, "to không đúng định dạng MM/dd/yyyy HH:mm:ss"),
        ({"page": 501, "size": 20}, "page: quá xa, hãy thu hẹp from và to"),
        ({"page": "9" * 50}, "page: quá xa, hãy thu hẹp from và to"),
    ):
        assert await api.get(cast.owner.api_key, HISTORY, **query) == invalid(detail)


async def test_a_text_that_is_no_number_finds_no_call(api: Api, cast: Cast, past: Past) -> None:
    await past.add("84912345001")
    for phone in ("12345", "x", "\x00", "Lê", "0912345002"):
        assert numbers(await api.get(cast.owner.api_key, HISTORY, phone=phone)) == []


async def test_nobody_reads_another_accounts_calls(api: Api, cast: Cast, past: Past) -> None:
    await past.add("84912345001")
    assert numbers(await api.get(cast.colleague.api_key, HISTORY)) == ["0912345001"]
    assert numbers(await api.get(cast.stranger.api_key, HISTORY)) == []
    assert numbers(await api.get(cast.stranger.api_key, HISTORY, phone="0912345001")) == []


MANY = """
INSERT INTO attempts (account_id, call_id, campaign_id, ordinal, hotline_id, dialled_at, ended_at)
SELECT account_id, call_id, campaign_id, n, hotline_id, dialled_at - n * interval '1 s', ended_at
FROM attempts, generate_series(2, 20000) n
"""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


async def test_a_page_costs_what_it_shows_and_not_what_was_ever_dialled(
    api: Api, db: Database, cast: Cast, past: Past
) -> None:
    await past.add("84912345001")
    values = {
        "account_id": cast.owner.account_id,
        "since": NOON - timedelta(days=300),
        "until": NOON + timedelta(days=1),
        "offset": 0,
        "limit": 20,
        "deep": 20,
    }
    async with db.autocommit() as connection:
        await connection.execute(MANY)
        await connection.execute("ANALYZE attempts")
        explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {reading.HISTORY}"
        row = await (await connection.execute(explained, values)).fetchone()
    assert row is not None
    read = [node for node in nodes(row[0][0]["Plan"]) if "dialled_at" in node.get("Index Name", "")]
    assert read
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in read) <= 21
    assert len((await api.get(cast.owner.api_key, HISTORY, size=1000))["data"]) == 1000


CAME_IN = """
INSERT INTO inbound_calls (account_id, hotline_id, trunk_id, caller, caller_given, called_given, state,
                           came_at, answered_at, ended_at, kind, disposition, ring_s, duration_s, transfers)
SELECT account_id, id, trunk_id, %(caller)s, '0912345001', '02473001234', %(state)s, %(at)s, %(at)s,
       CASE %(state)s WHEN 'ended' THEN %(at)s + interval '70 s' END,
       CASE %(state)s WHEN 'ended' THEN %(kind)s END, %(disposition)s, 5, %(seconds)s, %(transfers)s::jsonb
FROM hotlines WHERE id = %(hotline)s
"""


async def came_in(past: Past, at: datetime, **how: Any) -> None:
    """A call to the hotline that the person's campaign calls with."""
    values = {
        "hotline": past.hotline,
        "caller": "84912345001",
        "state": "ended",
        "kind": "MISSCALL",
        "disposition": "CANCEL",
        "seconds": 0,
        "transfers": None,
        "at": at,
    }
    async with past.db.autocommit() as connection:
        await connection.execute(CAME_IN, values | how)


async def test_a_call_that_came_in_is_a_row_with_the_vendors_fields(api: Api, cast: Cast, past: Past) -> None:
    await past.add("84987654321", NOON - timedelta(hours=1))
    rung = [
        {"target": "84911111111", "disposition": "SOMEONEANSWERED", "seconds": 0},
        {"target": "84922222222", "disposition": "ANSWER", "seconds": 48},
    ]
    transfers = json.dumps(rung)
    await came_in(past, NOON, kind="CALLIN", disposition="ANSWER", seconds=65, transfers=transfers)
    first = (await api.get(cast.owner.api_key, HISTORY))["data"][0]
    party = {
        "vbot_id": "",
        "date_create": "11/18/2026 12:00:00",
        "postage": 0,
        "source": "Phone",
        "member_no": "",
    }
    late = {"phone": "0911111111", "disposition": "SOMEONEANSWERED", "time_call": "00:00:00"}
    had_it = {"phone": "0922222222", "disposition": "ANSWER", "time_call": "00:00:48"}
    assert first == {
        "hotline_number": "02473001234",
        "date_create": "11/18/2026 12:00:00",
        "time_call": "00:01:05",
        "type_call": "CALLIN",
        "caller": [party | {"phone": "0912345001", "disposition": "", "time_call": "00:01:05"}],
        "callee": [
            party | late | {"duration_call": "00:01:10"},
            party | had_it | {"duration_call": "00:01:10"},
        ],
        "postage": "0",
        "source": "Phone",
        "disposition": "ANSWER",
        "record_file": [],
    }


async def test_calls_both_ways_come_newest_first_on_every_page(api: Api, cast: Cast, past: Past) -> None:
    for minute in (0, 2, 4):
        await past.add(f"8491234500{minute}", NOON + timedelta(minutes=minute), "busy")
    for minute in (1, 3):
        await came_in(past, NOON + timedelta(minutes=minute))
    await came_in(past, NOON + timedelta(minutes=9), state="talking", kind=None, disposition=None)

    async def types(**query: Any) -> list[str]:
        return [row["type_call"] for row in (await api.get(cast.owner.api_key, HISTORY, **query))["data"]]

    assert await types() == ["CALLOUT", "MISSCALL", "CALLOUT", "MISSCALL", "CALLOUT"]
    pages = [await types(page=page, size=2) for page in (1, 2, 3)]
    assert pages == [["CALLOUT", "MISSCALL"], ["CALLOUT", "MISSCALL"], ["CALLOUT"]]
    assert (await api.get(cast.stranger.api_key, HISTORY))["data"] == []


async def test_a_number_finds_whom_one_called_and_who_called(api: Api, cast: Cast, past: Past) -> None:
    await past.add("84912345001", NOON)
    await past.add("84912345002", NOON)
    await came_in(past, NOON + timedelta(minutes=1))
    await came_in(past, NOON + timedelta(minutes=2), caller="84912345003")
    found = (await api.get(cast.owner.api_key, HISTORY, phone="0912345001"))["data"]
    assert [row["type_call"] for row in found] == ["MISSCALL", "CALLOUT"]


# ---------------------------------------------------------------- hotlines and balance


async def test_hotlines_are_listed_with_their_brand_names(api: Api, db: Database, cast: Cast) -> None:
    owner = cast.owner
    trunk = await factories.trunk(db, owner.account_id)
    async with db.transaction() as tx:
        branded = await routing.create_hotline(
            tx,
            owner.account_id,
            number="02473001234",
            trunk_id=trunk.id,
            brand_name="SAO MAI",
            brand_until=datetime(2099, 1, 1, tzinfo=UTC).date(),
        )
        plain = await routing.create_hotline(tx, owner.account_id, number="0912345678", trunk_id=trunk.id)
        await routing.create_hotline(
            tx, owner.account_id, number="0912345679", trunk_id=trunk.id, enabled=False
        )
    answer = await api.get(owner.api_key, "/api/hotline/getAll")
    assert answer["data"] == [
        {
            "hotline_name": "SAO MAI",
            "hotline_number": "02473001234",
            "hotline_code": f"HL_{branded.id}",
            "hotline_type": "HOTLINE",
        },
        {
            "hotline_name": "0912345678",
            "hotline_number": "0912345678",
            "hotline_code": f"HL_{plain.id}",
            "hotline_type": "HOTLINE",
        },
    ]
    assert (await api.get(cast.stranger.api_key, "/api/hotline/getAll"))["data"] == []


async def test_the_balance_is_a_number_and_0_where_calls_cost_nothing(
    api: Api, db: Database, cast: Cast, clock: FakeClock
) -> None:
    async with db.transaction() as tx:
        await billing.set_billing(tx, cast.owner.account_id, "prepaid")
        await billing.top_up(
            tx, cast.owner.account_id, Decimal(1_500_000), by="kế toán", reason="nạp", now=clock.now()
        )
    response = await api.http.get("/api/account/balance", headers=bearer(cast.owner.api_key))
    assert b'"data":1500000' in response.content
    assert (await api.get(cast.stranger.api_key, "/api/account/balance"))["data"] == 0


@pytest.mark.parametrize("path", [HISTORY, "/api/hotline/getAll", "/api/account/balance"])
async def test_head_is_answered_like_get_without_a_body(api: Api, cast: Cast, path: str) -> None:
    head = await api.http.head(path, headers=bearer(cast.owner.api_key))
    body = (await api.http.get(path, headers=bearer(cast.owner.api_key))).content
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(body))
