"""Consents and attestations: written down once, with proof, shown to whom they belong, and never changed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Api
from tests.api.world import ATTESTATION

pytestmark = pytest.mark.anyio

CONSENT = {
    "number": "0912 345 678",
    "purpose": "advertising",
    "given": True,
    "method": "web",
    "evidence": "form 12",
}


async def test_consents_are_written_down_and_bad_ones_reported(owner: Api, stranger: Api) -> None:
    given = [
        CONSENT | {"max_per_24h": 2, "wording": "Tôi đồng ý", "at": "2026-11-01T08:00:00+07:00"},
        CONSENT | {"number": "113"},
        CONSENT | {"evidence": None},
        {"number": 912345678, "purpose": "advertising", "given": False, "method": "call_in"},
    ]
    report = (await owner.post("/consents", {"consents": given})).json()

    assert [one["index"] for one in report["accepted"]] == [0, 3]
    assert report["rejected"] == [
        {"index": 1, "reason": "short_code"},
        {"index": 2, "reason": "evidence_missing"},
    ]
    items = (await owner.get("/consents", number="0912345678")).json()["items"]
    assert [one["id"] for one in items] == [one["id"] for one in report["accepted"]]
    assert [(one["number"], one["given"], one["at"]) for one in items] == [
        ("0912345678", True, "2026-11-01T08:00:00+07:00"),
        ("0912345678", False, "2026-11-18T10:00:00+07:00"),
    ]
    assert (items[0]["max_per_24h"], items[0]["wording"]) == (2, "Tôi đồng ý")
    assert (await stranger.get("/consents")).json()["items"] == []


async def test_consents_are_listed_page_by_page(owner: Api) -> None:
    await owner.post("/consents", {"consents": [CONSENT | {"number": f"091234567{n}"} for n in range(3)]})

    first = (await owner.get("/consents", limit=2)).json()
    second = (await owner.get("/consents", limit=2, cursor=first["next"])).json()

    assert [one["number"][-1] for one in first["items"] + second["items"]] == ["0", "1", "2"]
    assert second["next"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "otp"},
        {"purpose": "anything"},
        {"given": "yes"},
        {"at": "2026-11-01T08:00:00"},
        {"max_per_24h": 1000},
        {"method": ""},
    ],
)
async def test_what_is_no_consent_is_refused(owner: Api, change: dict[str, Any]) -> None:
    assert (await owner.post("/consents", {"consents": [CONSENT | change]})).status_code == 400


async def test_an_attestation_names_who_made_it_and_can_only_be_ended(owner: Api, colleague: Api) -> None:
    assert colleague.person is not None
    assert owner.person is not None
    made = await colleague.made(
        "/attestations", ATTESTATION | {"window_start": "07:00", "window_end": "21:00"}
    )

    assert made["user_id"] == colleague.person.user.id
    assert (made["window_start"], made["window_end"], made["ended_at"]) == ("07:00", "21:00", None)
    assert (await owner.get(f"/attestations/{made['id']}")).json() == made
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await owner.send(method, f"/attestations/{made['id']}", ATTESTATION)).status_code == 405

    end = f"/attestations/{made['id']}/end"
    assert (await colleague.post(end, {"reason": "danh sách mua"})).status_code == 403
    ended = (await owner.post(end, {"reason": "danh sách mua"})).json()
    assert (ended["ended_by"], ended["ended_reason"]) == (owner.person.user.id, "danh sách mua")
    assert ended["ended_at"] is not None
    assert (await owner.post(end, {"reason": "again"})).status_code == 409


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "otp"},
        {"obtained_at": "2027-01-01T00:00:00+07:00"},
        {"obtained_at": "0001-01-01T00:00:00+07:00"},
        {"evidence": "  "},
        {"method": ""},
        {"window_start": "08:00"},
        {"window_start": "21:00", "window_end": "08:00"},
        {"window_start": "8:00", "window_end": "24:00"},
        {"max_per_24h": -1},
    ],
)
async def test_an_attestation_without_substance_is_refused(owner: Api, change: dict[str, Any]) -> None:
    assert (await owner.post("/attestations", ATTESTATION | change)).status_code == 400


async def test_a_viewer_writes_nothing_down(viewer: Api) -> None:
    assert (await viewer.post("/consents", {"consents": [CONSENT]})).status_code == 403
    assert (await viewer.post("/attestations", ATTESTATION)).status_code == 403
    assert (await viewer.post("/opt-outs", {"numbers": ["0912345678"]})).status_code == 403
    assert (await viewer.get("/attestations")).status_code == 200
