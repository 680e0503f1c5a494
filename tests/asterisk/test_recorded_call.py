"""A real call is recorded: what the person heard is in the store, and nothing of it is left at the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests import factories
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import eventually
from tests.fakes.ear import hearing
from tests.fakes.one_trunk import Trunks
from tests.fakes.real_calls import about
from tests.fakes.sipp import SippPhone
from tests.fakes.sound import load_wav, save_alaw, share_heard, speech

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.adapters.asterisk.stored import StoredRecordings
from tongdai.adapters.files import FileStorage
from tongdai.domain import recordings
from tongdai.domain.recordings import Fetcher, NewRecording
from tongdai.kit.db import Database
from tongdai.ports.speech import Sound
from tongdai.ports.telephony import (
    Answered,
    Command,
    DialRequest,
    EngineRefusedError,
    EngineUnreachableError,
    HangUp,
    LegEvent,
    Play,
    PlaybackEnded,
    PromptItem,
    RecordCall,
    RecordingEnded,
    RecordingStore,
    Speech,
)

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

LEG, TRUNK = 9_000_000_001, 3
SPOKEN = speech(3.0)


class OneSound:
    """`Sounds` that knows one sentence."""

    def __init__(self, folder: Path) -> None:
        save_alaw(folder / "spoken.alaw", [SPOKEN])

    async def sounds(self, items: Sequence[PromptItem]) -> Sequence[Sound]:
        return [Sound("spoken", 3.0)]


def is_recorded(event: LegEvent) -> Sequence[Command]:
    match event:
        case Answered():
            return (RecordCall(0), Play(1, (Speech("…"),)))
        case PlaybackEnded():
            return (HangUp(),)
    return ()


async def test_what_the_person_heard_is_what_was_recorded(
    asterisk: AsteriskInstance, db: Database, clock: FakeClock, tmp_path: Path
) -> None:
    with SippPhone(trunk=TRUNK) as phone:
        engine = AsteriskEngine(asterisk.node, Trunks(phone.sip_trunk(TRUNK)), OneSound(asterisk.sounds))
        async with hearing(engine, is_recorded) as ear, StoredRecordings(asterisk.node) as stored:
            await ear.until_connected()
            before = datetime.now(UTC) + timedelta(seconds=20)
            await engine.originate(
                DialRequest(LEG, TRUNK, "0912345001", "02473000000", 30.0, 60.0, False, before)
            )
            await ear.until_heard(LEG, Answered)
            given_out_early = await eventually(lambda: is_given_out(stored))
            assert given_out_early == "not yet"
            await ear.until_ended(LEG)
            ended = await ear.until_heard(LEG, RecordingEnded)
            assert isinstance(ended, RecordingEnded)
            assert ended.storage_key == f"td-{LEG}-0"
            owner = (await factories.cast(db)).owner
            new = NewRecording(
                owner.account_id,
                LEG,
                asterisk.node.engine,
                ended.storage_key,
                "call",
                ended.seconds,
                clock.now(),
            )
            async with db.transaction() as tx:
                [recording_id] = await recordings.note(tx, [new])
            await fetched(db, clock, asterisk, stored, tmp_path)
            left = await stored.names()

    async with db.transaction() as tx:
        kept = await recordings.get_recording(tx, owner.account_id, recording_id or 0)
    assert left == []
    assert (kept.state, kept.reason) == ("stored", None)
    assert ended.seconds == about(kept.seconds)
    heard = load_wav(tmp_path / kept.storage_key)
    assert share_heard(SPOKEN, heard) > 0.75
    assert len(heard) / 8000 == kept.seconds


async def is_given_out(stored: StoredRecordings) -> str | None:
    """None: it has not begun."""
    try:
        await stored.fetch(f"td-{LEG}-0")
    except EngineRefusedError:
        return None
    except EngineUnreachableError:
        return "not yet"
    return "yes"


async def fetched(
    db: Database, clock: FakeClock, asterisk: AsteriskInstance, stored: StoredRecordings, folder: Path
) -> None:
    async def now() -> Mapping[str, RecordingStore]:
        return {asterisk.node.engine: stored}

    assert await Fetcher(db, now, FileStorage(folder), clock).do_due() == 1
