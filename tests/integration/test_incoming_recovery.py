"""Calls that came in outlive the desk that took them, the engine that carries them, and the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from tests import factories
from tests.fakes.answering import GREETING, MENU, SOON, Shop, answering, shop, transfer
from tests.fakes.dialling import eventually, rows, until
from tests.fakes.switchboard import PlayedSwitch, Switchboard

from tongdai.domain.inbound import Desk, DeskConfig, Rules
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Digit,
    EndCause,
    Ended,
    HangUp,
    LegKnowledge,
    PickUp,
    Play,
    PlaybackEnded,
    RecordingEnded,
    StartRecording,
    Transfer,
    TransferEnded,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def board() -> Switchboard:
    return Switchboard()


@asynccontextmanager
async def desk(
    db: Database, keyring: Keyring, board: Switchboard, config: DeskConfig = SOON
) -> AsyncIterator[tuple[PlayedSwitch, Desk]]:
    """A dialer with a desk on a client of its own."""
    engine = board.client()
    async with answering(db, keyring, {"sandbox": engine}, config=config) as one:
        yield engine, one


async def the_shop(db: Database, script: dict[str, object] | None = None) -> Shop:
    owner = (await factories.cast(db)).owner
    return await shop(db, owner.account_id, MENU if script is None else script)


async def taken(board: Switchboard, one: Shop, channel: str = "in-1") -> int:
    """Somebody calls, and is taken. The leg."""
    await until(lambda: board.hearer is not None)
    board.rings(one.trunk.id, one.number, channel=channel)
    await until(lambda: channel in board.accepted)
    return board.leg(channel)


async def leg_state(db: Database, leg_id: int) -> str:
    [(state,)] = await rows(db, "SELECT state FROM legs WHERE id = %s", leg_id)
    return str(state)


def answered(leg_id: int) -> Answered:
    return Answered(leg_id, 1, 0.1, 0.1, AnsweredBy.UNKNOWN)


# ---------------------------------------------------------------- the order of things


async def test_a_call_and_its_leg_are_written_down_before_it_is_accepted(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board) as (engine, _):
        engine.answers = False
        await until(lambda: board.hearer is not None)
        board.rings(one.trunk.id, one.number)

        async def written() -> list[tuple[object, ...]]:
            return await rows(db, "SELECT kind, state, channel FROM legs")

        assert await eventually(written) == [("inbound", "committed", "in-1")]
        assert [call.state for call in await one.calls()] == ["ringing"]
        assert await one.live() == [1, 1, 1]


async def test_a_script_that_speaks_first_picks_up_and_waits_for_the_answer_to_speak(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db, GREETING)
    async with desk(db, keyring, board) as (engine, _):
        leg_id = await taken(board, one)
        await until(lambda: len(engine.commanded) == 1)
        assert engine.commands() == [PickUp()]
        board.tell(answered(leg_id))
        await until(lambda: len(engine.commanded) == 2)
        assert isinstance(engine.commands()[1], Play)

        async def talking() -> bool:
            return [call.state for call in await one.calls()] == ["talking"]

        await eventually(talking)


async def test_a_caller_who_gave_up_before_the_acceptance_is_missed(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board):
        await until(lambda: board.hearer is not None)
        board.rings(one.trunk.id, one.number)
        board.ringing.clear()
        (call,) = await one.ended()
    assert (call.kind, call.disposition) == ("MISSCALL", "CANCEL")
    assert await one.live() == []


async def test_a_message_that_was_left_makes_an_unanswered_transfer_a_callin(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    script = transfer("0987654002", on_failed="record", record={"kind": "record", "max_s": 20})
    one = await the_shop(db, script)
    async with desk(db, keyring, board) as (engine, _):
        leg_id = await taken(board, one)
        await until(lambda: any(isinstance(command, Transfer) for command in engine.commands()))
        board.tell(TransferEnded(leg_id, 1, 20.0, 1, False, 0.0))
        await until(lambda: engine.commands()[-1] == PickUp())
        board.tell(Answered(leg_id, 2, 20.1, 20.1, AnsweredBy.UNKNOWN))
        await until(lambda: isinstance(engine.commands()[-1], Play))
        board.tell(PlaybackEnded(leg_id, 3, 24.0, 2, True))
        await until(lambda: isinstance(engine.commands()[-1], StartRecording))
        board.tell(RecordingEnded(leg_id, 4, 30.0, 3, 6.0, f"td-{leg_id}-3"))
        await until(lambda: isinstance(engine.commands()[-1], HangUp))
        board.tell(Ended(leg_id, 5, 30.1, EndCause.NORMAL, 20.1))
        (call,) = await one.ended()
    assert (call.kind, call.disposition) == ("CALLIN", "ANSWER")
    kept = await rows(db, "SELECT kind, name, incoming_call_id, step_id FROM recordings")
    assert kept == [("inbound", f"td-{leg_id}-3", call.id, "record")]


# ---------------------------------------------------------------- who hears


async def test_one_desk_at_a_time_hears_a_node_and_another_when_it_is_gone(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board) as (first, _):
        await until(lambda: board.hearer is first)
        async with desk(db, keyring, board) as (second, _):
            leg_id = await taken(board, one)
            assert board.accepted["in-1"] == (leg_id, first)
            first.go_away()
            await until(lambda: board.hearer is second)
            first.come_back()
            await taken(board, one, "in-2")
            assert board.accepted["in-2"][1] is second


async def test_a_keeper_hears_calls_again_after_one_before_it_asked_for_them_and_went(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board) as (keeper, _):
        await taken(board, one)
        earlier = board.client()
        await earlier.hear_incoming(True)
        await earlier.hear_incoming(False)
        board.rings(one.trunk.id, one.number, channel="in-2")
        await until(lambda: "in-2" in board.accepted)
        assert board.accepted["in-2"][1] is keeper


async def test_calls_that_rang_while_nobody_heard_them_are_taken_by_the_first_who_does(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    board.rings(one.trunk.id, one.number)
    async with desk(db, keyring, board):
        await until(lambda: "in-1" in board.accepted)
    assert len(await one.calls()) == 1


async def test_a_call_that_was_written_down_but_not_accepted_keeps_its_leg(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    slow = replace(SOON, rules=Rules(accept_within=timedelta(seconds=30)))
    async with desk(db, keyring, board, slow) as (engine, _):
        engine.answers = False
        await until(lambda: board.hearer is not None)
        board.rings(one.trunk.id, one.number)

        async def written() -> list[tuple[object, ...]]:
            return await rows(db, "SELECT id FROM legs")

        [(leg_id,)] = await eventually(written)
    async with desk(db, keyring, board, slow) as (second, _):
        await until(lambda: board.accepted.get("in-1") == (leg_id, second))
    assert len(await one.calls()) == 1
    assert sorted(await one.live()) == [1, 1, 1]


# ---------------------------------------------------------------- what becomes of calls that nobody drives


async def test_a_call_is_adopted_by_another_desk_and_goes_on_where_it_was(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board) as (first, _):
        leg_id = await taken(board, one)
        board.tell(answered(leg_id))
        await until(lambda: len(first.commanded) == 2)
    async with desk(db, keyring, board) as (second, _):
        second.knows = LegKnowledge.REPLAYED
        await until(lambda: second.adopted == [leg_id])
        board.accepted["in-1"] = leg_id, second
        board.tell(answered(leg_id))
        board.tell(Digit(leg_id, 2, 3.1, "2"))
        await until(lambda: any(isinstance(command, HangUp) for command in second.commands()))
        board.tell(Ended(leg_id, 3, 3.2, EndCause.NORMAL, 0.1))
        (call,) = await one.ended()
    assert [(ordinal, command) for _, ordinal, command in sorted(second.commanded)[:2]] == [
        (1, PickUp()),
        (2, first.commands()[1]),
    ]
    assert (call.kind, call.end_code, call.key_press) == ("CALLIN", "booked", "2 (3)")
    assert await one.live() == []


@pytest.mark.parametrize(
    ("knowledge", "disposition"), [(LegKnowledge.NEVER_SEEN, "CANCEL"), (LegKnowledge.FORGOTTEN, "MORE")]
)
async def test_what_a_node_does_not_know_of_ends_and_frees_its_channels(
    db: Database, keyring: Keyring, board: Switchboard, knowledge: LegKnowledge, disposition: str
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board):
        await taken(board, one)
    async with desk(db, keyring, board) as (second, _):
        second.knows = knowledge
        (call,) = await one.ended()
    assert (call.kind, call.disposition) == ("MISSCALL", disposition)
    assert await one.live() == []


async def test_a_call_that_was_picked_up_and_whose_end_is_unknown_was_no_missed_one(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board):
        board_leg = await taken(board, one)
        board.tell(answered(board_leg))

        async def talking() -> bool:
            return [call.state for call in await one.calls()] == ["talking"]

        await eventually(talking)
    async with desk(db, keyring, board) as (second, _):
        second.knows = LegKnowledge.FORGOTTEN
        (call,) = await one.ended()
    assert (call.kind, call.disposition) == ("CALLIN", "MORE")


async def test_a_call_keeps_its_channels_while_its_node_cannot_be_asked_and_is_adopted_when_it_can(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board) as (engine, _):
        leg_id = await taken(board, one)
        engine.go_away()

        async def unknown() -> bool:
            return await leg_state(db, leg_id) == "unknown"

        await eventually(unknown)
        assert await one.live() == [1, 1, 1]
        engine.knows = LegKnowledge.REPLAYED
        engine.come_back()
        await until(lambda: leg_id in engine.adopted)
        board.tell(answered(leg_id))
        board.tell(Ended(leg_id, 2, 4.0, EndCause.NORMAL, 0.1))
        (call,) = await one.ended()
    assert (call.kind, call.duration_s) == ("CALLIN", 4)
    assert await one.live() == []


async def test_a_call_whose_node_never_comes_back_is_given_up_at_its_limit(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    short = replace(SOON, rules=replace(SOON.rules, max_s=0.5, end_margin=timedelta(seconds=0.5)))
    async with desk(db, keyring, board, short) as (engine, _):
        await taken(board, one)
        engine.go_away()
        (call,) = await one.ended()
    assert (call.kind, call.disposition) == ("MISSCALL", "MORE")
    assert await one.live() == []


async def test_calls_of_a_desk_that_lost_its_connection_go_on_under_a_new_keeper_number(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board) as (engine, _):
        leg_id = await taken(board, one)
        [(before,)] = await rows(db, "SELECT dialer_id FROM legs")
        await rows(
            db,
            """SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7342
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
        )

        async def renumbered() -> bool:
            [(now,)] = await rows(db, "SELECT dialer_id FROM legs")
            return bool(now != before)

        await eventually(renumbered)
        board.tell(answered(leg_id))
        board.tell(Ended(leg_id, 2, 4.0, EndCause.NORMAL, 0.1))
        (call,) = await one.ended()
        assert engine.adopted == []
    assert (call.kind, call.duration_s) == ("CALLIN", 4)


async def test_an_end_that_comes_while_the_database_is_away_is_written_when_it_is_back(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    one = await the_shop(db)
    async with desk(db, keyring, board):
        leg_id = await taken(board, one)
        async with db.transaction() as tx:
            await tx.execute("SELECT FROM legs WHERE id = %s FOR UPDATE", [leg_id])
            board.tell(answered(leg_id))
            board.tell(Ended(leg_id, 2, 4.0, EndCause.NORMAL, 0.1))
            assert [call.state for call in await one.calls()] != ["ended"]
        (call,) = await one.ended()
    assert call.kind == "CALLIN"


async def test_a_dialer_leaves_the_calls_of_desks_alone(
    db: Database, keyring: Keyring, board: Switchboard
) -> None:
    """Recovery of what was dialled neither adopts nor ends what came in, whoever died."""
    one = await the_shop(db)
    async with desk(db, keyring, board) as (engine, _):
        leg_id = await taken(board, one)
        await rows(
            db, "UPDATE legs SET dial_before = now() - interval '1 hour' WHERE id = %s RETURNING 1", leg_id
        )
        async with desk(db, keyring, board) as (other, _):
            board.rings(one.trunk.id, one.number, channel="in-2")
            await until(lambda: "in-2" in board.accepted)
            assert other.adopted == engine.adopted == []
        assert await leg_state(db, leg_id) == "committed"
