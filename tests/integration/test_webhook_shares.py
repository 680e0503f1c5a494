"""What a sender has of endpoints: those that it is done with take nobody's place."""

from __future__ import annotations

import pytest
from tests import factories
from tests.fakes.receiver import receiving
from tests.fakes.sending import Outbox

from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio


async def test_endpoints_that_a_sender_is_done_with_hold_up_no_other(db: Database, keyring: Keyring) -> None:
    cast = await factories.cast(db, keyring)
    first = Outbox(db, keyring, cast.owner.account_id, SystemClock())
    second = Outbox(db, keyring, cast.stranger.account_id, SystemClock())
    async with receiving() as receiver:
        for number in range(5):
            await first.endpoint(receiver.url(f"/first/{number}"))
        await second.endpoint(receiver.url("/second"))
        async with first.sending(idle_s=600.0):
            await first.publish((1, 1))
            await first.until_states(["delivered"] * 5)

            await second.publish((2, 1))

            await receiver.until_got("/second", 1, within=20)
