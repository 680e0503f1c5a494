"""A shop with an Official Account that is connected to Zalo's emulator, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.factories import Person
from tests.fakes import zalo as fake
from tests.fakes.zalo import EmulatedZalo

from tongdai.domain import zalo
from tongdai.domain.zalo import Bridge, Oa
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database


@asynccontextmanager
async def bridge(
    db: Database, keyring: Keyring, clock: Clock, emulator: EmulatedZalo, *, timeout_s: float = 5.0
) -> AsyncIterator[Bridge]:
    async with fake.client_at(emulator.url, timeout_s=timeout_s) as to_zalo:
        yield Bridge(db, keyring, clock, to_zalo)


async def connected(through: Bridge, person: Person, oa_id: int = fake.OA_ID) -> Oa:
    """This person's, by way of the permission page."""
    url = await zalo.authorize(
        through,
        person.account_id,
        person.user.id,
        app_id=fake.APP_ID,
        secret=fake.APP_SECRET,
        redirect_uri=fake.CALLBACK_URL,
    )
    granted = await fake.grant(url, oa_id)
    return await zalo.connect(
        through,
        person.account_id,
        person.user.id,
        code=granted["code"],
        oa_id=oa_id,
        state=int(granted["state"]),
    )
