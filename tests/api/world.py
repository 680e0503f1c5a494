"""What most tests of the API need to exist, made through the API itself."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import httpx
from tests.api.conftest import Api

TRUNK = {"name": "VNPT", "engine": "sandbox", "max_channels": 30, "max_cps": 5}
HOTLINE = "02473001234"
ENDPOINT = {"url": "https://hooks.example.vn/tongdai", "format": "vbot_auto_call"}
SCRIPT = {
    "start": "menu",
    "steps": {
        "menu": {
            "kind": "gather",
            "prompt": [{"text": "Xin chào {ten}. Nhấn 1 để xác nhận."}],
            "on": {"1": "thanks"},
        },
        "thanks": {"kind": "say", "text": "Xin cảm ơn."},
    },
}
OTP_SCRIPT = {
    "kind": "otp",
    "start": "read",
    "steps": {"read": {"kind": "read_code", "purpose": "Mã xác thực của quý khách là"}},
}


ATTESTATION = {
    "purpose": "advertising",
    "obtained_at": "2026-11-01T09:00:00+07:00",
    "method": "Phiếu đăng ký tại quầy",
    "evidence": "Tủ hồ sơ số 12",
}


@dataclass(frozen=True)
class World:
    """Ids of one of each, in one account."""

    trunk_id: int
    hotline_id: int
    script_id: int
    audio_file_id: int
    project_id: int
    template_id: int
    campaign_id: int
    call_id: int
    """Queued, in the campaign."""
    key_id: int
    vendor_key_id: int
    endpoint_id: int
    """Of webhooks."""
    delivery_id: int
    """Of a test event to it, pending."""
    contact_file_id: int
    """Of the campaign, not read yet."""
    entry_id: int
    """Of the do-not-call list."""
    attestation_id: int
    app_id: int = 0
    """At Zalo, like those that follow; 0: there is none (`shop.with_zalo`)."""
    oa_id: int = 0
    journey_id: int = 0
    message_id: int = 0
    zalo_template_id: int = 0
    recording_id: int = 0
    """Of the call; 0: there is none (`recorded.with_recording`)."""
    incoming_call_id: int = 0
    """0: there is none (`called.with_incoming_call`)."""


async def build(api: Api, code: str = "w") -> World:
    trunk = await api.made("/trunks", TRUNK)
    hotline = await api.made("/hotlines", {"number": HOTLINE, "trunk_id": trunk["id"]})
    script = await api.made("/scripts", {"name": "Nhắc đơn", "script": SCRIPT})
    audio = await upload(api)
    project = await api.made("/projects", {"code": code, "name": "Dự án"})
    body = campaign_body(script["id"], hotline["id"])
    template = await api.made("/templates", body | {"project_id": project["id"]})
    campaign = await api.made("/campaigns", body)
    report = await api.made(f"/campaigns/{campaign['id']}/contacts", {"contacts": [{"number": "0912345678"}]})
    key = await api.made("/keys", {"name": "CRM"})
    vendor_key = await api.made("/vendor-keys", {"name": "Zalo"})
    endpoint = await api.made("/webhook-endpoints", ENDPOINT)
    delivery = await api.made(f"/webhook-endpoints/{endpoint['id']}/test", None)
    contact_file = (await upload_contacts(api, campaign["id"], b"sdt\n0912345679\n")).json()
    await api.post("/do-not-call", {"numbers": ["0912345670"]})
    [entry] = (await api.get("/do-not-call")).json()["items"]
    attestation = await api.made("/attestations", ATTESTATION)
    return World(
        trunk_id=trunk["id"],
        hotline_id=hotline["id"],
        script_id=script["id"],
        audio_file_id=audio["id"],
        project_id=project["id"],
        template_id=template["id"],
        campaign_id=campaign["id"],
        call_id=report["accepted"][0]["call_id"],
        key_id=key["id"],
        vendor_key_id=vendor_key["vendor_key"]["id"],
        endpoint_id=endpoint["id"],
        delivery_id=delivery["id"],
        contact_file_id=contact_file["id"],
        entry_id=entry["id"],
        attestation_id=attestation["id"],
    )


def campaign_body(script_id: int, hotline_id: int, **more: Any) -> dict[str, Any]:
    body = {
        "name": "Nhắc giao hàng",
        "purpose": "customer_care",
        "script_id": script_id,
        "hotline_ids": [hotline_id],
    }
    return body | more


async def upload(api: Api, data: bytes | None = None, name: str = "chao.wav") -> dict[str, Any]:
    answer = await api.http.post(
        "/v1/audio-files",
        params={"name": name},
        content=wav() if data is None else data,
        headers={"Authorization": f"Bearer {api.key}", "Content-Type": "audio/wav"},
    )
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def upload_contacts(
    api: Api, campaign_id: int, data: bytes, name: str = "khach.csv", **query: str
) -> httpx.Response:
    return await api.http.post(
        f"/v1/campaigns/{campaign_id}/contact-files",
        params={"name": name, **query},
        content=data,
        headers={"Authorization": f"Bearer {api.key}", "Content-Type": "text/csv"},
    )


def wav(seconds: float = 0.1, rate: int = 8000, pitch: int = 440) -> bytes:
    """A tone, 16-bit PCM, mono."""
    samples = [round(9000 * math.sin(2 * math.pi * pitch * n / rate)) for n in range(int(seconds * rate))]
    data = struct.pack(f"<{len(samples)}h", *samples)
    form = struct.pack("<HHIIHH", 1, 1, rate, rate * 2, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
