"""Running dialers in a test, and waiting for what they bring about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from tongdai.domain import scripts
from tongdai.domain.compliance import PolicyBook
from tongdai.domain.dialer import ClaimRules, Dialer, DialerConfig
from tongdai.domain.live import Guest, LoadScript
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.sip import AsteriskNode
from tongdai.ports.telephony import Engine

PROMPT = DialerConfig(
    rules=ClaimRules(end_margin=timedelta(seconds=1), floors_apart=timedelta(0)),
    refresh_s=0.1,
    sweep_s=0.1,
    upkeep_s=0.2,
    engine_timeout_s=0.2,
)
"""Nothing waits long in a test."""


@asynccontextmanager
async def dialing(
    db: Database,
    keyring: Keyring,
    engines: Mapping[str, Engine],
    config: DialerConfig = PROMPT,
    *,
    load_script: LoadScript = scripts.load_version,
    policies: PolicyBook | None = None,
    make_engine: Callable[[AsteriskNode], Engine] | None = None,
    guests: Sequence[Guest] = (),
) -> AsyncIterator[Dialer]:
    """A dialer that runs until the block ends. `policies` None: the shipped ones."""
    dialer = Dialer(
        db,
        engines,
        keyring,
        load_script=load_script,
        policies=policies,
        config=config,
        make_engine=make_engine,
        guests=guests,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(dialer.run(stop))
    try:
        yield dialer
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await running


async def eventually(look: Callable[[], Awaitable[Any]], timeout_s: float = 60.0) -> Any:
    """What `look` returns once it is true. Fails with what it returned last."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        seen = await look()
        if seen:
            return seen
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"it never came about: {seen!r}")
        await asyncio.sleep(0.02)


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Returns once the condition is true of what this process holds."""

    async def look() -> object:
        return condition()

    await eventually(look, timeout_s)


async def rows(db: Database, query: str, *values: object) -> list[tuple[Any, ...]]:
    """What a test looks up itself, past all services."""
    async with db.autocommit() as connection:
        return await (await connection.execute(query, values)).fetchall()
