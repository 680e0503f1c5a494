"""What sessions want reaches engines in the order of each leg, whatever waits and whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.fakes.dialling import until
from tests.fakes.engine import PlayedEngine

from tongdai.domain.live import Commands, NumberedCommand, Transfers
from tongdai.kit.db import Database
from tongdai.ports.telephony import (
    Command,
    EngineUnreachableError,
    HangUp,
    PickUp,
    StartTimer,
    StopPlay,
    Transfer,
)

pytestmark = pytest.mark.anyio

LEG, OTHER = 7, 8
RING = Transfer(1, "842473009999", 20)
LEFT_S = 60.0


def numbered(*commands: Command, first: int = 1) -> list[NumberedCommand]:
    return [NumberedCommand(first + place, command) for place, command in enumerate(commands)]


def told(engine: PlayedEngine, leg_id: int = LEG) -> list[Command]:
    return [command for leg, _, command in engine.commanded if leg == leg_id]


@asynccontextmanager
async def unprepared(db: Database) -> AsyncIterator[None]:
    """No transfer can be prepared until the block ends; then all that were begun have been carried out."""
    before = asyncio.all_tasks()
    connection = await db.dedicated()
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE legs")
            yield
            begun = asyncio.all_tasks() - before
        await asyncio.wait(begun)
    finally:
        await connection.close()


class FailingEngine(PlayedEngine):
    """Some commands make it raise."""

    def __init__(self, error: Exception, *kinds: type[Command]) -> None:
        super().__init__()
        self.error = error
        self.kinds = kinds

    async def command(self, leg_id: int, ordinal: int, command: Command) -> None:
        await super().command(leg_id, ordinal, command)
        if isinstance(command, self.kinds):
            raise self.error


async def test_what_follows_a_transfer_waits_for_it_and_other_calls_wait_for_nothing(db: Database) -> None:
    engine, commands = PlayedEngine(), Commands(Transfers(db))
    async with unprepared(db):
        await commands.tell(engine, LEG, numbered(PickUp(), RING, StopPlay(2)), LEFT_S)
        await commands.tell(engine, LEG, numbered(StopPlay(3), first=4), LEFT_S)
        await commands.tell(engine, OTHER, numbered(StopPlay(4)), LEFT_S)
        assert (told(engine), told(engine, OTHER)) == ([PickUp()], [StopPlay(4)])
    assert told(engine) == [PickUp(), RING, StopPlay(2), StopPlay(3)]
    assert [ordinal for leg, ordinal, _ in engine.commanded if leg == LEG] == [1, 2, 3, 4]


async def test_the_phones_that_ring_are_known_before_they_ring(db: Database) -> None:
    engine = PlayedEngine()
    rung: list[tuple[int, Transfer, int]] = []
    commands = Commands(
        Transfers(db), on_prepared=lambda leg_id, ring: rung.append((leg_id, ring, len(engine.commanded)))
    )
    await commands.tell(engine, LEG, numbered(PickUp(), RING), LEFT_S)
    await until(lambda: len(engine.commanded) == 2)
    assert rung == [(LEG, RING, 1)]


async def test_a_call_is_hung_up_at_once_and_what_was_being_prepared_for_it_is_not_told(db: Database) -> None:
    rung: list[int] = []
    engine = PlayedEngine()
    commands = Commands(Transfers(db), on_prepared=lambda leg_id, _: rung.append(leg_id))
    async with unprepared(db):
        await commands.tell(engine, LEG, numbered(RING, StopPlay(2)), LEFT_S)
        await commands.hang_up(engine, LEG)
        assert told(engine) == [HangUp()]
    assert told(engine) == [HangUp()]
    assert rung == []


async def test_a_call_that_is_taken_up_again_is_told_only_what_its_new_session_wants(db: Database) -> None:
    engine, commands = PlayedEngine(), Commands(Transfers(db))
    async with unprepared(db):
        await commands.tell(engine, LEG, numbered(RING, StopPlay(2)), LEFT_S)
        commands.drop(LEG)
        await commands.tell(engine, LEG, numbered(RING, StopPlay(3)), LEFT_S)
    assert told(engine) == [RING, StopPlay(3)]
    await commands.tell(engine, LEG, numbered(StopPlay(4), first=3), LEFT_S)
    assert told(engine)[2:] == [StopPlay(4)]


@pytest.mark.parametrize("before", [(), (RING,)], ids=["at once", "behind a transfer"])
async def test_a_call_of_which_an_engine_fails_at_a_command_is_hung_up_and_others_go_on(
    db: Database, before: tuple[Command, ...], caplog: pytest.LogCaptureFixture
) -> None:
    engine, commands = FailingEngine(RuntimeError("a defect"), StartTimer), Commands(Transfers(db))
    await commands.tell(engine, LEG, numbered(*before, StartTimer(1, 2.0), StopPlay(2)), LEFT_S)
    await until(lambda: HangUp() in told(engine))
    assert told(engine) == [*before, StartTimer(1, 2.0), HangUp()]
    await commands.tell(engine, OTHER, numbered(StopPlay(4)), LEFT_S)
    assert told(engine, OTHER) == [StopPlay(4)]
    assert "an engine failed at a command" in caplog.text


async def test_an_engine_that_cannot_even_hang_up_is_asked_once_more_and_left_alone(db: Database) -> None:
    engine, commands = FailingEngine(RuntimeError("a defect"), StopPlay, HangUp), Commands(Transfers(db))
    await commands.tell(engine, LEG, numbered(StopPlay(1)), LEFT_S)
    assert told(engine) == [StopPlay(1), HangUp()]


@pytest.mark.parametrize("before", [(), (RING,)], ids=["at once", "behind a transfer"])
async def test_nothing_more_is_told_to_an_engine_that_went_away(
    db: Database, before: tuple[Command, ...]
) -> None:
    """Whoever adopts the leg says it again."""
    engine, commands = FailingEngine(EngineUnreachableError("gone"), StartTimer), Commands(Transfers(db))
    async with unprepared(db):
        await commands.tell(engine, LEG, numbered(*before, StartTimer(1, 2.0), StopPlay(2)), LEFT_S)
        await commands.tell(engine, OTHER, numbered(RING), LEFT_S)  # something to wait for, in any case
    assert told(engine) == [*before, StartTimer(1, 2.0)]


async def test_a_call_does_not_go_on_in_silence_when_its_transfer_cannot_be_noted(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(leg_id: int, prepared: Transfer) -> None:
        raise RuntimeError("a defect")

    engine, commands = PlayedEngine(), Commands(Transfers(db), on_prepared=fails)
    await commands.tell(engine, LEG, numbered(RING, StopPlay(2)), LEFT_S)
    await until(lambda: engine.commanded)
    assert told(engine) == [HangUp()]
    assert "a transfer could not be made" in caplog.text
