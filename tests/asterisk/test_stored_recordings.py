"""What a real Asterisk keeps is fetched from it, whole, and forgotten by it, though it dies meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests import factories
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import eventually, rows, until
from tests.fakes.shelf import sound

from tongdai.adapters.asterisk.stored import StoredRecordings
from tongdai.adapters.files import FileStorage
from tongdai.bootstrap import NodeRecordings
from tongdai.domain import recordings, routing
from tongdai.domain.recordings import Fetcher, NewRecording
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.telephony import EngineRefusedError, EngineUnreachableError, RecordingStore

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

ANSWER_S = 0.5


@pytest.fixture
async def stored(asterisk: AsteriskInstance) -> AsyncIterator[StoredRecordings]:
    async with StoredRecordings(asterisk.node) as client:
        for name in await client.names():
            await client.forget(name)
        yield client


def put(asterisk: AsteriskInstance, name: str, data: bytes) -> None:
    (asterisk.folder / "spool" / "recording" / f"{name}.wav").write_bytes(data)


async def fetched(stored: StoredRecordings, name: str) -> bytes:
    return b"".join([piece async for piece in await stored.fetch(name)])


async def test_a_recording_comes_byte_for_byte_and_is_forgotten(
    asterisk: AsteriskInstance, stored: StoredRecordings
) -> None:
    data = sound(60.0)
    put(asterisk, "td-5-0", data)
    put(asterisk, "td-6-2", sound(1.0))
    put(asterisk, "somebody-elses", sound(1.0))

    assert sorted(await stored.names()) == ["td-5-0", "td-6-2"]
    assert await fetched(stored, "td-5-0") == data
    await stored.forget("td-5-0")
    await stored.forget("td-5-0")

    assert await stored.names() == ["td-6-2"]
    with pytest.raises(EngineRefusedError):
        await stored.fetch("td-5-0")


async def test_a_node_that_does_not_answer_is_unreachable_in_time(
    asterisk: AsteriskInstance, stored: StoredRecordings
) -> None:
    put(asterisk, "td-5-0", sound(1.0))
    asterisk.freeze()
    try:
        async with StoredRecordings(asterisk.node, answer_timeout_s=ANSWER_S) as hasty:
            for asked in (hasty.names(), hasty.fetch("td-5-0"), hasty.forget("td-7-0")):
                before = time.monotonic()
                with pytest.raises(EngineUnreachableError):
                    await asked
                assert time.monotonic() - before < 10 * ANSWER_S
    finally:
        asterisk.thaw()
    asterisk.cut(refuse=True)
    try:
        with pytest.raises(EngineUnreachableError):
            await stored.names()
    finally:
        asterisk.heal()
    assert (await fetched(stored, "td-5-0")) == sound(1.0)


async def test_a_key_that_is_wrong_says_nothing_of_what_there_is(
    asterisk: AsteriskInstance, stored: StoredRecordings
) -> None:
    async with StoredRecordings(replace(asterisk.node, password="wrong")) as stranger:
        with pytest.raises(EngineUnreachableError):
            await stranger.fetch("td-5-0")
        with pytest.raises(EngineUnreachableError):
            await stranger.names()


async def test_recordings_survive_a_node_that_is_killed_while_they_are_fetched(
    asterisk: AsteriskInstance, stored: StoredRecordings, db: Database, clock: FakeClock, tmp_path: Path
) -> None:
    owner = (await factories.cast(db)).owner
    node = asterisk.node.engine
    legs = range(1, 41)
    async with db.transaction() as tx:
        new = [
            NewRecording(owner.account_id, leg, node, f"td-{leg}-0", "call", 10.0, clock.now())
            for leg in legs
        ]
        ids = await recordings.note(tx, new)
    for leg in legs:
        put(asterisk, f"td-{leg}-0", sound(10.0 + leg))
    storage = FileStorage(tmp_path)
    stores: dict[str, RecordingStore] = {node: stored}

    async def now() -> Mapping[str, RecordingStore]:
        return stores

    fetcher = Fetcher(db, now, storage, clock)
    under_way = asyncio.create_task(fetcher.do_due())
    await until(lambda: any(tmp_path.rglob("*.wav")))
    asterisk.kill()
    assert await under_way == len(legs)
    asterisk.start()

    async def all_are_here() -> bool:
        clock.advance(timedelta(minutes=16))
        await fetcher.do_due()
        kept = "SELECT DISTINCT state, at_node, next_try_at FROM recordings"
        return await rows(db, kept) == [("stored", False, None)]

    await eventually(all_are_here, 60.0)
    for recording_id, leg in zip(ids, legs, strict=True):
        data = await storage.get(f"recordings/{owner.account_id}/2026/11/{recording_id}.wav")
        assert data == sound(10.0 + leg)
    assert await stored.names() == []


async def test_a_worker_follows_the_nodes_as_they_are_added_changed_and_removed(
    asterisk: AsteriskInstance, stored: StoredRecordings, db: Database, keyring: Keyring
) -> None:
    put(asterisk, "td-5-0", sound(1.0))
    node = asterisk.node
    worker = NodeRecordings(db, keyring)

    async def names() -> dict[str, object]:
        found: dict[str, object] = {}
        for engine, store in (await worker.stores()).items():
            try:
                found[engine] = await store.names()
            except EngineUnreachableError:
                found[engine] = "unreachable"
        return found

    try:
        assert await names() == {}
        async with db.transaction() as tx:
            made = await routing.add_node(
                tx,
                keyring,
                name="one",
                url=node.url,
                username=node.username,
                password="wrong",
                sounds_path=node.sounds_path,
            )
        engine = f"asterisk/{made.id}"
        assert await names() == {engine: "unreachable"}
        async with db.transaction() as tx:
            await routing.update_node(tx, keyring, made.id, password=node.password)
        assert await names() == {engine: ["td-5-0"]}
        async with db.transaction() as tx:
            await routing.remove_node(tx, made.id)
        assert await names() == {}
    finally:
        await worker.close()
