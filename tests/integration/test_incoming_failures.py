"""Calls that came in whose scripts fail, or that end in the midst of something: nothing is left of them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests import factories
from tests.fakes.answering import GREETING, Shop, answering, shop, transfer
from tests.fakes.dialling import eventually, rows, until
from tests.fakes.switchboard import PlayedSwitch, Switchboard

from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Command,
    EndCause,
    Ended,
    HangUp,
    PickUp,
    Play,
    PlaybackEnded,
    Transfer,
)

pytestmark = pytest.mark.anyio

AGENT = "02473009999"
GREETED_FIRST: dict[str, Any] = {
    "start": "hello",
    "steps": {
        "hello": {"kind": "say", "text": "Xin chờ máy", "next": "ring"},
        "ring": transfer(AGENT)["steps"]["ring"],
    },
}


@asynccontextmanager
async def open_shop(
    db: Database, keyring: Keyring, script: dict[str, Any]
) -> AsyncIterator[tuple[Shop, Switchboard, PlayedSwitch]]:
    board = Switchboard()
    engine = board.client()
    one = await shop(db, (await factories.cast(db)).owner.account_id, script)
    async with answering(db, keyring, {"sandbox": engine}):
        await until(lambda: board.hearer is not None)
        yield one, board, engine


async def greeted(one: Shop, board: Switchboard, engine: PlayedSwitch, channel: str = "in-1") -> int:
    """Somebody calls, is picked up and hears something. The leg."""
    board.rings(one.trunk.id, one.number, channel=channel)
    await until(lambda: channel in board.accepted)
    leg_id = board.leg(channel)
    board.tell(Answered(leg_id, 1, 0.0, 0.0, AnsweredBy.UNKNOWN))
    await until(lambda: any(isinstance(command, Play) for command in told(engine, leg_id)))
    return leg_id


def told(engine: PlayedSwitch, leg_id: int) -> list[Command]:
    return [command for leg, _, command in engine.commanded if leg == leg_id]


async def test_a_talk_may_last_as_long_as_is_left_of_the_call(db: Database, keyring: Keyring) -> None:
    async with open_shop(db, keyring, GREETED_FIRST) as (one, board, engine):
        leg_id = await greeted(one, board, engine)
        board.tell(PlaybackEnded(leg_id, 2, 12.0, 1, True))
        await until(lambda: isinstance(told(engine, leg_id)[-1], Transfer))
        (ring,) = (command for command in told(engine, leg_id) if isinstance(command, Transfer))
        assert [(phone.target, phone.max_s) for phone in ring.legs] == [(AGENT, 3600 - 12)]


async def test_a_call_whose_script_fails_is_hung_up_and_kept_and_the_next_is_taken(
    db: Database, keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """No session can count with a time that is none, not even for what is left of the call."""
    async with open_shop(db, keyring, GREETING) as (one, board, engine):
        failed = await greeted(one, board, engine)
        board.tell(Ended(failed, 2, math.nan, EndCause.NORMAL, 0.0))
        (call,) = await one.ended()
        assert told(engine, failed)[-1] == HangUp()
        assert (call.kind, call.disposition) == ("CALLIN", "MORE")
        well = await greeted(one, board, engine, "in-2")
        board.tell(Ended(well, 2, 5.0, EndCause.NORMAL, 0.0))
        calls = await one.ended(2)
    assert [(call.disposition, call.duration_s) for call in calls] == [("ANSWER", 5), ("MORE", 0)]
    assert await one.live() == []
    assert "a script failed on a call" in caplog.text


async def test_a_call_whose_script_cannot_even_begin_is_hung_up_and_is_missed(
    db: Database, keyring: Keyring
) -> None:
    async with open_shop(db, keyring, GREETING) as (one, board, engine):
        await rows(
            db,
            """UPDATE script_versions SET body = jsonb_set(body, '{start}', '"nowhere"') RETURNING 1""",
        )
        board.rings(one.trunk.id, one.number)
        (call,) = await one.ended()
        assert told(engine, call.leg_id or 0) == [HangUp()]
    assert (call.kind, call.disposition) == ("MISSCALL", "MORE")
    assert await one.live() == []


async def test_a_call_that_ends_while_phones_are_taken_for_it_rings_none_and_holds_none(
    db: Database, keyring: Keyring
) -> None:
    async with open_shop(db, keyring, GREETED_FIRST) as (one, board, engine):
        leg_id = await greeted(one, board, engine)
        connection = await db.dedicated()
        async with connection.transaction():
            await connection.execute("SELECT FROM limits FOR UPDATE")
            board.tell(PlaybackEnded(leg_id, 2, 12.0, 1, True))

            async def is_held_up() -> bool:
                [(waiting,)] = await rows(db, "SELECT count(*) FROM pg_locks WHERE NOT granted")
                return bool(waiting)

            await eventually(is_held_up)
            board.tell(Ended(leg_id, 3, 13.0, EndCause.NORMAL, 0.0))
        await connection.close()
        (call,) = await one.ended()

        async def nothing_held() -> bool:
            return await one.live() == []

        await eventually(nothing_held)
        assert [type(command) for command in told(engine, leg_id)] == [PickUp, Play]
    assert (call.kind, call.disposition) == ("MISSCALL", "CANCEL")
