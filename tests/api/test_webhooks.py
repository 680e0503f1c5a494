"""Webhook endpoints of an account, its deliveries, and what of them is for whom."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from msgspec.structs import replace as changed
from tests.api.conftest import Api
from tests.call_events import ANSWERED, REFUSED
from tests.factories import Cast
from tests.fakes.clock import FakeClock

from tongdai.app import create_app
from tongdai.domain import webhooks
from tongdai.domain.webhooks import CallEvent
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

URL = "https://hooks.example.vn/vbot?key=1"
ENDPOINT = {"url": URL, "format": "vbot_auto_call"}


async def published(services: Services, people: Cast, *events: CallEvent) -> None:
    async with services.db.transaction() as tx:
        await webhooks.publish(tx, [changed(one, account_id=people.owner.account_id) for one in events])


def paths_of(answer: httpx.Response) -> list[str]:
    return [error["path"] for error in answer.json()["errors"]]


# ---------------------------------------------------------------- endpoints


async def test_an_endpoint_is_made_with_a_secret_of_its_own(owner: Api) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)
    other = await owner.made("/webhook-endpoints", ENDPOINT)

    assert made["secret"].startswith("whsec_")
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"), validate=True)) >= 24
    assert made["secret"] != other["secret"]


async def test_an_auth_header_does_not_follow_an_endpoint_to_another_host(owner: Api, colleague: Api) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT | {"auth_header": "X-Api-Key: mat-khau-123"})
    path = f"/webhook-endpoints/{made['id']}"

    for url in (
        "https://elsewhere.example.net/",
        "http://hooks.example.vn/vbot?key=1",
        "https://hooks.example.vn:8443/vbot?key=1",
    ):
        refused = await colleague.send("PATCH", path, {"url": url})
        assert (refused.status_code, paths_of(refused)) == (400, ["auth_header"])
    elsewhere = "https://elsewhere.example.net/"
    same_host = await colleague.send("PATCH", path, {"url": "https://hooks.example.vn/another"})
    given_again = await colleague.send("PATCH", path, {"url": elsewhere, "auth_header": "X-Key: 1"})
    without = await colleague.send("PATCH", path, {"url": URL, "auth_header": None})

    assert [answer.json()["has_auth_header"] for answer in (same_host, given_again, without)] == [
        True,
        True,
        False,
    ]


async def test_an_endpoint_begins_healthy_and_with_what_was_left_out(owner: Api) -> None:
    made = await owner.made("/webhook-endpoints", {"url": URL})

    assert made | {"secret": "", "created_at": ""} == {
        "id": made["id"],
        "url": URL,
        "format": "tongdai",
        "events": sorted(webhooks.FORMATS["tongdai"]),
        "description": "",
        "options": {},
        "has_auth_header": False,
        "enabled": True,
        "max_in_flight": 8,
        "old_secret_until": None,
        "failures": 0,
        "failing_since": None,
        "paused_at": None,
        "paused_until": None,
        "pause_reason": None,
        "last_error": None,
        "last_error_at": None,
        "last_delivered_at": None,
        "created_at": "",
        "managed": False,
        "connection_id": None,
        "secret": "",
    }
    assert made["created_at"].endswith("+07:00")


async def test_an_endpoint_is_shown_without_what_is_secret(owner: Api) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT | {"auth_header": "X-Api-Key: mat-khau-123"})

    shown = await owner.get(f"/webhook-endpoints/{made['id']}")
    listed = await owner.get("/webhook-endpoints")

    assert shown.json() == listed.json()["items"][0] == {k: v for k, v in made.items() if k != "secret"}
    assert shown.json()["has_auth_header"] is True
    assert "mat-khau-123" not in shown.text + listed.text


@pytest.mark.parametrize("format", webhooks.FORMATS)
async def test_an_endpoint_takes_all_events_of_its_format_unless_told(owner: Api, format: str) -> None:
    made = await owner.made("/webhook-endpoints", {"url": URL, "format": format})

    assert set(made["events"]) == webhooks.FORMATS[format]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"url": "hooks.example.vn"}, "url"),
        ({"url": "ftp://hooks.example.vn"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://lan:matkhau@hooks.example.vn"}, "url"),
        ({"url": "https://hooks.example.vn/#here"}, "url"),
        ({"url": "https://hooks.example.vn/a b"}, "url"),
        ({"url": "https://hooks.example.vn/đơn"}, "url"),
        ({"url": "https://hooks.example.vn:99999"}, "url"),
        ({"url": "https://hooks.example.vn/" + "x" * 2000}, "url"),
        ({}, "url"),
        ({"format": "zns"}, "format"),
        ({"format": "zalo", "events": ["attempt.ended"]}, "events"),
        ({"format": "tongdai", "events": ["zalo.received"]}, "events"),
        ({"format": "vbot_auto_call", "events": ["zalo.oa.connected"]}, "events"),
        ({"format": "aicallcenter", "events": ["attempt.ended", "zalo.message.rated"]}, "events"),
        ({"events": ["call.born"]}, "events[0]"),
        ({"events": []}, "events"),
        ({"events": ["attempt.ended", "attempt.ended"]}, "events"),
        ({"format": "vbot_call_history", "events": ["call.refused"]}, "events"),
        ({"options": {"date_format": "yyyy-MM-dd"}}, "options.date_format"),
        ({"options": {"colour": "red"}}, "options.colour"),
        ({"auth_header": "no header"}, "auth_header"),
        ({"auth_header": "Host: elsewhere.example"}, "auth_header"),
        ({"auth_header": "Webhook-Signature: v1,forged"}, "auth_header"),
        ({"auth_header": "X-Key: a\r\nX-Other: b"}, "auth_header"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_in_flight": 101}, "max_in_flight"),
        ({"description": "x" * 256}, "description"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_no_endpoint_may_be_is_refused_with_its_place(
    owner: Api, body: dict[str, Any], path: str
) -> None:
    whole = body if body == {} else {"url": URL} | body

    answer = await owner.post("/webhook-endpoints", whole)

    assert answer.status_code == 400, answer.text
    assert paths_of(answer) == [path]


PRIVATE = [
    "http://127.0.0.1:9000/",
    "http://localhost/",
    "http://hooks.localhost./",
    "http://10.1.2.3/",
    "http://192.168.1.1/",
    "http://172.16.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://0.0.0.0/",
    "http://2130706433/",
    "http://0x7f.1/",
]


@pytest.mark.parametrize("url", PRIVATE)
async def test_an_endpoint_inside_is_refused_unless_the_operator_allows_it(
    owner: Api, services: Services, url: str
) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)
    allowing = create_app(replace(services, webhooks_allow_private=True))
    transport = httpx.ASGITransport(app=allowing)  # type: ignore[arg-type]

    created = await owner.post("/webhook-endpoints", ENDPOINT | {"url": url})
    moved = await owner.send("PATCH", f"/webhook-endpoints/{made['id']}", {"url": url})
    async with httpx.AsyncClient(transport=transport, base_url="http://tests") as http:
        allowed = await Api(http, owner.person, owner.key).post("/webhook-endpoints", ENDPOINT | {"url": url})

    assert (created.status_code, moved.status_code, allowed.status_code) == (400, 400, 201)
    assert paths_of(created) == paths_of(moved) == ["url"]
    assert (await owner.get(f"/webhook-endpoints/{made['id']}")).json()["url"] == URL


async def test_an_endpoint_changes_in_what_is_given_and_keeps_the_rest(owner: Api) -> None:
    made = await owner.made(
        "/webhook-endpoints", ENDPOINT | {"auth_header": "X-Key: 1", "description": "CRM"}
    )
    before = {k: v for k, v in made.items() if k != "secret"}

    one = await owner.send("PATCH", f"/webhook-endpoints/{made['id']}", {"max_in_flight": 2})
    change = {"url": "https://hooks.example.vn/2", "options": {"date_format": "dd/MM/yyyy"}, "enabled": False}
    two = await owner.send("PATCH", f"/webhook-endpoints/{made['id']}", change)
    three = await owner.send("PATCH", f"/webhook-endpoints/{made['id']}", {"auth_header": None})

    assert one.json() == before | {"max_in_flight": 2}
    assert two.json() == one.json() | change
    assert three.json() == two.json() | {"has_auth_header": False}


async def test_options_are_replaced_as_a_whole(owner: Api) -> None:
    options = {"date_format": "dd/MM/yyyy"}
    made = await owner.made("/webhook-endpoints", ENDPOINT | {"options": options})

    emptied = await owner.send("PATCH", f"/webhook-endpoints/{made['id']}", {"options": {}})

    assert (made["options"], emptied.json()["options"]) == (options, {})


async def test_a_format_is_not_changed_to_one_without_the_endpoints_events(owner: Api) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT | {"events": ["call.refused"]})

    answer = await owner.send("PATCH", f"/webhook-endpoints/{made['id']}", {"format": "vbot_call_history"})

    assert answer.status_code == 400
    assert paths_of(answer) == ["events"]


async def test_a_deleted_endpoint_is_gone_and_what_was_sent_to_it_can_be_seen(owner: Api) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)
    sent = await owner.made(f"/webhook-endpoints/{made['id']}/test", None)

    deleted = await owner.send("DELETE", f"/webhook-endpoints/{made['id']}")

    assert deleted.status_code == 204
    assert (await owner.get(f"/webhook-endpoints/{made['id']}")).status_code == 404
    assert (await owner.get("/webhook-endpoints")).json()["items"] == []
    assert (await owner.get(f"/webhook-deliveries/{sent['id']}")).json()["endpoint_id"] == made["id"]
    assert (await owner.post(f"/webhook-deliveries/{sent['id']}/replay")).status_code == 404
    assert (await owner.send("DELETE", f"/webhook-endpoints/{made['id']}")).status_code == 404


async def test_an_account_has_fifty_endpoints_at_most(owner: Api, stranger: Api) -> None:
    for _ in range(50):
        await owner.made("/webhook-endpoints", ENDPOINT)

    assert (await owner.post("/webhook-endpoints", ENDPOINT)).status_code == 409
    assert (await stranger.post("/webhook-endpoints", ENDPOINT)).status_code == 201


async def test_endpoints_come_in_pages_oldest_first(owner: Api) -> None:
    made = [(await owner.made("/webhook-endpoints", ENDPOINT))["id"] for _ in range(3)]

    first = (await owner.get("/webhook-endpoints", limit=2)).json()
    rest = (await owner.get("/webhook-endpoints", limit=2, cursor=first["next"])).json()

    assert [one["id"] for one in first["items"] + rest["items"]] == made
    assert rest["next"] is None


# ---------------------------------------------------------------- who may what


async def test_a_viewer_sees_endpoints_and_deliveries_and_changes_nothing(owner: Api, viewer: Api) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)
    sent = await owner.made(f"/webhook-endpoints/{made['id']}/test", None)
    at = f"/webhook-endpoints/{made['id']}"

    for path in (at, "/webhook-endpoints", "/webhook-deliveries", f"/webhook-deliveries/{sent['id']}"):
        assert (await viewer.get(path)).status_code == 200, path
    for method, path, body in (
        ("POST", "/webhook-endpoints", ENDPOINT),
        ("PATCH", at, {"enabled": False}),
        ("DELETE", at, None),
        ("POST", f"{at}/pause", None),
        ("POST", f"{at}/resume", None),
        ("POST", f"{at}/test", None),
        ("POST", f"{at}/replay", {}),
        ("POST", f"/webhook-deliveries/{sent['id']}/replay", None),
    ):
        assert (await viewer.send(method, path, body)).status_code == 403, path


async def test_a_secret_is_shown_to_owners_alone(owner: Api, colleague: Api, viewer: Api) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)
    at = f"/webhook-endpoints/{made['id']}/secret"

    assert (await owner.get(at)).json() == {"secret": made["secret"], "old_secret_until": None}
    for other in (colleague, viewer):
        assert (await other.get(at)).status_code == 403
        assert (await other.post(f"{at}/rotate")).status_code == 403


async def test_a_rotated_secret_is_new_and_the_old_one_signs_for_a_day(owner: Api, clock: FakeClock) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)
    at = f"/webhook-endpoints/{made['id']}"

    rotated = (await owner.post(f"{at}/secret/rotate")).json()

    assert rotated["secret"] != made["secret"]
    assert (await owner.get(f"{at}/secret")).json() == rotated
    until = msgspec.convert(rotated["old_secret_until"], type=type(clock.now()))
    assert until == clock.now() + timedelta(hours=24)
    assert (await owner.get(at)).json()["old_secret_until"] == rotated["old_secret_until"]


# ---------------------------------------------------------------- pausing


async def test_a_paused_endpoint_says_so_and_keeps_what_happens(
    owner: Api, services: Services, people: Cast
) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)

    paused = (await owner.post(f"/webhook-endpoints/{made['id']}/pause")).json()
    await published(services, people, ANSWERED)
    resumed = (await owner.post(f"/webhook-endpoints/{made['id']}/resume")).json()

    assert paused["pause_reason"] == "customer"
    assert paused["paused_at"].endswith("+07:00")
    assert paused["paused_until"] is None
    assert (resumed["paused_at"], resumed["pause_reason"]) == (None, None)
    [kept] = (await owner.get("/webhook-deliveries")).json()["items"]
    assert (kept["call_id"], kept["state"]) == (ANSWERED.call_id, "pending")


async def test_nothing_is_kept_for_a_disabled_endpoint(owner: Api, services: Services, people: Cast) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT | {"enabled": False})

    await published(services, people, ANSWERED)

    assert (await owner.get("/webhook-deliveries")).json()["items"] == []
    assert (await owner.post(f"/webhook-endpoints/{made['id']}/test")).status_code == 409


# ---------------------------------------------------------------- deliveries


async def test_each_endpoint_is_told_the_events_that_it_takes(
    owner: Api, services: Services, people: Cast
) -> None:
    every = await owner.made("/webhook-endpoints", ENDPOINT)
    ended = await owner.made("/webhook-endpoints", ENDPOINT | {"format": "vbot_call_history"})
    refused = await owner.made("/webhook-endpoints", {"url": URL, "events": ["call.refused"]})

    await published(services, people, changed(REFUSED, call_id=1, seq=1), changed(ANSWERED, call_id=2, seq=1))

    told = {
        one["id"]: [
            delivery["type"]
            for delivery in (await owner.get("/webhook-deliveries", endpoint_id=one["id"])).json()["items"]
        ]
        for one in (every, ended, refused)
    }
    assert told == {
        every["id"]: ["attempt.ended", "call.refused"],
        ended["id"]: ["attempt.ended"],
        refused["id"]: ["call.refused"],
    }


async def test_a_delivery_that_waits_says_what_it_is_and_when_it_is_tried(
    owner: Api, services: Services, people: Cast
) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)
    await published(services, people, ANSWERED)

    [listed] = (await owner.get("/webhook-deliveries")).json()["items"]
    shown = (await owner.get(f"/webhook-deliveries/{listed['id']}")).json()

    assert shown == listed | {"body": None, "history": []}
    assert listed | {"created_at": "", "due_at": "", "webhook_id": "", "id": 0} == {
        "id": 0,
        "endpoint_id": made["id"],
        "webhook_id": "",
        "type": "attempt.ended",
        "call_id": ANSWERED.call_id,
        "sequence": ANSWERED.seq,
        "state": "pending",
        "replay_of": None,
        "replayed_at": None,
        "created_at": "",
        "due_at": "",
        "tries": 0,
        "done_at": None,
        "status": None,
        "error": None,
    }
    assert listed["created_at"].endswith("+07:00")
    assert listed["due_at"].endswith("+07:00")
    assert str(made["id"]) in listed["webhook_id"]


async def test_deliveries_are_found_by_endpoint_call_and_state(
    owner: Api, services: Services, people: Cast
) -> None:
    one = await owner.made("/webhook-endpoints", ENDPOINT)
    other = await owner.made("/webhook-endpoints", ENDPOINT)
    await published(services, people, changed(ANSWERED, call_id=11), changed(ANSWERED, call_id=12))

    async def found(**query: Any) -> set[tuple[int, int]]:
        items = (await owner.get("/webhook-deliveries", **query)).json()["items"]
        return {(item["endpoint_id"], item["call_id"]) for item in items}

    both = {one["id"], other["id"]}
    assert await found() == {(endpoint, call) for endpoint in both for call in (11, 12)}
    assert await found(endpoint_id=one["id"]) == {(one["id"], 11), (one["id"], 12)}
    assert await found(call_id=12) == {(endpoint, 12) for endpoint in both}
    assert await found(endpoint_id=other["id"], call_id=11, state="pending") == {(other["id"], 11)}
    assert await found(state="delivered") == await found(state="parked") == set()
    assert await found(endpoint_id=2**62) == await found(call_id=2**62) == set()


@pytest.mark.parametrize("query", [{"state": "lost"}, {"endpoint_id": 0}, {"call_id": "x"}, {"cursor": "x"}])
async def test_a_filter_that_makes_no_sense_is_refused(owner: Api, query: dict[str, Any]) -> None:
    answer = await owner.get("/webhook-deliveries", **query)

    assert answer.status_code == 400
    assert paths_of(answer) == list(query)


async def test_deliveries_come_in_pages_newest_first_and_what_is_added_shifts_nothing(
    owner: Api, services: Services, people: Cast
) -> None:
    await owner.made("/webhook-endpoints", ENDPOINT)
    await published(services, people, *(changed(ANSWERED, call_id=call) for call in range(1, 6)))

    first = (await owner.get("/webhook-deliveries", limit=2)).json()
    await published(services, people, changed(ANSWERED, call_id=9))
    second = (await owner.get("/webhook-deliveries", limit=2, cursor=first["next"])).json()
    third = (await owner.get("/webhook-deliveries", limit=2, cursor=second["next"])).json()

    pages = [[item["call_id"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [[5, 4], [3, 2], [1]]
    assert third["next"] is None


async def test_what_is_on_its_way_is_not_replayed(owner: Api, services: Services, people: Cast) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)
    await published(services, people, ANSWERED)
    [pending] = (await owner.get("/webhook-deliveries")).json()["items"]

    assert (await owner.post(f"/webhook-deliveries/{pending['id']}/replay")).status_code == 409
    many = await owner.post(f"/webhook-endpoints/{made['id']}/replay", {})
    assert many.json() == {"replayed": 0, "more": False}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"state": "pending"}, "state"),
        ({"since": "2026-08-01T09:30:00"}, "since"),
        ({"until": "yesterday"}, "until"),
        ({"from": 1}, "from"),
    ],
)
async def test_a_replay_that_makes_no_sense_is_refused(owner: Api, body: dict[str, Any], path: str) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)

    answer = await owner.post(f"/webhook-endpoints/{made['id']}/replay", body)

    assert answer.status_code == 400
    assert paths_of(answer) == [path]


async def test_a_test_event_is_of_no_call(owner: Api) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)

    sent = await owner.made(f"/webhook-endpoints/{made['id']}/test", None)

    assert (sent["call_id"], sent["sequence"], sent["state"]) == (None, 1, "pending")
    assert sent["endpoint_id"] == made["id"]


async def test_strangers_neither_see_nor_move_anything(
    owner: Api, stranger: Api, services: Services, people: Cast
) -> None:
    made = await owner.made("/webhook-endpoints", ENDPOINT)
    theirs = await stranger.made("/webhook-endpoints", ENDPOINT)
    await published(services, people, ANSWERED)
    [mine] = (await owner.get("/webhook-deliveries")).json()["items"]

    assert (await stranger.get("/webhook-deliveries")).json()["items"] == []
    assert (await stranger.get("/webhook-deliveries", endpoint_id=made["id"])).json()["items"] == []
    assert (await stranger.get(f"/webhook-deliveries/{mine['id']}")).status_code == 404
    assert (await stranger.get(f"/webhook-endpoints/{made['id']}/secret")).status_code == 404
    assert [one["id"] for one in (await stranger.get("/webhook-endpoints")).json()["items"]] == [theirs["id"]]
