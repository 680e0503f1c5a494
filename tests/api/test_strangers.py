"""A stranger is told of an owner's things what they are told of things that do not exist.

Every operation of the API that takes an id is here, in every position; `test_no_operation_is_left_out`
holds the list against the OpenAPI document.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from litestar import Litestar
from tests.api.called import with_incoming_call
from tests.api.conftest import Api
from tests.api.recorded import with_recording
from tests.api.shop import LINKED, OURS, PARCEL, THEIRS, two_shops, with_zalo
from tests.api.world import SCRIPT, TRUNK, World, build, campaign_body
from tests.fakes.zalo import client_at, zalo_emulator

from tongdai.ports.services import Services
from tongdai.ports.zalo import Zalo

pytestmark = pytest.mark.anyio

UNKNOWN = 2**62


@pytest.fixture
async def zalo() -> AsyncIterator[Zalo]:
    async with zalo_emulator(two_shops()) as emulator, client_at(emulator.url) as client:
        yield client


Body = Callable[[World, World], Any]
"""From the owner's world and the stranger's own: a body that names something of the owner's."""


@dataclass(frozen=True)
class Try:
    method: str
    path: str
    body: Body | None = None
    query: str | None = None
    status: int = 404

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.query or ''}".strip()


TRIES = [
    Try("GET", "/trunks/{trunk_id}"),
    Try("PATCH", "/trunks/{trunk_id}", lambda theirs, own: {"enabled": False}),
    Try("GET", "/hotlines/{hotline_id}"),
    Try("PATCH", "/hotlines/{hotline_id}", lambda theirs, own: {"enabled": False}),
    Try("PATCH", "/hotlines/{hotline_id}", lambda theirs, own: {"trunk_id": own.trunk_id}),
    Try("GET", "/scripts/{script_id}"),
    Try("GET", "/scripts/{script_id}", query="version"),
    Try("PUT", "/scripts/{script_id}", lambda theirs, own: {"name": "x", "script": SCRIPT}),
    Try("GET", "/audio-files/{audio_file_id}"),
    Try("GET", "/audio-files/{audio_file_id}/content"),
    Try("DELETE", "/audio-files/{audio_file_id}"),
    Try("GET", "/projects/{project_id}"),
    Try("DELETE", "/keys/{key_id}"),
    Try("GET", "/vendor-keys/{vendor_key_id}/key"),
    Try("PATCH", "/vendor-keys/{vendor_key_id}", lambda theirs, own: {"active": False}),
    Try("GET", "/templates/{template_id}"),
    Try("PUT", "/templates/{template_id}", lambda theirs, own: campaign_body(own.script_id, own.hotline_id)),
    Try("DELETE", "/templates/{template_id}"),
    Try("POST", "/templates/{template_id}/campaigns", lambda theirs, own: {"name": "x"}),
    Try("GET", "/campaigns/{campaign_id}"),
    Try("PATCH", "/campaigns/{campaign_id}", lambda theirs, own: {"name": "x"}),
    Try("POST", "/campaigns/{campaign_id}/start"),
    Try("POST", "/campaigns/{campaign_id}/pause"),
    Try("POST", "/campaigns/{campaign_id}/resume"),
    Try("POST", "/campaigns/{campaign_id}/stop"),
    Try("GET", "/campaigns/{campaign_id}/progress"),
    Try(
        "POST",
        "/campaigns/{campaign_id}/contacts",
        lambda theirs, own: {"contacts": [{"number": "0912345601"}]},
    ),
    Try("POST", "/campaigns/{campaign_id}/contact-files"),
    Try("GET", "/campaigns/{campaign_id}/contact-files"),
    Try("GET", "/campaigns/{campaign_id}/contact-files/{contact_file_id}"),
    Try("GET", "/campaigns/{campaign_id}/contact-files/{contact_file_id}/report"),
    Try("GET", "/calls/{call_id}"),
    Try("GET", "/calls/{call_id}/recordings"),
    Try("GET", "/incoming-calls/{incoming_call_id}"),
    Try("GET", "/incoming-calls", query="hotline_id"),
    Try("GET", "/recordings/{recording_id}"),
    Try("GET", "/recordings/{recording_id}/file"),
    Try("DELETE", "/recordings/{recording_id}"),
    Try("GET", "/recordings", query="campaign_id"),
    Try("GET", "/campaigns/{campaign_id}/recording-rule"),
    Try("PUT", "/campaigns/{campaign_id}/recording-rule", lambda theirs, own: {"keep_days": 1}),
    Try("DELETE", "/campaigns/{campaign_id}/recording-rule"),
    Try("GET", "/webhook-endpoints/{endpoint_id}"),
    Try("PATCH", "/webhook-endpoints/{endpoint_id}", lambda theirs, own: {"url": "https://x.example.vn"}),
    Try("DELETE", "/webhook-endpoints/{endpoint_id}"),
    Try("POST", "/webhook-endpoints/{endpoint_id}/pause"),
    Try("POST", "/webhook-endpoints/{endpoint_id}/resume"),
    Try("POST", "/webhook-endpoints/{endpoint_id}/test"),
    Try("GET", "/webhook-endpoints/{endpoint_id}/secret"),
    Try("POST", "/webhook-endpoints/{endpoint_id}/secret/rotate"),
    Try("POST", "/webhook-endpoints/{endpoint_id}/replay", lambda theirs, own: {}),
    Try("GET", "/webhook-deliveries/{delivery_id}"),
    Try("POST", "/webhook-deliveries/{delivery_id}/replay"),
    Try("DELETE", "/do-not-call/{entry_id}"),
    Try("GET", "/attestations/{attestation_id}"),
    Try("POST", "/attestations/{attestation_id}/end", lambda theirs, own: {"reason": "x"}),
    # Deliveries outlive their endpoint, so a filter finds nothing rather than no such endpoint.
    Try("GET", "/webhook-deliveries", query="endpoint_id", status=200),
    Try("GET", "/webhook-deliveries", query="call_id", status=200),
    Try("GET", "/calls", query="campaign_id"),
    Try("GET", "/zalo/apps/{app_id}"),
    Try("GET", "/zalo/connections/{oa_id}"),
    Try("POST", "/zalo/connections/{oa_id}/disconnect"),
    Try("POST", "/zalo/connections/{oa_id}/renew"),
    Try("GET", "/zalo/journeys/{journey_id}"),
    Try("GET", "/zalo/journeys/{journey_id}", query="oa_id"),
    Try("GET", "/zalo/messages/{message_id}"),
    Try("GET", "/zalo/messages/{message_id}", query="oa_id"),
    Try("GET", "/zalo/templates/{zalo_template_id}"),
    Try("GET", "/zalo/templates/{zalo_template_id}", query="oa_id"),
    Try("GET", "/zalo/templates", query="oa_id"),
    # What was done over an Official Account outlives its connection, so these find nothing.
    Try("GET", "/zalo/connections", query="app_id", status=200),
    Try("GET", "/zalo/connections", query="oa_id", status=200),
    Try("GET", "/zalo/journeys", query="oa_id", status=200),
    Try("GET", "/zalo/messages", query="oa_id", status=200),
    Try("GET", "/zalo/messages", query="journey_id", status=200),
    # References in bodies.
    Try("POST", "/zalo/journeys", lambda theirs, own: {"oa_id": str(theirs.oa_id), "phone": LINKED}),
    Try(
        "POST",
        "/zalo/messages",
        lambda theirs, own: {
            "oa_id": str(theirs.oa_id),
            "phone": LINKED,
            "template_id": own.zalo_template_id,
            "data": PARCEL,
        },
    ),
    Try(
        "POST",
        "/zalo/messages",
        lambda theirs, own: {
            "journey_id": str(theirs.journey_id),
            "phone": LINKED,
            "template_id": own.zalo_template_id,
            "data": PARCEL,
        },
    ),
    Try("POST", "/hotlines", lambda theirs, own: {"number": "02473005678", "trunk_id": theirs.trunk_id}),
    Try(
        "POST",
        "/hotlines",
        lambda theirs, own: {
            "number": "02473005678",
            "trunk_id": own.trunk_id,
            "inbound_script_id": theirs.script_id,
        },
    ),
    Try("PATCH", "/hotlines/{hotline_id}", lambda theirs, own: {"inbound_script_id": own.script_id}),
    Try("POST", "/campaigns", lambda theirs, own: campaign_body(theirs.script_id, own.hotline_id)),
    Try("POST", "/campaigns", lambda theirs, own: campaign_body(own.script_id, theirs.hotline_id)),
    Try(
        "POST",
        "/campaigns",
        lambda theirs, own: campaign_body(own.script_id, own.hotline_id, project_id=theirs.project_id),
    ),
    Try("POST", "/templates", lambda theirs, own: campaign_body(theirs.script_id, own.hotline_id)),
    Try("POST", "/templates", lambda theirs, own: campaign_body(own.script_id, theirs.hotline_id)),
    Try(
        "POST",
        "/templates",
        lambda theirs, own: campaign_body(own.script_id, own.hotline_id, project_id=theirs.project_id),
    ),
    *(
        Try(
            "POST",
            path,
            lambda theirs, own: campaign_body(
                own.script_id,
                own.hotline_id,
                purpose="advertising",
                advertiser="ABC",
                attestation_id=theirs.attestation_id,
            ),
        )
        for path in ("/campaigns", "/templates")
    ),
    Try("POST", "/calls/cancel", lambda theirs, own: {"campaign_id": theirs.campaign_id}),
    Try(
        "POST",
        "/calls/cancel",
        lambda theirs, own: {"number": "0912345678", "campaign_id": theirs.campaign_id},
    ),
    # Ids in a list are passed over when they are unknown, and a stranger's own number finds only their own.
    Try("POST", "/calls/cancel", lambda theirs, own: {"call_ids": [theirs.call_id]}, status=200),
]
# Operations that take no id, or that are for a platform key alone (test_auth, test_platform).
WITHOUT_IDS = {
    "GET /me",
    "GET /keys",
    "GET /vendor-keys",
    "GET /users",
    "GET /projects",
    "POST /projects",
    "GET /trunks",
    "POST /trunks",
    "GET /hotlines",
    "GET /scripts",
    "POST /scripts",
    "POST /scripts/validate",
    "GET /audio-files",
    "POST /audio-files",
    "GET /templates",
    "GET /campaigns",
    "GET /audit-log",
    "GET /recordings",
    "GET /recording-rule",
    "PUT /recording-rule",
    "GET /webhook-endpoints",
    "POST /webhook-endpoints",
    "GET /do-not-call",
    "POST /do-not-call",
    "POST /do-not-call/import",
    "GET /opt-outs",
    "POST /opt-outs",
    "POST /opt-outs/lift",
    "GET /consents",
    "POST /consents",
    "GET /attestations",
    "POST /attestations",
    "GET /platform/do-not-call",
    "POST /platform/do-not-call",
    "POST /platform/do-not-call/import",
    "DELETE /platform/do-not-call/{entry_id}",
    "GET /platform/national-list",
    "PUT /platform/national-list",
    "POST /accounts",
    "GET /accounts",
    "GET /accounts/{account_id}",
    "POST /accounts/{account_id}/users",
    "POST /accounts/{account_id}/users/{user_id}/keys",
    # Nodes: test_nodes.
    "POST /nodes",
    "GET /nodes",
    "GET /nodes/{node_id}",
    "GET /nodes/{node_id}/status",
    "PATCH /nodes/{node_id}",
    "DELETE /nodes/{node_id}",
    # Money: test_money.
    "GET /wallet",
    "GET /ledger",
    "GET /prices",
    "PUT /accounts/{account_id}/billing",
    "GET /accounts/{account_id}/wallet",
    "GET /accounts/{account_id}/ledger",
    "POST /accounts/{account_id}/top-ups",
    "POST /accounts/{account_id}/adjustments",
    "GET /accounts/{account_id}/subscriptions",
    "POST /accounts/{account_id}/subscriptions",
    "PATCH /accounts/{account_id}/subscriptions/{subscription_id}",
    "GET /plans",
    "POST /plans",
    "GET /plans/{plan_id}",
    "PATCH /plans/{plan_id}",
    "GET /tariffs",
    "POST /tariffs",
    "GET /tariffs/{tariff_id}",
    "GET /tariffs/{tariff_id}/rates",
    "POST /tariffs/{tariff_id}/rates",
    "GET /vat-rates",
    "POST /vat-rates",
    # Zalo: an app of this id is one's own, and a state is not guessed (test_zalo).
    "GET /zalo/apps",
    "PUT /zalo/apps/{app_id}",
    "POST /zalo/authorizations",
    "POST /zalo/connections",
    "GET /zalo/prices",
    "POST /zalo/prices",
    # Their user_id: test_keys_and_projects, test_vendor_keys.
    "POST /keys",
    "POST /vendor-keys",
}
# Ids that a platform key alone sends.
OF_THE_PLATFORM = {"account_id", "user_id", "tariff_id", "plan_id", "subscription_id", "node_id"}
UNKNOWN_WORLD = World(**dict.fromkeys(World.__dataclass_fields__, UNKNOWN))


async def send(api: Api, one: Try, theirs: World, own: World) -> Any:
    path = one.path.format(**asdict(theirs))
    if one.query is not None:
        path += f"?{one.query}={1 if one.query == 'version' else asdict(theirs)[one.query]}"
    answer = await api.send(one.method, path, None if one.body is None else one.body(theirs, own))
    return answer.status_code, answer.headers["content-type"], answer.json()


async def everything(api: Api, world: World) -> Iterator[Any]:
    """What the owner sees of their own things."""
    paths = [
        f"/trunks/{world.trunk_id}",
        f"/hotlines/{world.hotline_id}",
        f"/scripts/{world.script_id}",
        f"/audio-files/{world.audio_file_id}",
        f"/templates/{world.template_id}",
        f"/campaigns/{world.campaign_id}",
        f"/campaigns/{world.campaign_id}/progress",
        f"/campaigns/{world.campaign_id}/contact-files",
        f"/calls/{world.call_id}",
        f"/incoming-calls/{world.incoming_call_id}",
        f"/calls/{world.call_id}/recordings",
        f"/campaigns/{world.campaign_id}/recording-rule",
        f"/webhook-endpoints/{world.endpoint_id}",
        f"/webhook-endpoints/{world.endpoint_id}/secret",
        f"/webhook-deliveries/{world.delivery_id}",
        "/webhook-deliveries",
        "/do-not-call",
        "/attestations",
        "/keys",
        "/projects",
        "/zalo/apps",
        f"/zalo/connections/{world.oa_id}",
        f"/zalo/journeys/{world.journey_id}",
        f"/zalo/messages/{world.message_id}",
        f"/zalo/templates/{world.zalo_template_id}",
        "/zalo/journeys",
        "/zalo/messages",
    ]
    return iter([(await api.get(path)).json() for path in paths])


async def test_a_stranger_is_told_the_same_as_of_things_that_do_not_exist(
    owner: Api, stranger: Api, services: Services
) -> None:
    theirs = await with_zalo(owner, await build(owner, "theirs"), OURS)
    assert owner.person is not None
    theirs = await with_recording(services, owner.person.account_id, theirs)
    theirs = await with_incoming_call(services, owner.person.account_id, theirs)
    own = await with_zalo(stranger, await build(stranger, "own"), THEIRS)
    before = list(await everything(owner, theirs))

    for one in TRIES:
        of_theirs = await send(stranger, one, theirs, own)
        of_nothing = await send(stranger, one, UNKNOWN_WORLD, own)

        assert of_theirs == of_nothing, str(one)
        assert of_theirs[0] == one.status, f"{one}: {of_theirs}"

    assert list(await everything(owner, theirs)) == before


async def test_lists_hold_nothing_of_another_account(owner: Api, stranger: Api, services: Services) -> None:
    world = await with_zalo(owner, await build(owner))
    assert owner.person is not None
    await with_recording(services, owner.person.account_id, world)
    await with_incoming_call(services, owner.person.account_id, world)

    for path in (
        "trunks",
        "hotlines",
        "scripts",
        "audio-files",
        "projects",
        "templates",
        "campaigns",
        "calls",
        "incoming-calls",
        "recordings",
        "webhook-endpoints",
        "webhook-deliveries",
        "do-not-call",
        "attestations",
        "zalo/connections",
        "zalo/journeys",
        "zalo/messages",
        "zalo/templates",
    ):
        assert (await owner.get(f"/{path}")).json()["items"], path
        assert (await stranger.get(f"/{path}")).json() == {"items": [], "next": None}, path
    assert (await stranger.get("/zalo/apps")).json() == {"items": []}


async def test_a_number_is_cancelled_in_the_callers_account_alone(owner: Api, stranger: Api) -> None:
    world = await build(owner)

    assert (await stranger.post("/calls/cancel", {"number": "0912345678"})).json()["call_ids"] == []
    assert (await owner.get(f"/calls/{world.call_id}")).json()["state"] == "queued"


async def test_a_taken_name_or_number_is_no_hint_of_another_account(owner: Api, stranger: Api) -> None:
    await build(owner)

    trunk = await stranger.post("/trunks", TRUNK)
    hotline = await stranger.post("/hotlines", {"number": "02473001234", "trunk_id": trunk.json()["id"]})
    project = await stranger.post("/projects", {"code": "w", "name": "Dự án"})

    assert (trunk.status_code, hotline.status_code, project.status_code) == (201, 201, 201)


async def test_no_operation_is_left_out(app: Litestar) -> None:
    known = WITHOUT_IDS | {f"{one.method} {one.path}" for one in TRIES}
    paths = app.openapi_schema.to_schema()["paths"]

    served = {
        f"{method.upper()} {path.removeprefix('/v1')}"
        for path, item in paths.items()
        for method in item
        if path.startswith("/v1/")
    }

    assert served == known


async def test_every_id_in_a_path_is_one_that_the_cast_has(app: Litestar) -> None:
    named = {
        name for path in app.openapi_schema.to_schema()["paths"] for name in re.findall(r"{(\w+)}", path)
    }

    assert named <= set(World.__dataclass_fields__) | OF_THE_PLATFORM
