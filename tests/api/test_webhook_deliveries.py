"""What an account sees of what was really sent: bodies, answers, tries, and the same once more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace as changed
from standardwebhooks.webhooks import Webhook
from tests.api.conftest import Api
from tests.apps import lend
from tests.call_events import ANSWERED, REFUSED
from tests.factories import Cast

from tongdai.adapters.httppost import HttpPoster
from tongdai.app import create_app
from tongdai.bootstrap import RENDERERS
from tongdai.domain import webhooks
from tongdai.domain.webhooks import CallEvent, Sender, SenderConfig, SendingRules
from tongdai.kit.clock import SystemClock
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

PATIENCE_S = 20.0


@dataclass
class Customer:
    """A server of a customer's, on a free port. It answers what it is told to."""

    status: int = 200
    text: str = "cảm ơn"
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def serve(self, request: web.Request) -> web.Response:
        self.got.append(
            ({name.lower(): value for name, value in request.headers.items()}, await request.read())
        )
        return web.Response(status=self.status, text=self.text)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Customer]:
        app = web.Application()
        app.router.add_post("/hook", self.serve)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield self
        await runner.cleanup()


@pytest.fixture
async def customer() -> AsyncIterator[Customer]:
    async with Customer().running() as customer:
        yield customer


@pytest.fixture
def app(services: Services) -> Any:
    """The platform of an operator who allows addresses inside, as this test's customer has one."""
    return lend(create_app, replace(services, webhooks_allow_private=True))


@asynccontextmanager
async def sending(services: Services, give_up: timedelta) -> AsyncIterator[None]:
    """The real sender, that tries again at once."""
    rules = SendingRules(delays_s=(0.05,), give_up=give_up, failures_to_pause=1000)
    sender = Sender(
        services.db,
        services.keyring,
        SystemClock(),
        HttpPoster(allow_private=True),
        RENDERERS,
        SenderConfig(rules=rules, poll_s=0.02),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    yield
    stop.set()
    await running


@pytest.fixture
async def sender(services: Services) -> AsyncIterator[None]:
    async with sending(services, timedelta(hours=24)):
        yield


@pytest.fixture
async def impatient_sender(services: Services) -> AsyncIterator[None]:
    """Parks what fails after a second."""
    async with sending(services, timedelta(seconds=1)):
        yield


async def published(services: Services, people: Cast, *events: CallEvent) -> None:
    async with services.db.transaction() as tx:
        await webhooks.publish(tx, [changed(one, account_id=people.owner.account_id) for one in events])


async def seen(api: Api, path: str, wanted: Callable[[Any], bool], **query: Any) -> Any:
    """What the API answers once it is as wanted."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = (await api.get(path, **query)).json()
            if wanted(answer):
                return answer
            await asyncio.sleep(0.02)


def all_are(state: str, number: int) -> Callable[[Any], bool]:
    def wanted(page: Any) -> bool:
        return [item["state"] for item in page["items"]] == [state] * number

    return wanted


async def test_a_delivery_shows_the_very_bytes_and_the_answer(
    owner: Api, services: Services, people: Cast, customer: Customer, sender: None
) -> None:
    endpoint = await owner.made("/webhook-endpoints", {"url": customer.url, "format": "vbot_auto_call"})
    await published(services, people, ANSWERED)

    page = await seen(owner, "/webhook-deliveries", all_are("delivered", 1))
    shown = (await owner.get(f"/webhook-deliveries/{page['items'][0]['id']}")).json()

    [(headers, body)] = customer.got
    assert body == RENDERERS["vbot_auto_call"](ANSWERED, {})
    assert shown["body"].encode() == body
    assert headers["webhook-id"] == shown["webhook_id"]
    assert Webhook(endpoint["secret"]).verify(body, headers)["status"] == 200
    [only] = shown["history"]
    assert (only["status"], only["error"], only["answer"]) == (200, None, "cảm ơn")
    assert only["ms"] >= 0
    assert (shown["tries"], shown["status"], shown["error"], shown["due_at"]) == (1, 200, None, None)
    assert shown["done_at"] is not None


async def test_a_delivery_shows_every_try_that_failed_and_why(
    owner: Api, services: Services, people: Cast, customer: Customer, sender: None
) -> None:
    customer.status, customer.text = 500, "x" * 3000
    endpoint = await owner.made("/webhook-endpoints", {"url": customer.url})
    await published(services, people, ANSWERED)
    [listed] = (await owner.get("/webhook-deliveries")).json()["items"]

    shown = await seen(owner, f"/webhook-deliveries/{listed['id']}", lambda one: one["tries"] >= 3)
    at = f"/webhook-endpoints/{endpoint['id']}"
    faring = await seen(owner, at, lambda one: one["failures"] >= 3)

    assert (shown["state"], shown["status"], shown["error"]) == ("pending", 500, "status")
    assert shown["due_at"] is not None
    assert len(shown["history"]) == shown["tries"]
    assert {(one["status"], one["error"]) for one in shown["history"]} == {(500, "status")}
    assert {one["answer"] for one in shown["history"]} == {"x" * 1024}
    assert {body for _, body in customer.got} == {shown["body"].encode()}
    assert (faring["last_error"], faring["last_delivered_at"]) == ("status 500", None)
    assert faring["failing_since"] is not None


async def test_an_answer_that_is_no_text_is_shown_as_far_as_it_is_one(
    owner: Api, services: Services, people: Cast, customer: Customer, sender: None
) -> None:
    customer.text = "không \x00 ổn"
    await owner.made("/webhook-endpoints", {"url": customer.url})
    await published(services, people, ANSWERED)

    page = await seen(owner, "/webhook-deliveries", all_are("delivered", 1))
    shown = (await owner.get(f"/webhook-deliveries/{page['items'][0]['id']}")).json()

    assert shown["history"][0]["answer"] == "không \x00 ổn"


async def test_a_replay_is_the_same_event_to_its_receiver(
    owner: Api, services: Services, people: Cast, customer: Customer, sender: None
) -> None:
    endpoint = await owner.made("/webhook-endpoints", {"url": customer.url, "format": "aicallcenter"})
    await published(services, people, ANSWERED)
    first = (await seen(owner, "/webhook-deliveries", all_are("delivered", 1)))["items"][0]
    # The body was made already, so neither format nor options change it any more.
    await owner.send("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"format": "tongdai"})

    again = await owner.made(f"/webhook-deliveries/{first['id']}/replay", None)
    page = await seen(owner, "/webhook-deliveries", all_are("delivered", 2))

    assert again["replay_of"] == first["id"]
    assert [item["id"] for item in page["items"]] == [again["id"], first["id"]]
    assert page["items"][1]["replayed_at"] is not None
    assert len({headers["webhook-id"] for headers, _ in customer.got}) == 1
    [first_body, second_body] = [body for _, body in customer.got]
    assert first_body == second_body
    assert json.loads(first_body) == json.loads(RENDERERS["aicallcenter"](ANSWERED, {}))


async def test_what_was_parked_is_replayed_once_its_receiver_is_back(
    owner: Api, services: Services, people: Cast, customer: Customer, impatient_sender: None
) -> None:
    customer.status = 503
    endpoint = await owner.made("/webhook-endpoints", {"url": customer.url})
    at = f"/webhook-endpoints/{endpoint['id']}"
    events = [changed(REFUSED, call_id=1, seq=1), changed(ANSWERED, call_id=1, seq=2)]
    await published(services, people, *events)
    await seen(owner, "/webhook-deliveries", all_are("parked", 2))
    customer.status = 200
    customer.got.clear()

    replayed = (await owner.post(f"{at}/replay", {"state": "parked"})).json()
    again = (await owner.post(f"{at}/replay", {})).json()
    await seen(owner, "/webhook-deliveries", all_are("delivered", 2), state="delivered")

    assert (replayed, again) == ({"replayed": 2, "more": False}, {"replayed": 0, "more": False})
    assert [json.loads(body)["sequence"] for _, body in customer.got] == [1, 2]


async def test_a_replay_is_bounded_by_the_time_of_the_events(
    owner: Api, services: Services, people: Cast, customer: Customer, sender: None
) -> None:
    endpoint = await owner.made("/webhook-endpoints", {"url": customer.url})
    await published(services, people, ANSWERED)
    sent = (await seen(owner, "/webhook-deliveries", all_are("delivered", 1)))["items"][0]
    at = f"/webhook-endpoints/{endpoint['id']}/replay"

    before = await owner.post(at, {"state": "delivered", "until": sent["created_at"]})
    after = await owner.post(at, {"state": "delivered", "since": "2100-01-01T00:00:00Z"})
    within = await owner.post(at, {"state": "delivered", "since": sent["created_at"]})

    assert [one.json()["replayed"] for one in (before, after, within)] == [0, 0, 1]


async def test_the_endpoints_options_and_auth_header_reach_the_request(
    owner: Api, services: Services, people: Cast, customer: Customer, sender: None
) -> None:
    body = {
        "url": customer.url,
        "format": "vbot_auto_call",
        "options": {"date_format": "dd/MM/yyyy"},
        "auth_header": "X-Api-Key: mat-khau-123",
    }
    await owner.made("/webhook-endpoints", body)
    await published(services, people, ANSWERED)

    await seen(owner, "/webhook-deliveries", all_are("delivered", 1))

    [(headers, sent)] = customer.got
    assert headers["x-api-key"] == "mat-khau-123"
    assert sent == RENDERERS["vbot_auto_call"](ANSWERED, {"date_format": "dd/MM/yyyy"})


@pytest.mark.parametrize("format", RENDERERS)
@pytest.mark.parametrize(
    "events", [["attempt.ended"], ["call.refused"], ["zalo.message.rated"], ["zalo.received"]]
)
async def test_a_test_event_arrives_in_every_format(
    owner: Api, customer: Customer, sender: None, format: str, events: list[str]
) -> None:
    body = {"url": customer.url, "format": format, "events": events}
    answer = await owner.post("/webhook-endpoints", body)
    if not webhooks.FORMATS[format].issuperset(events):
        assert answer.status_code == 400
        return
    endpoint = answer.json()

    sent = await owner.made(f"/webhook-endpoints/{endpoint['id']}/test", None)
    await seen(owner, f"/webhook-deliveries/{sent['id']}", lambda shown: shown["state"] == "delivered")

    [(headers, raw)] = customer.got
    assert Webhook(endpoint["secret"]).verify(raw, headers)
    assert sent["type"] == events[0]


async def test_after_a_rotation_both_secrets_verify(
    owner: Api, services: Services, people: Cast, customer: Customer, sender: None
) -> None:
    # Its end is reckoned by the clock of the API, which stands still in these tests.
    services.clock.set(SystemClock().now())  # type: ignore[attr-defined]
    endpoint = await owner.made("/webhook-endpoints", {"url": customer.url})
    rotated = (await owner.post(f"/webhook-endpoints/{endpoint['id']}/secret/rotate")).json()

    await published(services, people, ANSWERED)
    await seen(owner, "/webhook-deliveries", all_are("delivered", 1))

    [(headers, raw)] = customer.got
    assert Webhook(endpoint["secret"]).verify(raw, headers)
    assert Webhook(rotated["secret"]).verify(raw, headers)
