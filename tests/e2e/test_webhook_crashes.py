"""Workers killed while they send: every event arrives, and in order per call (promises 8 and 9)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests import factories
from tests.fakes.receiver import Receiver, receiving
from tests.fakes.sending import Outbox

from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(280)]

ENDPOINTS = 4
CALLS = 150
EVENTS_OF_A_CALL = 3
TAKEN_OVER_S = 30
"""After a death its endpoints are served again within this, on a machine that is not busy."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def outbox(db: Database) -> Outbox:
    keyring = Keyring(factories.MASTER_KEY)
    return Outbox(db, keyring, (await factories.cast(db, keyring)).owner.account_id)


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> Mapping[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TONGDAI_")}
    return {
        **ours,
        "TONGDAI_DATABASE_URL": database_url,
        "TONGDAI_SECRET_KEY": factories.MASTER_KEY.hex(),
        "TONGDAI_DATA_DIR": str(tmp_path),
        "TONGDAI_WEBHOOKS_ALLOW_PRIVATE": "true",
    }


@contextmanager
def working(environment: Mapping[str, str], log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two workers; those in the list are ended with the block."""
    workers = [start(environment, log) for _ in range(2)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(30)


def start(environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        command = [sys.executable, "-m", "tongdai", "serve", "--role", "worker"]
        return subprocess.Popen(command, env=dict(environment), stdout=output, stderr=output)


async def test_events_survive_the_kill_of_whoever_sends_them_and_keep_their_order(
    outbox: Outbox, receiver: Receiver, environment: Mapping[str, str], tmp_path: Path
) -> None:
    for place in range(ENDPOINTS):
        await outbox.endpoint(receiver.url(f"/{place}"), format="tongdai")
        receiver.answers[f"/{place}"] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        receiver.drips[f"/{place}"] = 0.0005  # so that there is always something under way
    wanted = ENDPOINTS * CALLS * EVENTS_OF_A_CALL
    with working(environment, tmp_path / "worker.log") as workers:
        for seq in range(1, EVENTS_OF_A_CALL + 1):
            before = len(receiver.got)
            await outbox.publish(*((call, seq) for call in range(1, CALLS + 1)))
            await receiver.until(lambda seen=before: len(receiver.got) > seen + 100, within=60)  # type: ignore[misc]
            victim = workers.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait(30)
            workers.append(start(environment, tmp_path / "worker.log"))
        await receiver.until(lambda: len({one.id for one in receiver.got}) == wanted, within=120)
        async with asyncio.timeout(60):
            await outbox.until_states_are({"delivered"})
    first: dict[tuple[str, int], list[int]] = defaultdict(list)
    for one in receiver.got:
        told = first[one.path, one.json["data"]["call_id"]]
        if one.json["sequence"] not in told:
            told.append(one.json["sequence"])
    assert len(first) == ENDPOINTS * CALLS
    assert set(map(tuple, first.values())) == {tuple(range(1, EVENTS_OF_A_CALL + 1))}


async def test_a_survivor_takes_over_within_half_a_minute(
    outbox: Outbox, receiver: Receiver, environment: Mapping[str, str], tmp_path: Path
) -> None:
    await outbox.endpoint(receiver.url(), format="tongdai")
    with working(environment, tmp_path / "worker.log") as workers:
        await outbox.publish((1, 1))
        await receiver.until_got("/ok", 1, within=60)
        async with outbox.db.transaction() as tx:
            cursor = await tx.execute(
                "SELECT s.pid FROM webhook_senders AS s JOIN webhook_endpoints AS p ON p.sender_id = s.id"
            )
            ((holder,),) = await cursor.fetchall()
        next(worker for worker in workers if worker.pid == holder).kill()
        await outbox.publish((2, 1))
        await receiver.until_got("/ok", 2, within=TAKEN_OVER_S)
        await outbox.until_states_are({"delivered"})
