"""What Zalo does wrong is told with the status that the vendor's table has for it, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.facades.interits.client import Api, answer_of
from tests.fakes.zalo import CARE_TEMPLATE, GET_TOKEN, SEND, EmulatedZalo, client_at

from tongdai.domain.zalo import Oa
from tongdai.facades.interits.errors import CONSENT_LAPSED
from tongdai.ports.services import Services

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("oa")]

LINKED = "0912345678"
MESSAGE = {
    "phone": LINKED,
    "template_id": CARE_TEMPLATE,
    "template_data": {"ten_khach_hang": "Lan", "ma_don": "DH-1", "dia_chi": "Hà Nội"},
    "tracking_id": "DH-1",
}
# What Zalo does, and what the caller is told.
FAULTS = {"empty": 502, "html_504": 502, "wrong_types": 502, "half_body": 504, "reset": 504}


@pytest.fixture
async def hasty(services: Services, emulator: EmulatedZalo, api: Api) -> AsyncIterator[Api]:
    """The same, in a process that waits for Zalo for less than a second."""
    async with client_at(emulator.url, timeout_s=0.8) as client:
        other = Api(replace(services, zalo=client), api.key)
        yield other
        await other.http.aclose()


@pytest.mark.parametrize(("fault", "status"), FAULTS.items())
async def test_an_answer_that_makes_no_sense_or_breaks_off_is_told_as_zalos_fault(
    api: Api, emulator: EmulatedZalo, fault: str, status: int
) -> None:
    await emulator.force(GET_TOKEN, fault)
    answer = await api.refused(status, "create-journey", {"phone": LINKED})
    assert answer["data"] is None
    assert (await api.done("list-journeys"))["journeys"] == []

    await emulator.force(SEND, fault)
    await api.refused(status, "send-zns", MESSAGE)
    [kept] = (await api.done("list-messages", {"filter": {"tracking_id": "DH-1"}}))["messages"]
    assert (kept["status"], kept["msg_id"]) == ("Z", "")


async def test_silence_is_a_gateway_time_out(hasty: Api, emulator: EmulatedZalo) -> None:
    await emulator.force(GET_TOKEN, "hang")
    await hasty.refused(504, "create-journey", {"phone": LINKED})
    await hasty.done("create-journey", {"phone": LINKED})

    await hasty.done("get-template", {"template_id": CARE_TEMPLATE})
    await emulator.force(SEND, "hang")
    await hasty.refused(504, "send-zns", MESSAGE)
    [kept] = (await hasty.done("list-messages"))["messages"]
    assert (kept["status"], kept["tracking_id"]) == ("Z", "DH-1")


async def test_a_limit_of_requests_that_zalo_tells_is_told_in_the_journey(
    api: Api, emulator: EmulatedZalo
) -> None:
    await emulator.force(GET_TOKEN, {"kind": "error", "code": -32, "message": "reached limit call api"})
    journey = await api.done("create-journey", {"phone": LINKED})
    assert (journey["status"], journey["error_code"]) == ("N", -32)
    assert journey["error_message"] == "reached limit call api"


async def test_a_zalo_that_cannot_be_reached_is_unavailable_and_nothing_is_kept(
    api: Api, services: Services
) -> None:
    async with client_at("http://127.0.0.1:1") as client:
        cut_off = Api(replace(services, zalo=client), api.key)
        for name, body in (("create-journey", {"phone": LINKED}), ("get-template", {"template_id": 5})):
            response = await cut_off.post(name, body)
            answer_of(response, 503)
            assert response.headers["retry-after"] == "2"
        assert (await cut_off.done("list-journeys"))["journeys"] == []
        await cut_off.http.aclose()


async def test_a_process_without_a_way_to_zalo_says_that_it_is_unavailable(door: Api) -> None:
    for name in ("create-journey", "send-zns", "get-template", "list-templates", "refresh-token"):
        await door.refused(503, name, {"phone": LINKED, "template_id": 5})


async def test_a_withdrawn_consent_is_unavailable_and_shows_the_journey_that_it_refused(
    api: Api, emulator: EmulatedZalo
) -> None:
    await emulator.revoke()
    # The first one finds out, the second one knows.
    for _ in range(2):
        answer = await api.refused(503, "create-journey", {"phone": LINKED})
        assert answer["message"] == CONSENT_LAPSED.message
        journey: Any = answer["data"]
        assert (journey["status"], journey["error_code"], journey["phone"]) == ("N", -124, LINKED)
        kept = await api.done("get-journey", {"journey_id": journey["id"]})
        assert (kept["id"], kept["status"], kept["error_code"]) == (journey["id"], "N", -124)
    assert (await api.done("get-shop-oa"))["status"] == "N"


async def test_a_withdrawn_consent_is_unavailable_and_shows_the_message_that_it_refused(
    api: Api, emulator: EmulatedZalo
) -> None:
    await emulator.revoke()
    answer = await api.refused(503, "send-zns", MESSAGE)
    message: Any = answer["data"]
    assert (message["status"], message["error_code"], message["tracking_id"]) == ("N", -124, "DH-1")
    assert (await api.done("message-detail", {"msg_id": message["id"]}))["error_code"] == -124


async def test_a_withdrawn_consent_can_be_renewed(api: Api, emulator: EmulatedZalo) -> None:
    await emulator.revoke()
    await api.refused(503, "create-journey", {"phone": LINKED})
    assert "/v4/oa/permission?" in (await api.done("refresh-token"))["url"]


async def test_a_token_that_ran_out_is_renewed_without_the_caller_noticing(
    api: Api, emulator: EmulatedZalo, oa: Oa
) -> None:
    await emulator.advance(26 * 3600)
    journey = await api.done("create-journey", {"phone": LINKED})
    assert (journey["status"], journey["error_code"]) == ("Z", 0)
    assert (await api.done("get-shop-oa"))["oa_id"] == str(oa.oa_id)
