"""Campaigns through their life, and the templates that they are made from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api
from tests.api.world import OTP_SCRIPT, World, build, campaign_body

from tongdai.app import create_app
from tongdai.domain import compliance
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

SCHEDULE = {
    "start_date": "2026-12-01",
    "end_date": None,
    "windows": [{"weekdays": [1, 2, 3, 4, 5], "start": "08:00", "end": "20:00"}],
    "skip_holidays": True,
}


TEN = {"name": "ten", "type": "text", "required": False, "default": None}


@pytest.fixture
async def world(owner: Api) -> World:
    return await build(owner)


async def state_of(api: Api, campaign_id: int) -> str:
    state: str = (await api.get(f"/campaigns/{campaign_id}")).json()["state"]
    return state


async def test_a_campaign_begins_as_a_draft_with_every_default_shown(owner: Api, world: World) -> None:
    made = await owner.made("/campaigns", campaign_body(world.script_id, world.hotline_id))

    assert made["state"] == "draft"
    assert made["script_version"] == 1
    assert made["waiting"] is None
    assert made["config"]["schedule"] is None
    assert made["config"]["ring_seconds"] == 30
    assert made["created_at"].endswith("+07:00")
    assert (await owner.get(f"/campaigns/{made['id']}")).json() == made


async def test_a_configuration_is_kept_as_it_was_sent(owner: Api, world: World) -> None:
    config = {
        "schedule": SCHEDULE,
        "retries": {"busy": {"times": 2, "after_seconds": 300}},
        "max_attempts": 3,
    }

    made = await owner.made("/campaigns", campaign_body(world.script_id, world.hotline_id, config=config))

    assert made["config"].items() >= config.items()


@pytest.mark.parametrize(
    "config",
    [
        {"schedule": SCHEDULE | {"windows": [{"weekdays": [8], "start": "08:00", "end": "20:00"}]}},
        {"schedule": SCHEDULE | {"windows": [{"weekdays": [1], "start": "8 o'clock", "end": "20:00"}]}},
        {"schedule": SCHEDULE | {"windows": [{"weekdays": [1], "start": "08:00", "end": "25:00"}]}},
        {"schedule": SCHEDULE | {"start_date": "soon"}},
        {"retries": {"answered": {"times": 1, "after_seconds": 60}}},
        {"retries": {"busy": {"times": -1, "after_seconds": 60}}},
        {"retry": {}},
        {"ring_seconds": 1},
        {"max_attempts": 10**30},
    ],
)
async def test_a_configuration_that_could_be_misread_is_refused(
    owner: Api, world: World, config: dict[str, Any]
) -> None:
    answer = await owner.post("/campaigns", campaign_body(world.script_id, world.hotline_id, config=config))

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"].startswith("config")


@pytest.mark.parametrize(
    ("kind", "config", "path"),
    [
        ("otp", {"record": True}, "record"),
        ("otp", {"voicemail_action": "leave_message"}, "voicemail_action"),
        ("voice", {"voicemail_action": "retry", "detect_voicemail": False}, "voicemail_action"),
        ("voice", {"voicemail_action": "leave_message", "detect_voicemail": False}, "voicemail_action"),
        (
            "voice",
            {"voicemail_action": "retry", "retries": {"voicemail": {"times": 0, "after_seconds": 60}}},
            "retries.voicemail",
        ),
        ("voice", {"record": True, "record_announcement": "   "}, "record_announcement"),
        ("voice", {"record": True, "record_announcement": "Xin chào {ten"}, "record_announcement"),
    ],
)
async def test_what_a_campaign_cannot_do_on_a_call_is_refused_wherever_it_is_given(
    owner: Api, world: World, kind: str, config: dict[str, Any], path: str
) -> None:
    body = campaign_body(world.script_id, world.hotline_id) | {"config": config, "kind": kind}
    if kind == "otp":
        body["purpose"] = "otp"
    answers = [await owner.post("/campaigns", body), await owner.post("/templates", body)]
    if kind == "voice":
        answers.append(await owner.send("PATCH", f"/campaigns/{world.campaign_id}", {"config": config}))
    for answer in answers:
        assert answer.status_code == 400
        assert [error["path"] for error in answer.json()["errors"]] == [f"config.{path}"]


async def test_a_campaign_says_whether_and_how_it_records(owner: Api, world: World) -> None:
    quiet = {"record": True, "record_announcement": ""}
    made = await owner.made("/campaigns", campaign_body(world.script_id, world.hotline_id, config=quiet))
    assert made["config"].items() >= quiet.items()
    plain = await owner.made("/campaigns", campaign_body(world.script_id, world.hotline_id))
    assert (plain["config"]["record"], plain["config"]["record_announcement"]) == (False, None)


@pytest.mark.parametrize(
    ("schedule", "path"),
    [
        ({"windows": [{"weekdays": [1], "start": "20:00", "end": "08:00"}]}, "windows[0].end"),
        ({"windows": [{"weekdays": [1], "start": "08:00", "end": "08:00"}]}, "windows[0].end"),
        ({"start_date": "2026-12-02", "end_date": "2026-12-01"}, "end_date"),
        ({"windows": []}, "windows"),
    ],
)
async def test_a_schedule_that_cannot_be_is_refused_wherever_one_is_given(
    owner: Api, world: World, schedule: dict[str, Any], path: str
) -> None:
    config = {"config": {"schedule": SCHEDULE | schedule}}
    body = campaign_body(world.script_id, world.hotline_id) | config
    made_before = (await owner.get("/campaigns")).json()

    for answer in (
        await owner.post("/campaigns", body),
        await owner.send("PATCH", f"/campaigns/{world.campaign_id}", config),
        await owner.post("/templates", body),
        await owner.send("PUT", f"/templates/{world.template_id}", body),
    ):
        assert answer.status_code == 400
        assert [error["path"] for error in answer.json()["errors"]] == [f"config.schedule.{path}"]
    assert (await owner.get("/campaigns")).json() == made_before


@pytest.mark.parametrize(
    ("kind", "purpose", "reads_code", "path"),
    [
        ("otp", "otp", False, "script_id"),
        ("voice", "survey", True, "script_id"),
        ("otp", "customer_care", True, "purpose"),
        ("voice", "otp", False, "kind"),
    ],
)
async def test_a_code_is_read_by_an_otp_campaign_and_by_no_other(
    owner: Api, world: World, kind: str, purpose: str, reads_code: bool, path: str
) -> None:
    reader = await owner.made("/scripts", {"name": "Mã", "script": OTP_SCRIPT})
    script_id = reader["id"] if reads_code else world.script_id
    body = campaign_body(script_id, world.hotline_id, kind=kind, purpose=purpose)

    for answer in (
        await owner.post("/campaigns", body),
        await owner.post("/templates", body),
        await owner.send("PUT", f"/templates/{world.template_id}", body),
    ):
        assert answer.status_code == 400
        assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_a_template_whose_script_came_to_read_a_code_makes_no_campaign(
    owner: Api, world: World
) -> None:
    await owner.send("PUT", f"/scripts/{world.script_id}", {"name": "Mã", "script": OTP_SCRIPT})

    answer = await owner.post(f"/templates/{world.template_id}/campaigns", {"name": "Đợt 1"})

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["script_id"]


async def test_a_campaign_is_started_paused_resumed_and_stopped(colleague: Api, world: World) -> None:
    path = f"/campaigns/{world.campaign_id}"

    for action, state in [
        ("start", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("stop", "stopped"),
        ("start", "running"),
    ]:
        answer = await colleague.post(f"{path}/{action}")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
        assert await state_of(colleague, world.campaign_id) == state


@pytest.mark.parametrize("action", ["pause", "resume", "stop"])
async def test_what_a_draft_cannot_do_is_a_conflict(owner: Api, world: World, action: str) -> None:
    answer = await owner.post(f"/campaigns/{world.campaign_id}/{action}")

    assert answer.status_code == 409
    assert answer.json()["detail"].endswith("It is draft.")
    assert await state_of(owner, world.campaign_id) == "draft"


async def test_a_viewer_watches_and_does_not_touch(viewer: Api, world: World) -> None:
    path = f"/campaigns/{world.campaign_id}"

    assert (await viewer.get(f"{path}/progress")).status_code == 200
    for action in ("start", "pause", "resume", "stop"):
        assert (await viewer.post(f"{path}/{action}")).status_code == 403
    assert (
        await viewer.post(f"{path}/contacts", {"contacts": [{"number": "0912345679"}]})
    ).status_code == 403
    assert await state_of(viewer, world.campaign_id) == "draft"


async def test_a_campaign_is_changed_while_it_is_a_draft_or_paused(owner: Api, world: World) -> None:
    path = f"/campaigns/{world.campaign_id}"
    change = {"name": "Tết", "max_channels": 5, "config": {"ring_seconds": 20}}

    changed = (await owner.send("PATCH", path, change)).json()

    assert (changed["name"], changed["max_channels"], changed["config"]["ring_seconds"]) == ("Tết", 5, 20)
    await owner.post(f"{path}/start")
    assert (await owner.send("PATCH", path, {"name": "no"})).status_code == 409
    await owner.post(f"{path}/pause")
    assert (await owner.send("PATCH", path, {"max_channels": None})).json()["max_channels"] is None
    assert (await owner.get(path)).json()["name"] == "Tết"


async def test_progress_counts_and_says_why_nothing_is_dialled(owner: Api, world: World) -> None:
    progress = (await owner.get(f"/campaigns/{world.campaign_id}/progress")).json()

    assert progress["state"] == "draft"
    assert [progress[name] for name in ("accepted", "queued", "dialing", "done")] == [1, 1, 0, 0]
    assert (progress["outcomes"], progress["blocked_by"]) == ({}, {})
    assert progress["next_due_at"].endswith("+07:00")
    assert progress["waiting"] is None


@pytest.mark.parametrize(
    ("stored", "reason", "detail"),
    [
        ("schedule_closed: window_closed", "schedule_closed", "window_closed"),
        ("nothing_queued", "nothing_queued", None),
        ("purpose_window", "purpose_window", None),
        ("wallet_empty", "wallet_empty", None),
    ],
)
async def test_the_reason_for_waiting_is_shown_with_its_times(
    owner: Api, world: World, services: Any, stored: str, reason: str, detail: str | None
) -> None:
    await owner.post(f"/campaigns/{world.campaign_id}/start")
    async with services.db.transaction() as tx:
        await tx.execute(
            "UPDATE campaigns SET waiting_reason = %s, waiting_since = '2026-11-21 14:00+00',"
            " waiting_until = '2026-11-22 01:00+00' WHERE id = %s",
            (stored, world.campaign_id),
        )
    living = await services.db.dedicated()
    await living.execute("SELECT pg_advisory_lock(7341, 1)")  # as a dialer does
    waiting = {
        "reason": reason,
        "detail": detail,
        "since": "2026-11-21T21:00:00+07:00",
        "until": "2026-11-22T08:00:00+07:00",
    }

    assert (await owner.get(f"/campaigns/{world.campaign_id}/progress")).json()["waiting"] == waiting
    assert (await owner.get(f"/campaigns/{world.campaign_id}")).json()["waiting"] == waiting
    await living.close()
    assert (await owner.get(f"/campaigns/{world.campaign_id}")).json()["waiting"]["reason"] == "no_dialer"


async def test_a_template_is_kept_changed_and_archived(owner: Api, world: World) -> None:
    path = f"/templates/{world.template_id}"
    made = (await owner.get(path)).json()
    body = campaign_body(world.script_id, world.hotline_id, name="Mới", fields=["ten"])

    changed = (await owner.send("PUT", path, body)).json()

    assert changed.items() >= {"name": "Mới", "fields": [TEN], "project_id": None}.items()
    assert made["project_id"] == world.project_id
    assert (await owner.send("DELETE", path)).status_code == 204
    assert (await owner.send("DELETE", path)).status_code == 404
    assert (await owner.send("PUT", path, body)).status_code == 404
    assert (await owner.get(path)).json()["archived_at"] is not None
    assert (await owner.post(f"{path}/campaigns", {"name": "x"})).status_code == 404


async def test_a_campaign_from_a_template_has_everything_that_it_says(owner: Api, world: World) -> None:
    template = (await owner.get(f"/templates/{world.template_id}")).json()

    made = await owner.made(f"/templates/{world.template_id}/campaigns", {"name": "Đợt 1"})

    same = ("kind", "purpose", "script_id", "hotline_ids", "config", "max_channels", "max_cps", "project_id")
    assert {name: made[name] for name in same} == {name: template[name] for name in same}
    assert (made["template_id"], made["name"], made["state"]) == (world.template_id, "Đợt 1", "draft")


async def test_declared_fields_are_kept_and_go_from_the_template_to_its_campaigns(
    owner: Api, world: World
) -> None:
    fields = [{"name": "tien", "type": "integer", "required": False, "default": 0}, "ten"]
    body = campaign_body(world.script_id, world.hotline_id, fields=fields, advertiser="Hoa Sen")

    template = await owner.made("/templates", body)
    made = await owner.made(f"/templates/{template['id']}/campaigns", {"name": "Đợt 1"})
    direct = await owner.made("/campaigns", body)

    for one in (template, made, direct):
        assert (one["fields"], one["advertiser"], one["attestation_id"]) == (
            [fields[0], TEN],
            "Hoa Sen",
            None,
        )
        assert one["config"]["on_unpaid"] is None


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ([{"name": "a", "type": "money"}], "fields[0].type"),
        ([{"name": "a", "type": "integer", "default": "x"}], "fields[0].default"),
        ([{"name": "a"}, "a"], "fields[1].name"),
        (["{a}"], "fields[0].name"),
        ([""], "fields[0]"),
        ([{"name": "a", "needed": True}], "fields[0].needed"),
    ],
)
async def test_a_field_that_is_declared_badly_is_refused_wherever_one_is(
    owner: Api, world: World, fields: Any, path: str
) -> None:
    body = campaign_body(world.script_id, world.hotline_id, fields=fields)

    for answer in (
        await owner.post("/campaigns", body),
        await owner.post("/templates", body),
        await owner.send("PUT", f"/templates/{world.template_id}", body),
    ):
        assert answer.status_code == 400
        assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize("path", ["/campaigns", "/templates"])
async def test_a_purpose_is_always_said(owner: Api, world: World, path: str) -> None:
    body = campaign_body(world.script_id, world.hotline_id)
    del body["purpose"]

    answer = await owner.post(path, body)

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["purpose"]


async def test_a_campaign_from_a_template_may_run_at_once(owner: Api, world: World) -> None:
    body = {"name": "Đợt 1", "state": "running", "project_id": world.project_id}

    made = await owner.made(f"/templates/{world.template_id}/campaigns", body)

    assert (made["state"], made["project_id"]) == ("running", world.project_id)
    assert made["started_at"] is not None


async def test_advertising_starts_only_with_a_hotline_that_has_a_valid_brand_name(
    owner: Api, world: World
) -> None:
    body = campaign_body(world.script_id, world.hotline_id, purpose="advertising")
    template = await owner.made("/templates", body)
    campaign = await owner.made("/campaigns", body)
    start = f"/campaigns/{campaign['id']}/start"

    for answer in (
        await owner.post(start),
        await owner.post(f"/templates/{template['id']}/campaigns", {"name": "x", "state": "running"}),
    ):
        assert answer.status_code == 400
        assert [error["path"] for error in answer.json()["errors"]] == ["hotline_ids"]
    brand = {"brand_name": "HOA SEN", "brand_until": "2199-12-31"}
    assert (await owner.send("PATCH", f"/hotlines/{world.hotline_id}", brand)).status_code == 200
    assert (await owner.post(start)).json()["state"] == "running"


async def test_an_operators_own_rules_decide_what_needs_a_brand_name(
    owner: Api, world: World, services: Services, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'id = "own"\nvalid_from = 2020-01-01\n[[rule]]\nid = "advertising_brand_name"\non = false\n'
    )
    app = create_app(replace(services, policies=compliance.load_policies(own)))
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    body = campaign_body(world.script_id, world.hotline_id, purpose="advertising")
    draft = await owner.made("/campaigns", body)

    async with httpx.AsyncClient(transport=transport, base_url="http://tests") as http:
        answer = await Api(http, owner.person, owner.key).post(f"/campaigns/{draft['id']}/start")

    assert (answer.status_code, answer.json()["state"]) == (200, "running")


async def test_an_owner_changes_the_purpose_of_a_draft_and_the_log_says_so(
    owner: Api, colleague: Api, viewer: Api, stranger: Api, world: World
) -> None:
    path = f"/campaigns/{world.campaign_id}"
    change = {"purpose": "transactional", "advertiser": "Hoa Sen"}
    assert owner.person is not None

    assert (await colleague.send("PATCH", path, change)).status_code == 403
    changed = (await owner.send("PATCH", path, change)).json()
    await owner.post(f"{path}/start")
    await owner.post(f"{path}/pause")
    assert (await owner.send("PATCH", path, {"purpose": "survey"})).status_code == 409

    assert (changed["purpose"], changed["advertiser"]) == ("transactional", "Hoa Sen")
    for api in (colleague, viewer):
        assert (await api.get("/audit-log")).status_code == 403
    entry = (await owner.get("/audit-log")).json()["items"][-1]
    assert (
        entry.items()
        >= {
            "action": "campaign.changed",
            "subject_id": world.campaign_id,
            "user_id": owner.person.user.id,
            "before": {"purpose": "customer_care", "advertiser": ""},
            "after": change,
        }.items()
    )
    assert entry["at"].endswith("+07:00")
    assert (await stranger.get("/audit-log")).json() == {"items": [], "next": None}


async def test_the_log_tells_a_templates_life_page_by_page(owner: Api, world: World) -> None:
    path = f"/templates/{world.template_id}"
    body = campaign_body(world.script_id, world.hotline_id, name="Mới")
    await owner.send("PUT", path, body)
    await owner.send("DELETE", path)

    first = (await owner.get("/audit-log", limit=2)).json()
    rest = (await owner.get("/audit-log", limit=2, cursor=first["next"])).json()

    actions = [item["action"] for item in first["items"] + rest["items"]]
    assert actions == ["template.created", "template.changed", "template.archived"]
    assert (first["items"][1]["before"]["name"], first["items"][1]["after"]["name"]) == (
        "Nhắc giao hàng",
        "Mới",
    )
    assert rest["next"] is None


async def test_an_attestation_is_named_by_whoever_it_belongs_to(
    owner: Api, stranger: Api, world: World, services: Services
) -> None:
    assert owner.person is not None
    new = compliance.NewAttestation(
        purpose="customer_care", obtained_at=datetime(2026, 1, 1, tzinfo=UTC), method="web", evidence="forms"
    )
    async with services.db.transaction() as tx:
        owned = await compliance.attest(
            tx, owner.person.account_id, owner.person.user.id, new, datetime(2026, 11, 21, tzinfo=UTC)
        )
    theirs = await build(stranger, "theirs")
    more = {"attestation_id": owned.id}

    made = await owner.made("/campaigns", campaign_body(world.script_id, world.hotline_id, **more))
    changed = await owner.send("PATCH", f"/campaigns/{world.campaign_id}", more)
    foreign = await stranger.post("/campaigns", campaign_body(theirs.script_id, theirs.hotline_id, **more))
    unknown = await stranger.send("PATCH", f"/campaigns/{theirs.campaign_id}", more)

    assert made["attestation_id"] == changed.json()["attestation_id"] == owned.id
    assert (foreign.status_code, unknown.status_code) == (404, 404)
