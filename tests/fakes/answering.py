"""Hotlines that answer, and the dialers whose desks take their calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests import factories
from tests.fakes.dialling import PROMPT, dialing, eventually, rows

from tongdai.domain import inbound, routing, scripts
from tongdai.domain.dialer import DialerConfig
from tongdai.domain.inbound import Desk, DeskConfig, IncomingCall, IncomingFilter
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.telephony import Engine

SOON = DeskConfig(
    rules=inbound.Rules(accept_within=timedelta(seconds=1), end_margin=timedelta(seconds=1)),
    look_s=0.05,
    sweep_s=0.1,
    engine_timeout_s=0.2,
)
"""Nothing waits long in a test."""

GREETING: dict[str, Any] = {
    "start": "hello",
    "steps": {"hello": {"kind": "say", "text": "Xin chào, cửa hàng đang nghỉ."}},
}
MENU: dict[str, Any] = {
    "start": "menu",
    "steps": {
        "menu": {
            "kind": "gather",
            "prompt": "Bấm 1 để nghe lại, bấm 2 để đặt lịch",
            "on": {"1": "one", "2": "two"},
        },
        "one": {"kind": "say", "text": "Đơn hàng đang trên đường", "next": "bye"},
        "two": {"kind": "hang_up", "end_code": "booked"},
        "bye": {"kind": "hang_up", "end_code": "heard"},
    },
}
MESSAGE: dict[str, Any] = {
    "start": "ask",
    "steps": {
        "ask": {"kind": "say", "text": "Hãy để lại lời nhắn", "next": "record"},
        "record": {"kind": "record", "max_s": 20},
    },
}


def transfer(*targets: str, ring_s: int = 20, on_failed: str | None = None, **more: Any) -> dict[str, Any]:
    """A script that rings phones first of all."""
    step: dict[str, Any] = {"kind": "transfer", "targets": list(targets), "ring_s": ring_s}
    if on_failed is not None:
        step["on_failed"] = on_failed
    return {"start": "ring", "steps": {"ring": step, **more}}


@dataclass(frozen=True, slots=True)
class Shop:
    """One account with one hotline that answers."""

    db: Database
    account_id: int
    trunk: routing.Trunk
    hotline: routing.Hotline

    @property
    def number(self) -> str:
        """As the carrier writes it."""
        return "0" + self.hotline.number[2:]

    async def calls(self, **wanted: Any) -> list[IncomingCall]:
        """Newest first."""
        async with self.db.transaction() as tx:
            found = await inbound.list_incoming_calls(tx, self.account_id, IncomingFilter(**wanted))
        return list(found.calls)

    async def ended(self, number: int = 1) -> list[IncomingCall]:
        """Once so many have ended."""

        async def look() -> list[IncomingCall] | None:
            calls = await self.calls(state="ended")
            return calls if len(calls) >= number else None

        found: list[IncomingCall] = await eventually(look)
        return found

    async def live(self) -> list[int]:
        """Channels that are held somewhere."""
        return [live for (live,) in await rows(self.db, "SELECT live FROM limits WHERE live <> 0")]


async def shop(
    db: Database,
    account_id: int,
    script: dict[str, Any] | None,
    *,
    number: str = "02473001234",
    channels: int | None = None,
    hotline_channels: int | None = None,
    unanswered: routing.Unanswered = "busy",
    enabled: bool = True,
) -> Shop:
    async with db.transaction() as tx:
        trunk = await factories.trunk(tx, account_id, max_channels=channels)
        script_id = version = None
        if script is not None:
            script_id = (await scripts.create_script(tx, account_id, "trả lời", script)).id
            version = await inbound.answering_script(tx, account_id, script_id)
        hotline = await routing.create_hotline(
            tx,
            account_id,
            number=number,
            trunk_id=trunk.id,
            max_channels=hotline_channels,
            inbound_script_id=script_id,
            inbound_script_version=version,
            unanswered=unanswered,
            enabled=enabled,
        )
    return Shop(db, account_id, trunk, hotline)


@asynccontextmanager
async def answering(
    db: Database,
    keyring: Keyring,
    engines: Mapping[str, Engine],
    *,
    config: DeskConfig = SOON,
    dialer: DialerConfig = PROMPT,
) -> AsyncIterator[Desk]:
    """A dialer with a desk, until the block ends; the desk hears what nobody else hears."""
    desk = Desk(db, load_script=scripts.load_version, config=config)
    async with dialing(db, keyring, engines, dialer, guests=[desk]):
        yield desk
