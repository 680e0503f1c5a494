"""From a trunk's row to the node: what an operator changes is so two seconds later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests import factories
from tests.asterisk.test_provision import Client, client_on
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.sippeer import WAIT_S, Peer, sip_peer

from tongdai.domain import routing
from tongdai.domain.routing import SipSettings, Trunk, TrunkBookOfDatabase
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

KNOWN_S = 2.0
SLACK_S = 2.0
"""For a machine that is busy with other tests."""


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with sip_peer("khach", "s3cret") as made:
        yield made


@pytest.fixture
async def node_id(db: Database, keyring: Keyring, asterisk: AsteriskInstance) -> int:
    node = asterisk.node
    async with db.transaction() as tx:
        made = await routing.add_node(
            tx,
            keyring,
            name=node.name,
            url=node.url,
            username=node.username,
            password="p",
            sounds_path=node.sounds_path,
        )
    return made.id


@pytest.fixture
async def client(
    db: Database, keyring: Keyring, asterisk: AsteriskInstance, node_id: int
) -> AsyncIterator[Client]:
    """A keeper that hears calls."""
    made = await client_on(asterisk, TrunkBookOfDatabase(db, keyring))
    keeping = asyncio.create_task(made.pushing.keep(node_id))
    yield made
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    made.link.close()


async def _create(db: Database, keyring: Keyring, peer: Peer, **more: Any) -> Trunk:
    async with db.transaction() as tx:
        account = (await factories.cast(tx, keyring)).owner.account_id
        sip = SipSettings(host=peer.host, port=peer.port, username="khach", **more)
        return await routing.create_trunk(
            tx,
            account,
            name="Viettel",
            engine="asterisk",
            max_channels=None,
            max_cps=None,
            sip=sip,
            sip_password=routing.seal_sip_password(keyring, account, "s3cret"),
        )


async def _comes_in(client: Client, peer: Peer, asterisk: AsteriskInstance) -> bool:
    calling = await peer.call(("127.0.0.1", asterisk.sip_port), f"sip:1@127.0.0.1:{asterisk.sip_port}")
    status = asyncio.create_task(calling.status())
    started = asyncio.create_task(client.event("StasisStart"))
    await asyncio.wait([status, started], return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        started.cancel()
        return False
    channel = started.result().channel
    assert channel is not None
    await client.link.ask("DELETE", f"channels/{channel.id}")
    await status
    return True


async def _until(client: Client, peer: Peer, asterisk: AsteriskInstance, *, comes_in: bool) -> float:
    """Seconds until calls come in, or do so no more."""
    began = time.monotonic()
    async with asyncio.timeout(WAIT_S):
        while await _comes_in(client, peer, asterisk) is not comes_in:
            pass
    return time.monotonic() - began


async def test_a_new_trunk_calls_at_once_and_is_called_after_two_seconds(
    db: Database, keyring: Keyring, client: Client, peer: Peer, asterisk: AsteriskInstance
) -> None:
    made = await _create(db, keyring, peer)
    assert await _until(client, peer, asterisk, comes_in=True) < KNOWN_S + SLACK_S

    await client.dial(made.id, "0912345678", "in-time-1")

    assert (await client.event("ChannelDestroyed")).tech_cause == 486


async def test_a_trunk_that_is_disabled_or_moved_is_so_after_two_seconds(
    db: Database, keyring: Keyring, client: Client, peer: Peer, asterisk: AsteriskInstance
) -> None:
    made = await _create(db, keyring, peer, register=True)
    await _until(client, peer, asterisk, comes_in=True)
    await peer.until(lambda: peer.registered)

    for changes, comes_in in (
        ({"enabled": False}, False),
        ({"enabled": True}, True),
        ({"engine": "sandbox", "sip": None}, False),
    ):
        async with db.transaction() as tx:
            await routing.update_trunk(tx, made.account_id, made.id, **changes)
        assert await _until(client, peer, asterisk, comes_in=comes_in) < KNOWN_S + SLACK_S, changes
