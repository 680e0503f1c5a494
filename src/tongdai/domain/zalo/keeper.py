"""The keeper of Official Accounts: one process that renews their tokens and asks what Zalo says of them. Any
number may run on one database, and any of them may be killed at any moment."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

from tongdai.domain.zalo import facts, permissions, refreshing
from tongdai.domain.zalo.attempting import settled
from tongdai.domain.zalo.bridge import Bridge
from tongdai.kit.running import repeat

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeeperConfig:
    poll_s: float = 2.0
    """Between looks for tokens to be renewed and for unknown outcomes."""
    facts_poll_s: float = 5.0
    forget_every_s: float = 3600.0
    """Between looks for states that nobody came back with."""
    grace_s: float = 11.0
    """At a stop, how long requests under way and what comes of them may take."""


class Keeper:
    """`run` until told to stop."""

    def __init__(self, bridge: Bridge, config: KeeperConfig | None = None) -> None:
        self._bridge = bridge
        self._config = config or KeeperConfig()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep until `stop` is set; what was asked of Zalo is waited for then. The database may be away."""
        config = self._config
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat("renewing", partial(self._renew, stop), stop, config.poll_s))
            group.create_task(
                repeat("looking into renewals", partial(self._look_into, stop), stop, config.poll_s)
            )
            group.create_task(repeat("freshening", partial(self._freshen, stop), stop, config.facts_poll_s))
            group.create_task(repeat("forgetting", partial(self._forget, stop), stop, config.forget_every_s))
        await settled(config.grace_s)

    async def _renew(self, stop: asyncio.Event) -> None:
        begun = await refreshing.refresh_due(self._bridge, stop=stop)
        if begun:
            log.info("renewed tokens", extra={"begun": begun})

    async def _look_into(self, stop: asyncio.Event) -> None:
        """Beside renewing, which takes long where each request runs into its time-out."""
        seen = await refreshing.probe_due(self._bridge, stop=stop)
        if seen:
            log.info("looked into renewals that had not ended", extra={"looked_into": seen})

    async def _freshen(self, stop: asyncio.Event) -> None:
        await facts.begin_day(self._bridge)
        await facts.freshen_due(self._bridge, stop=stop)

    async def _forget(self, stop: asyncio.Event) -> None:
        await permissions.forget_old(self._bridge)
