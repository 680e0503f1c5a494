"""Campaigns made over our API, on a real Asterisk, to every kind of far end: outcomes, keys, money, webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.dialling import eventually, rows
from tests.fakes.real_platform import RealPlatform, real_platform
from tests.fakes.receiver import receiving
from tests.fakes.sipp import SippPhone
from tests.fakes.sipp_scenarios import PASSWORD, USERNAME

from tongdai.domain import billing

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk, pytest.mark.timeout(180)]

MENU: dict[str, Any] = {
    "start": "menu",
    "steps": {
        "menu": {
            "kind": "gather",
            "prompt": "Đơn hàng của quý khách. Bấm 1 để nhận, 2 để huỷ.",
            "on": {"1": "yes", "2": "no"},
            "timeout_s": 1,
            "tries": 1,
            "on_timeout": "silent",
            "on_invalid": "wrong",
        },
        "yes": {"kind": "hang_up", "end_code": "confirmed"},
        "no": {"kind": "hang_up", "end_code": "cancelled"},
        "silent": {"kind": "hang_up", "end_code": "silent"},
        "wrong": {"kind": "hang_up", "end_code": "wrong"},
    },
}
LONG: dict[str, Any] = {
    "start": "long",
    "steps": {"long": {"kind": "say", "text": "Cửa hàng xin gửi lời chào đến quý khách. " * 4}},
}
PLAIN = {"ring_seconds": 5, "detect_voicemail": False}

OUTCOMES = {
    "001": ("answered", ""),
    "002": ("no_answer", ""),
    "003": ("busy", ""),
    "004": ("rejected", ""),
    "005": ("invalid_number", ""),
    "007": ("answered", "1 (1)"),
    "008": ("answered", "2 (1)"),
    "009": ("answered", ""),
    "010": ("congestion", ""),
    "012": ("unreachable", ""),
    "014": ("answered", ""),
    "015": ("invalid_number", ""),
    "016": ("answered", ""),
    "017": ("answered", ""),
    "019": ("answered", ""),
    "020": ("congestion", ""),
    "021": ("answered", "5 (1)"),
    "022": ("answered", ""),
    "024": ("answered", ""),
}
"""By what the far end does with such a number (tests/fakes/sipp_scenarios.py)."""
END_CODES = {"001": "silent", "007": "confirmed", "008": "cancelled", "021": "wrong"}

RATE = {"network": "*", "per_minute": 720, "initial_s": 1, "increment_s": 1, "per_answer": 50}
POSTAGE_A_SECOND = Decimal(12)
WALLET = 1_000_000


@pytest.fixture(scope="module")
def phone() -> Iterator[SippPhone]:
    with SippPhone(kinds=("001",)) as far_end:
        yield far_end


@pytest.fixture
async def real(
    database_url: str, tmp_path: Path, asterisk: AsteriskInstance
) -> AsyncIterator[RealPlatform]:
    async with real_platform(database_url, tmp_path, asterisk) as one:
        await one.node(asterisk)
        yield one


def sip_of(phone: SippPhone, **more: Any) -> dict[str, Any]:
    return {"host": phone.host, "port": phone.port, "username": USERNAME, "password": PASSWORD} | more


def number(kind: str, place: int = 0) -> str:
    return f"0912{place:03d}{kind}"


def talked_s(phone: SippPhone, number: str) -> float:
    """By the far end's own clock; 0: it never answered."""
    at = {line.event: line.mono for line in phone.lines() if line.number == number}
    return at["BYE"] - at["ANSWER"] if "ANSWER" in at else 0.0


async def test_every_far_end_has_its_outcome_keys_seconds_and_price(
    real: RealPlatform, phone: SippPhone
) -> None:
    trunk = await real.trunk(sip_of(phone))
    line = await real.hotline(trunk["id"])
    await real.pays(WALLET, RATE)
    campaign = await real.campaign(MENU, line, config=PLAIN)
    calls = dict(zip(OUTCOMES, await real.give(campaign, *map(number, OUTCOMES)), strict=True))
    async with real.dialing():
        done = {kind: await real.done(call) for kind, call in calls.items()}

    told = {kind: (call["outcome"], call["key_press"] or "") for kind, call in done.items()}
    assert told == OUTCOMES
    assert phone.invited_more_than_once() == {}
    for kind, call in done.items():
        assert call["duration_s"] == pytest.approx(talked_s(phone, number(kind)), abs=1.5), kind
        [attempt] = call["history"]
        assert [leg["state"] for leg in attempt["legs"]] == ["ended"]
