"""Zalo's events: what they look like, how they are signed, and how often they are sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.emulator.callers import PHONE, Caller
from tests.fakes.receiver import Receiver, Request, answer, receiving
from tests.fakes.zalo import (
    APP_ID,
    CARE_TEMPLATE,
    JOURNEY_TEMPLATE,
    OA_ID,
    OTP_TEMPLATE,
    WEBHOOK_SECRET,
    EmulatedZalo,
)

from tongdai.adapters.zaloemulator.outbox import signature

pytestmark = pytest.mark.anyio

PARCEL: dict[str, Any] = {
    "template_id": JOURNEY_TEMPLATE,
    "template_data": {"ten_khach_hang": "Lan", "ma_don": "DH-1"},
}
LADDER_S = (30, 300, 900, 1800, 3600)


@pytest.fixture
async def receiver(zalo: EmulatedZalo, caller: Caller) -> AsyncIterator[Receiver]:
    """The app's webhook. Its probe is left out of what it got."""
    async with receiving() as listening:
        await zalo.change_app(webhook_url=listening.url("/hook"))
        listening.got.clear()
        yield listening


async def events(zalo: EmulatedZalo, receiver: Receiver) -> list[dict[str, Any]]:
    await zalo.settle()
    return [request.json for request in receiver.got]


def is_signed(request: Request) -> bool:
    document = request.json
    text = (
        document["app_id"].encode() + request.body + document["timestamp"].encode() + WEBHOOK_SECRET.encode()
    )
    return request.headers["x-zevent-signature"] == "mac=" + hashlib.sha256(text).hexdigest()


def test_a_signature_is_the_digest_of_a_plain_concatenation() -> None:
    body = b'{"app_id":"1234567890","event_name":"user_received_message","timestamp":"1700000000123"}'
    mac = signature(1234567890, body, "1700000000123", "oa-secret-key-sample")
    assert mac == "mac=8201255f5ce8f8f85745cd36f5ad1ab83a30c1d2fb3a22fcd50431069c6aa747"


async def test_a_delivery_is_told_with_the_zns_header_and_a_signature_over_its_bytes(
    zalo: EmulatedZalo, caller: Caller, receiver: Receiver
) -> None:
    msg_id = await caller.sent(tracking_id="đơn-1")
    await zalo.advance(2)
    (event,) = await events(zalo, receiver)
    assert event["event_name"] == "user_received_message"
    assert event["app_id"] == str(APP_ID)
    assert event["sender"] == {"id": str(OA_ID)}
    assert event["recipient"] == {"id": PHONE}
    assert event["message"]["msg_id"] == msg_id
    assert event["message"]["tracking_id"] == "đơn-1"
    assert event["message"]["delivery_time"].isdigit()
    request = receiver.got[0]
    assert request.headers["x-zevent-server"] == "ZNS"
    assert request.headers["x-zevent-timestamp"] == event["timestamp"]
    assert "num_retry" not in request.headers
    assert is_signed(request)


async def test_a_delivery_to_a_hash_names_the_hash(
    zalo: EmulatedZalo, caller: Caller, receiver: Receiver
) -> None:
    hashed = hashlib.sha256(PHONE.encode()).hexdigest()
    body = {"hash_phone": hashed, "template_id": OTP_TEMPLATE, "template_data": {"otp": "4711"}}
    await caller.post("/message/template/hashphone", body)
    await zalo.advance(2)
    assert (await events(zalo, receiver))[0]["recipient"] == {"id": hashed}


async def test_deliveries_come_by_themselves_after_their_time(
    zalo: EmulatedZalo, caller: Caller, receiver: Receiver
) -> None:
    await zalo.settings(delivery_ms=20)
    await caller.sent()
    (request,) = await receiver.until_got("/hook", 1)
    assert request.json["event_name"] == "user_received_message"


async def test_a_journey_is_acknowledged_once_and_times_out_after_its_days(
    zalo: EmulatedZalo, caller: Caller, receiver: Receiver
) -> None:
    journey = await caller.journey()
    for _ in range(2):
        await caller.sent(journey=journey["token"], **PARCEL)
    await zalo.advance(7 * 86_400)
    told = [one for one in await events(zalo, receiver) if one["event_name"].startswith("event_journey")]
    assert [one["event_name"] for one in told] == ["event_journey_acknowledged", "event_journey_time_out"]
    for event in told:
        assert event["journeyId"] == journey["journey_id"]
        assert event["oaId"] == str(OA_ID)
    assert all(is_signed(request) for request in receiver.got)
    assert "x-zevent-server" not in receiver.got[0].headers


async def test_a_changed_quota_of_an_official_account_is_told(zalo: EmulatedZalo, receiver: Receiver) -> None:
    await zalo.change_oa(daily_quota=50_000)
    (event,) = await events(zalo, receiver)
    assert event["event_name"] == "change_oa_daily_quota"
    assert event["oaId"] == str(OA_ID)
    assert event["quota"] == {"prev_value": 20_000, "new_value": 50_000}


async def test_a_changed_template_is_told(zalo: EmulatedZalo, receiver: Receiver) -> None:
    await zalo.change_template(CARE_TEMPLATE, status="DISABLE", quality="LOW", reason="Bị báo xấu")
    told = {one["event_name"]: one for one in await events(zalo, receiver)}
    assert told.keys() == {"change_template_status", "change_template_quality"}
    status = told["change_template_status"]
    assert status["status"] == {"prev_status": "ENABLE", "new_status": "DISABLE"}
    assert (status["reason"], status["template_id"]) == ("Bị báo xấu", str(CARE_TEMPLATE))
    assert told["change_template_quality"]["quality"] == "LOW"


async def test_content_types_and_a_templates_quota_are_told_when_they_change(
    zalo: EmulatedZalo, receiver: Receiver
) -> None:
    await zalo.change_oa(tags=["TRANSACTION"])
    await zalo.change_template(CARE_TEMPLATE, daily_quota=10)
    names = {one["event_name"] for one in await events(zalo, receiver)}
    assert names == {"change_oa_template_tags", "change_template_quota"}


async def test_what_does_not_change_is_not_told(zalo: EmulatedZalo, receiver: Receiver) -> None:
    await zalo.change_oa(daily_quota=20_000, quality="LOW")
    await zalo.change_template(CARE_TEMPLATE, name="Tên khác")
    assert await events(zalo, receiver) == []


async def test_a_rating_is_told(zalo: EmulatedZalo, caller: Caller, receiver: Receiver) -> None:
    msg_id = await caller.sent(tracking_id="t-1")
    await zalo.rate(msg_id, 5, "Tốt", ["Nhanh"])
    told = [one for one in await events(zalo, receiver) if one["event_name"] == "user_feedback"]
    message = told[0]["message"]
    assert (message["msg_id"], message["rate"], message["feedbacks"]) == (msg_id, 5, ["Nhanh"])


async def test_only_events_that_the_console_has_switched_on_are_sent(
    zalo: EmulatedZalo, caller: Caller, receiver: Receiver
) -> None:
    await zalo.change_app(webhook_events=["change_oa_daily_quota"])
    await caller.sent()
    await zalo.advance(2)
    await zalo.change_oa(daily_quota=1)
    assert [one["event_name"] for one in await events(zalo, receiver)] == ["change_oa_daily_quota"]


# ---------------------------------------------------------------- probe


async def test_a_new_address_is_probed_with_an_unsigned_empty_object(
    zalo: EmulatedZalo, receiver: Receiver
) -> None:
    await zalo.change_app(webhook_url=receiver.url("/other"))
    (probe,) = receiver.at("/other")
    assert probe.body == b"{}"
    assert "x-zevent-signature" not in probe.headers


@pytest.mark.parametrize("status", [204, 301, 404, 500])
async def test_an_address_that_does_not_answer_the_probe_with_200_is_not_kept(
    zalo: EmulatedZalo, receiver: Receiver, status: int
) -> None:
    receiver.answers["/bad"] = answer(status)
    with pytest.raises(httpx.HTTPStatusError) as failure:
        await zalo.change_app(webhook_url=receiver.url("/bad"))
    assert failure.value.response.json()["status"] == status
    assert (await zalo.state())["apps"][0]["webhook_url"] == receiver.url("/hook")


async def test_an_address_that_nobody_listens_at_is_kept_only_unprobed(
    zalo: EmulatedZalo, receiver: Receiver
) -> None:
    dead = "http://127.0.0.1:9/hook"
    with pytest.raises(httpx.HTTPStatusError):
        await zalo.change_app(webhook_url=dead)
    await zalo.change_app(webhook_url=dead, probe=False)
    assert (await zalo.state())["apps"][0]["webhook_url"] == dead


# ---------------------------------------------------------------- retries


async def test_a_webhook_is_sent_again_up_the_ladder_with_its_number_and_then_switched_off(
    zalo: EmulatedZalo, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = answer(500)
    await zalo.change_oa(daily_quota=1)
    await zalo.settle()
    for wait_s in LADDER_S:
        seen = len(receiver.got)
        await zalo.advance(wait_s - 5)
        await zalo.settle()
        assert len(receiver.got) == seen
        await zalo.advance(6)
        await zalo.settle()
        assert len(receiver.got) == seen + 1
    assert [one.headers.get("num_retry") for one in receiver.got] == [None, "1", "2", "3", "4", "5"]
    assert len({one.body for one in receiver.got}) == 1
    assert len({one.headers["x-zevent-signature"] for one in receiver.got}) == 1
    app = (await zalo.state())["apps"][0]
    assert app["webhook_enabled"] is False
    assert (await zalo.webhooks())[0]["state"] == "dropped"


async def test_a_webhook_that_is_switched_off_takes_events_again_once_its_address_is_saved(
    zalo: EmulatedZalo, receiver: Receiver
) -> None:
    await zalo.change_app(webhook_enabled=False)
    await zalo.change_oa(daily_quota=1)
    await zalo.change_app(webhook_url=receiver.url("/hook"))
    await zalo.change_oa(daily_quota=2)
    assert [one["quota"]["new_value"] for one in await events(zalo, receiver)] == [2]


async def test_an_answer_that_is_slow_or_missing_is_tried_again(
    zalo: EmulatedZalo, receiver: Receiver
) -> None:
    await zalo.settings(webhook_timeout_s=0.1)
    receiver.answers["/hook"] = None
    await zalo.change_oa(daily_quota=1)
    await zalo.settle()
    receiver.answers["/hook"] = b""
    await zalo.advance(31)
    await zalo.settle()
    receiver.answers["/hook"] = answer(200)
    await zalo.advance(301)
    await zalo.settle()
    assert len(receiver.got) == 3
    assert (await zalo.webhooks())[0]["state"] == "taken"


async def test_the_ladder_may_be_run_through_fast(zalo: EmulatedZalo, receiver: Receiver) -> None:
    await zalo.settings(retry_scale=0.0001)
    receiver.answers["/hook"] = answer(503)
    await zalo.change_oa(daily_quota=1)
    await receiver.until_got("/hook", 6)


async def test_one_webhook_that_fails_holds_up_no_other(zalo: EmulatedZalo, receiver: Receiver) -> None:
    once = iter([answer(500)])
    receiver.answers["/hook"] = lambda request: next(once, answer(200))
    await zalo.change_oa(daily_quota=1)
    await zalo.settle()
    await zalo.change_oa(daily_quota=2)
    assert [one["quota"]["new_value"] for one in await events(zalo, receiver)] == [1, 2]


async def test_many_webhooks_all_arrive(zalo: EmulatedZalo, caller: Caller, receiver: Receiver) -> None:
    sent = {await caller.sent() for _ in range(100)}
    await zalo.advance(2)
    assert {one["message"]["msg_id"] for one in await events(zalo, receiver)} == sent


# ---------------------------------------------------------------- what Zalo would not do


async def test_a_webhook_is_replayed_byte_for_byte(zalo: EmulatedZalo, receiver: Receiver) -> None:
    await zalo.change_oa(daily_quota=1)
    await zalo.settle()
    await zalo.advance(7200)
    await zalo.replay((await zalo.webhooks())[0]["id"])
    await zalo.settle()
    first, second = receiver.got
    assert first.body == second.body
    assert first.headers["x-zevent-signature"] == second.headers["x-zevent-signature"]


async def test_the_headers_time_may_differ_from_the_bodys(zalo: EmulatedZalo, receiver: Receiver) -> None:
    await zalo.settings(header_timestamp_ahead_ms=1500)
    await zalo.change_oa(daily_quota=1)
    (event,) = await events(zalo, receiver)
    assert int(receiver.got[0].headers["x-zevent-timestamp"]) == int(event["timestamp"]) + 1500
    assert is_signed(receiver.got[0])


async def test_any_event_may_be_posted_whole_broken_or_with_a_wrong_signature(
    zalo: EmulatedZalo, receiver: Receiver
) -> None:
    await zalo.post_event("follow", fields={"oa_id": str(OA_ID), "follower": {"id": "1"}})
    await zalo.post_event("follow", body="no json")
    await zalo.post_event("follow", secret="not-the-apps")
    await zalo.settle()
    whole = next(one for one in receiver.got if b"follower" in one.body)
    assert is_signed(whole)
    assert any(one.body == b"no json" for one in receiver.got)
    forged = next(one for one in receiver.got if one is not whole and one.body != b"no json")
    assert json.loads(forged.body)["event_name"] == "follow"
    assert not is_signed(forged)
