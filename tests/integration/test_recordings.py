"""Recordings reach the store whatever is away or dies, and go when their time is over."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from tests import factories
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import rows, until
from tests.fakes.shelf import Shelf, sound, unfinished

from tongdai.adapters import lame
from tongdai.adapters.files import FileStorage
from tongdai.domain import recordings
from tongdai.domain.recordings import (
    Fetcher,
    FetcherConfig,
    NewRecording,
    Recording,
    RecordingNotFoundError,
    Rule,
    mp3_key,
)
from tongdai.domain.recordings.fetching import MOST_DOUBTS
from tongdai.domain.recordings.model import LEASE
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.telephony import RecordingStore

pytestmark = pytest.mark.anyio

NODE, OTHER = "asterisk/1", "asterisk/2"
LATER = timedelta(minutes=16)
"""After the longest delay between two tries."""


@dataclass
class Room:
    """An account, a store, and the nodes that record for it."""

    db: Database
    clock: FakeClock
    storage: FileStorage
    owner: factories.Person
    nodes: dict[str, RecordingStore] = field(default_factory=dict)

    def fetcher(self, **config: int) -> Fetcher:
        async def stores() -> Mapping[str, RecordingStore]:
            return self.nodes

        return Fetcher(
            self.db,
            stores,
            self.storage,
            self.clock,
            make_mp3=lame.make_mp3,
            config=FetcherConfig(**config),
        )

    async def note(
        self, leg_id: int, *, engine: str = NODE, campaign_id: int | None = None, name: str = ""
    ) -> int:
        recording_id = await self.note_any(leg_id, engine=engine, campaign_id=campaign_id, name=name)
        assert recording_id is not None
        return recording_id

    async def note_any(
        self, leg_id: int, *, engine: str = NODE, campaign_id: int | None = None, name: str = ""
    ) -> int | None:
        new = NewRecording(
            account_id=self.owner.account_id,
            leg_id=leg_id,
            engine=engine,
            name=name or f"td-{leg_id}-0",
            kind="call",
            seconds=9.9,
            at=self.clock.now(),
            call_id=leg_id,
            campaign_id=campaign_id,
        )
        async with self.db.transaction() as tx:
            [recording_id] = await recordings.note(tx, [new])
        return recording_id

    async def get(self, recording_id: int) -> Recording:
        async with self.db.transaction() as tx:
            found = await recordings.linked_recording(tx, recording_id)
        assert found is not None
        return found

    async def delete(self, recording_id: int) -> None:
        async with self.db.transaction() as tx:
            await recordings.delete_recording(
                tx, self.owner.account_id, self.owner.user.id, recording_id, self.clock.now()
            )

    async def set_rule(self, rule: Rule | None, campaign_id: int | None = None) -> None:
        async with self.db.transaction() as tx:
            await recordings.set_rule(tx, self.owner.account_id, None, campaign_id, rule, self.clock.now())

    async def work_left(self) -> int:
        [(number,)] = await rows(self.db, "SELECT count(*) FROM recordings WHERE next_try_at IS NOT NULL")
        return int(number)

    def days(self, recording: Recording) -> int | None:
        return None if recording.keep_until is None else (recording.keep_until - recording.created_at).days


@pytest.fixture
async def room(db: Database, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Room:
    owner = (await factories.cast(db, keyring)).owner
    return Room(db, clock, FileStorage(tmp_path / "store"), owner)


class FailingStorage(FileStorage):
    """A store that is away."""

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        raise OSError("no route")


def frames(data: bytes) -> bytes:
    with wave.open(io.BytesIO(data)) as opened:
        sampled: bytes = opened.readframes(opened.getnframes())
        return sampled


# ---------------------------------------------------------------- fetching


async def test_what_was_recorded_is_kept_byte_for_byte_and_then_forgotten_by_its_node(room: Room) -> None:
    node = Shelf({"td-5-0": sound(2.0)})
    data = node.files["td-5-0"]
    room.nodes[NODE] = node
    recording_id = await room.note(5)

    assert await room.fetcher().do_due() == 1

    kept = await room.get(recording_id)
    assert (kept.state, kept.seconds, kept.size_bytes) == ("stored", 2.0, len(data))
    assert kept.storage_key == f"recordings/{room.owner.account_id}/2026/11/{recording_id}.wav"
    assert await room.storage.get(kept.storage_key) == data
    assert node.asked == ["fetch td-5-0", "forget td-5-0"]
    assert await room.work_left() == 0


async def test_a_node_that_is_away_only_delays_however_long(room: Room) -> None:
    node = Shelf({"td-5-0": sound()}, away=True)
    room.nodes[NODE] = node
    recording_id = await room.note(5)
    fetcher = room.fetcher()

    waits = []
    for _ in range(20):
        assert await fetcher.do_due() == 1
        [(wait,)] = await rows(
            room.db, "SELECT extract(epoch FROM next_try_at - %s) FROM recordings", room.clock.now()
        )
        waits.append(int(wait))
        assert await fetcher.do_due() == 0, "before its time"
        room.clock.advance(timedelta(seconds=waits[-1]))
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[-1] == 900
    assert (await room.get(recording_id)).state == "pending"

    node.away = False
    await fetcher.do_due()
    assert (await room.get(recording_id)).state == "stored"


async def test_a_node_that_goes_away_in_the_middle_of_a_file_leaves_no_half_of_it(room: Room) -> None:
    class Leaving(Shelf):
        async def _pieces(self, name: str) -> AsyncIterator[bytes]:
            self.away = True
            async for piece in super()._pieces(name):
                yield piece

    node = Leaving({"td-5-0": sound(3.0)})
    room.nodes[NODE] = node
    recording_id = await room.note(5)

    await room.fetcher().do_due()

    kept = await room.get(recording_id)
    assert kept.state == "pending"
    assert not await room.storage.exists(kept.storage_key)
    assert node.times("forget td-5-0") == 0


async def test_a_node_that_is_away_holds_up_no_other(room: Room) -> None:
    away, there = Shelf(away=True), Shelf({f"td-{leg}-0": sound() for leg in range(30, 40)})
    room.nodes |= {NODE: away, OTHER: there}
    for leg in range(20, 30):
        await room.note(leg)
    for leg in range(30, 40):
        await room.note(leg, engine=OTHER)

    await room.fetcher(at_once=1).do_due()

    assert len(away.asked) == 1, "asked once in a pass"
    [(stored,)] = await rows(room.db, "SELECT count(*) FROM recordings WHERE state = 'stored'")
    assert stored == 10


async def test_a_recording_that_its_node_does_not_have_is_lost_only_when_it_was_looked_for_often(
    room: Room,
) -> None:
    room.nodes[NODE] = Shelf()
    recording_id = await room.note(5)
    fetcher = room.fetcher()

    for _ in range(MOST_DOUBTS - 1):
        await fetcher.do_due()
        assert (await room.get(recording_id)).state == "pending"
        room.clock.advance(LATER)
    await fetcher.do_due()

    lost = await room.get(recording_id)
    assert (lost.state, lost.reason) == ("lost", "not_at_node")
    assert await room.work_left() == 0


async def test_a_node_that_was_away_for_long_is_not_taken_at_its_first_word(room: Room) -> None:
    node = Shelf(away=True)
    room.nodes[NODE] = node
    recording_id = await room.note(5)
    fetcher = room.fetcher()
    for _ in range(MOST_DOUBTS + 3):
        await fetcher.do_due()
        room.clock.advance(LATER)

    node.away = False  # its disk comes later
    await fetcher.do_due()
    assert (await room.get(recording_id)).state == "pending"

    node.files["td-5-0"] = sound()
    room.clock.advance(LATER)
    await fetcher.do_due()
    assert (await room.get(recording_id)).state == "stored"


async def test_a_store_that_fails_leaves_the_recording_at_its_node(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    node = Shelf({"td-5-0": sound()})
    room.nodes[NODE] = node
    recording_id = await room.note(5)
    good, room.storage = room.storage, FailingStorage(Path("/nowhere"))
    await room.fetcher().do_due()
    assert (await room.get(recording_id)).state == "pending"
    assert node.times("forget td-5-0") == 0

    room.storage = good
    room.clock.advance(LATER)
    await room.fetcher().do_due()
    assert (await room.get(recording_id)).state == "stored"


async def test_a_recording_whose_writer_died_is_kept_with_a_header_that_is_right(room: Room) -> None:
    whole = sound(2.0)
    room.nodes[NODE] = Shelf({"td-5-0": unfinished(whole)})
    recording_id = await room.note(5)
    fetcher = room.fetcher()

    for _ in range(MOST_DOUBTS - 1):
        await fetcher.do_due()
        assert (await room.get(recording_id)).state == "pending", "its writer may be at it still"
        room.clock.advance(LATER)
    await fetcher.do_due()

    kept = await room.get(recording_id)
    assert (kept.state, kept.reason, kept.seconds) == ("stored", "cut_off", 2.0)
    assert frames(await room.storage.get(kept.storage_key)) == frames(whole)


@pytest.mark.parametrize(
    ("data", "reason"), [(b"RIFF, or so", "not_a_wav"), (sound(0), "empty"), (b"", "not_a_wav")]
)
async def test_what_is_no_sound_is_lost_and_stays_at_the_node_for_people_to_look_at(
    room: Room, data: bytes, reason: str
) -> None:
    node = Shelf({"td-5-0": data})
    room.nodes[NODE] = node
    recording_id = await room.note(5)
    fetcher = room.fetcher()

    for _ in range(MOST_DOUBTS):
        await fetcher.do_due()
        room.clock.advance(LATER)

    lost = await room.get(recording_id)
    assert (lost.state, lost.reason) == ("lost", reason)
    assert "td-5-0" in node.files
    assert await fetcher.find_unknown() == 0


async def test_what_is_stored_is_forgotten_by_its_node_when_that_is_back(room: Room) -> None:
    class Deaf(Shelf):
        async def forget(self, name: str) -> None:
            self.away = True
            await super().forget(name)

    node = Deaf({"td-5-0": sound()})
    room.nodes[NODE] = node
    recording_id = await room.note(5)
    await room.fetcher().do_due()
    assert (await room.get(recording_id)).state == "stored"
    assert "td-5-0" in node.files

    room.nodes[NODE] = again = Shelf(node.files)
    room.clock.advance(LATER)
    await room.fetcher().do_due()
    assert again.asked == ["forget td-5-0"], "it is not fetched again"
    assert await room.work_left() == 0


async def test_a_worker_that_dies_leaves_its_work_to_others(room: Room) -> None:
    class Endless(Shelf):
        async def fetch(self, name: str) -> AsyncIterator[bytes]:
            self.asked.append(name)
            await asyncio.Event().wait()
            raise AssertionError

    hanging = Endless()
    room.nodes[NODE] = hanging
    recording_id = await room.note(5)
    dying = asyncio.create_task(room.fetcher().do_due())
    await until(lambda: hanging.asked)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    room.nodes[NODE] = Shelf({"td-5-0": sound()})
    assert await room.fetcher().do_due() == 0, "it is claimed still"
    room.clock.advance(LEASE)
    assert await room.fetcher().do_due() == 1
    assert (await room.get(recording_id)).state == "stored"


async def test_many_workers_fetch_each_recording_once(room: Room) -> None:
    node = Shelf({f"td-{leg}-0": sound() for leg in range(1, 61)})
    room.nodes[NODE] = node
    for leg in range(1, 61):
        await room.note(leg)

    done = await asyncio.gather(*(room.fetcher(batch=10).do_due() for _ in range(8)))

    assert sum(done) == 60
    assert len(node.asked) == len(set(node.asked)) == 120
    assert node.files == {}


# ---------------------------------------------------------------- files that no row knows


async def ended_leg(room: Room, leg_id: int, *, state: str = "ended", engine: str = NODE) -> None:
    """A leg of a campaign's call, past all services."""
    await rows(
        room.db,
        """INSERT INTO legs (id, account_id, call_id, attempt_id, kind, state, trunk_id, hotline_id, engine,
                             dialer_id, number, limit_ids, dial_at, dial_before, gives_up_at, ended_at)
           VALUES (%s, %s, 88, 99, 'outbound', %s, 1, 1, %s, 1, '84912345678', '{}', %s, %s, %s, %s)
           RETURNING 1""",
        leg_id,
        room.owner.account_id,
        state,
        engine,
        *[room.clock.now()] * 3,
        room.clock.now() if state == "ended" else None,
    )


async def test_recordings_of_ends_that_nobody_heard_are_taken_in(room: Room) -> None:
    await ended_leg(room, 5)
    await ended_leg(room, 6, state="unknown")
    await ended_leg(room, 7, engine=OTHER)
    await ended_leg(room, 8)
    await room.note(8)
    names = ["td-5-0", "td-5-3", "td-6-0", "td-7-0", "td-8-0", "td-404-0", "voicemail", "td-5-x", "td-0-1"]
    room.nodes[NODE] = Shelf({name: sound() for name in names})
    fetcher = room.fetcher()
    assert await fetcher.find_unknown() == 0, "whoever drives the leg may be about to write them down"

    room.clock.advance(timedelta(minutes=2))
    assert await fetcher.find_unknown() == 2
    assert await fetcher.find_unknown() == 0

    found = await rows(
        room.db,
        "SELECT name, kind, account_id, call_id, attempt_id FROM recordings WHERE leg_id = 5 ORDER BY 1",
    )
    mine = room.owner.account_id
    assert found == [("td-5-0", "call", mine, 88, 99), ("td-5-3", "step", mine, 88, 99)]
    await fetcher.do_due()
    stored = await rows(room.db, "SELECT name FROM recordings WHERE state = 'stored' ORDER BY 1")
    assert [name for (name,) in stored] == ["td-5-0", "td-5-3", "td-8-0"]


async def test_what_was_recorded_of_a_call_that_came_in_is_that_calls(room: Room) -> None:
    await ended_leg(room, 5)
    line = await factories.hotline(room.db, room.owner.account_id)
    [(incoming_id,)] = await rows(
        room.db,
        """WITH leg AS (UPDATE legs SET kind = 'inbound', call_id = NULL, attempt_id = NULL WHERE id = 5)
           INSERT INTO inbound_calls (account_id, hotline_id, trunk_id, leg_id, caller, caller_given,
                                      called_given, state, kind, came_at, ended_at)
           VALUES (%s, %s, %s, 5, '', '', '', 'ended', 'CALLIN', %s, %s) RETURNING id""",
        room.owner.account_id,
        line.id,
        line.trunk_id,
        *[room.clock.now()] * 2,
    )
    room.nodes[NODE] = Shelf({"td-5-0": sound()})
    room.clock.advance(timedelta(minutes=2))

    assert await room.fetcher().find_unknown() == 1

    async with room.db.transaction() as tx:
        [found] = await recordings.of_incoming_calls(tx, room.owner.account_id, [incoming_id])
    assert (found.kind, found.call_id, found.leg_id) == ("inbound", None, 5)


async def test_a_file_is_taken_in_once_by_however_many_workers(room: Room) -> None:
    for leg in range(1, 21):
        await ended_leg(room, leg)
    room.nodes[NODE] = Shelf({f"td-{leg}-0": sound() for leg in range(1, 21)})
    room.clock.advance(timedelta(minutes=2))

    taken = await asyncio.gather(*(room.fetcher().find_unknown() for _ in range(6)))

    assert sum(taken) == 20
    assert await rows(room.db, "SELECT count(*) FROM recordings") == [(20,)]


# ---------------------------------------------------------------- one-time codes


async def test_a_call_with_a_one_time_code_is_never_heard_and_is_deleted_at_its_node(room: Room) -> None:
    otp = await factories.campaign(room.db, room.owner, kind="otp")
    node = Shelf({"td-5-0": sound()})
    room.nodes[NODE] = node

    assert await room.note_any(5, campaign_id=otp.id) is None

    await room.fetcher().do_due()
    assert node.asked == ["forget td-5-0"]
    assert node.files == {}
    async with room.db.transaction() as tx:
        assert await recordings.of_calls(tx, room.owner.account_id, [5]) == []
    assert not list(room.storage.path("recordings").rglob("*"))


# ---------------------------------------------------------------- deleting


async def test_a_deleted_recording_is_gone_from_every_answer_and_soon_from_the_store(room: Room) -> None:
    room.nodes[NODE] = Shelf({"td-5-0": sound()})
    recording_id = await room.note(5)
    fetcher = room.fetcher()
    await fetcher.do_due()
    kept = await room.get(recording_id)
    await room.storage.put(mp3_key(kept.storage_key), b"mp3")

    await room.delete(recording_id)

    async with room.db.transaction() as tx:
        with pytest.raises(RecordingNotFoundError):
            await recordings.get_recording(tx, room.owner.account_id, recording_id)
        assert await recordings.of_calls(tx, room.owner.account_id, [5]) == []
    await fetcher.do_due()
    assert not await room.storage.exists(kept.storage_key)
    assert not await room.storage.exists(mp3_key(kept.storage_key))
    assert await room.work_left() == 0


async def test_what_is_deleted_before_it_was_fetched_is_deleted_at_its_node(room: Room) -> None:
    node = Shelf({"td-5-0": sound()})
    room.nodes[NODE] = node
    recording_id = await room.note(5)
    await room.delete(recording_id)

    await room.fetcher().do_due()

    assert node.asked == ["forget td-5-0"]
    assert await room.work_left() == 0


async def test_what_is_deleted_while_it_is_fetched_leaves_no_file(room: Room) -> None:
    recording_id = 0

    class Slow(Shelf):
        async def _pieces(self, name: str) -> AsyncIterator[bytes]:
            async for piece in super()._pieces(name):
                yield piece
            await room.delete(recording_id)

    node = Slow({"td-5-0": sound()})
    room.nodes[NODE] = node
    recording_id = await room.note(5)
    fetcher = room.fetcher()
    await fetcher.do_due()

    gone = await room.get(recording_id)
    assert gone.state == "deleted"
    assert not await room.storage.exists(gone.storage_key)
    room.clock.advance(LEASE)
    await fetcher.do_due()
    assert node.files == {}
    assert await room.work_left() == 0


async def test_what_a_node_held_that_was_removed_is_lost_and_no_work_is_left(room: Room) -> None:
    pending, stored, deleted = await room.note(5), await room.note(6), await room.note(7)
    await room.delete(deleted)
    await rows(room.db, "UPDATE recordings SET state = 'stored' WHERE id = %s RETURNING 1", stored)
    for _ in range(MOST_DOUBTS):
        assert (await room.get(pending)).state == "pending"
        await room.fetcher().do_due()
        room.clock.advance(LATER)

    states = [(await room.get(one)).state for one in (pending, stored, deleted)]
    assert states == ["lost", "stored", "deleted"]
    assert (await room.get(pending)).reason == "node_removed"
    assert await room.work_left() == 0


async def test_a_stranger_deletes_nothing(room: Room, keyring: Keyring) -> None:
    recording_id = await room.note(5)
    stranger = (await factories.cast(room.db, keyring)).stranger
    async with room.db.transaction() as tx:
        with pytest.raises(RecordingNotFoundError):
            await recordings.delete_recording(
                tx, stranger.account_id, stranger.user.id, recording_id, room.clock.now()
            )
    assert (await room.get(recording_id)).state == "pending"


# ---------------------------------------------------------------- rules


async def test_recordings_are_kept_by_their_campaigns_rule_or_the_accounts_or_for_ninety_days(
    room: Room,
) -> None:
    campaign = await factories.campaign(room.db, room.owner)
    by_default = await room.get(await room.note(1, campaign_id=campaign.id))
    await room.set_rule(Rule(30))
    by_account = await room.get(await room.note(2, campaign_id=campaign.id))
    await room.set_rule(Rule(None, mp3=True), campaign.id)
    by_campaign = await room.get(await room.note(3, campaign_id=campaign.id))
    other = await room.get(await room.note(4))

    assert [room.days(one) for one in (by_default, by_account, by_campaign, other)] == [90, 30, None, 30]
    assert [one.mp3 for one in (by_default, by_account, by_campaign, other)] == ["no", "no", "wanted", "no"]


async def test_what_was_recorded_before_a_rule_changes_follows_it(room: Room) -> None:
    campaign = await factories.campaign(room.db, room.owner)
    of_campaign, of_account = await room.note(1, campaign_id=campaign.id), await room.note(2)

    async def kept() -> tuple[int | None, int | None]:
        await recordings.follow_rules(room.db, room.clock.now())
        return room.days(await room.get(of_campaign)), room.days(await room.get(of_account))

    await room.set_rule(Rule(30))
    assert await kept() == (90, 90), "somebody may be writing down one by the rule before"
    room.clock.advance(timedelta(minutes=1))
    assert await kept() == (30, 30)
    await room.set_rule(Rule(None), campaign.id)
    room.clock.advance(timedelta(minutes=1))
    assert await kept() == (None, 30)
    await room.set_rule(Rule(7))
    room.clock.advance(timedelta(minutes=1))
    assert await kept() == (None, 7)
    await room.set_rule(None, campaign.id)
    room.clock.advance(timedelta(minutes=1))
    assert await kept() == (7, 7)


async def test_recordings_go_when_their_time_is_over_and_not_before(room: Room) -> None:
    room.nodes[NODE] = Shelf({f"td-{leg}-0": sound() for leg in (1, 2)})
    await room.set_rule(Rule(10))
    first = await room.note(1)
    room.clock.advance(timedelta(days=1))
    second = await room.note(2)
    fetcher = room.fetcher()
    await fetcher.do_due()

    room.clock.advance(timedelta(days=9, seconds=-1))
    assert await recordings.expire(room.db, room.clock.now()) == 0
    room.clock.advance(timedelta(seconds=1))
    assert await recordings.expire(room.db, room.clock.now()) == 1

    assert [(await room.get(one)).state for one in (first, second)] == ["deleted", "stored"]
    assert (await room.get(first)).reason == "kept_long_enough"
    await fetcher.do_due()
    assert not await room.storage.exists((await room.get(first)).storage_key)
    assert await room.storage.exists((await room.get(second)).storage_key)


# ---------------------------------------------------------------- mp3


async def test_an_mp3_is_made_where_the_rule_wants_one(room: Room) -> None:
    room.nodes[NODE] = Shelf({"td-5-0": sound(10.0), "td-6-0": sound(1.0)})
    without = await room.note(6)
    await room.set_rule(Rule(mp3=True))
    recording_id = await room.note(5)
    fetcher = room.fetcher()
    assert await fetcher.make_due_mp3s() == 0, "there is no wav yet"
    await fetcher.do_due()

    assert await fetcher.make_due_mp3s() == 1

    made = await room.get(recording_id)
    assert (made.mp3, made.formats) == ("made", ("wav", "mp3"))
    data = await room.storage.get(mp3_key(made.storage_key))
    assert made.mp3_bytes == len(data)
    assert data[0] == 0xFF, "a frame of MPEG audio"
    assert data[1] & 0xE0 == 0xE0
    assert 25_000 < len(data) < 35_000, "24 kbit/s"
    assert (await room.get(without)).mp3 == "no"


async def test_what_no_mp3_can_be_made_of_stays_a_wav(room: Room) -> None:
    room.nodes[NODE] = Shelf({"td-5-0": sound()})
    await room.set_rule(Rule(mp3=True))
    recording_id = await room.note(5)
    fetcher = room.fetcher()
    await fetcher.do_due()
    await room.storage.put((await room.get(recording_id)).storage_key, b"RIFF....WAVEnonsense")

    assert await fetcher.make_due_mp3s() == 1

    failed = await room.get(recording_id)
    assert (failed.mp3, failed.formats) == ("failed", ("wav",))
    assert await fetcher.make_due_mp3s() == 0


# ---------------------------------------------------------------- figures


async def test_it_is_known_how_many_wait_and_for_how_long(room: Room) -> None:
    async def waiting() -> tuple[int, float]:
        async with room.db.autocommit() as connection:
            found = await recordings.waiting(connection, room.clock.now())
        return found.number, found.oldest_s

    assert await waiting() == (0, 0)
    await room.note(1)
    room.clock.advance(timedelta(seconds=30))
    await room.note(2)
    assert await waiting() == (2, 30)
    room.nodes[NODE] = Shelf({"td-1-0": sound()})
    await room.fetcher().do_due()
    assert await waiting() == (1, 0)
