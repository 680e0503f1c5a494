"""The engines of one dialer: those that are always there, and one for each Asterisk node, as nodes come and
go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any

from tongdai.domain import routing
from tongdai.domain.dialer.model import Station
from tongdai.domain.live import Guest
from tongdai.kit.crypto import Keyring, SealBrokenError
from tongdai.kit.db import TRANSIENT_ERRORS, Database
from tongdai.kit.running import cancel_all
from tongdai.ports.sip import AsteriskNode
from tongdai.ports.telephony import Engine

log = logging.getLogger(__name__)

MakeEngine = Callable[[AsteriskNode], Engine]

ASTERISK = "asterisk"
"""What a trunk calls the engine that has nodes."""


class Fleet:
    """Keeps `engines` as the table of nodes says, within `look_s` seconds. Each engine's events are heard for
    as long as it is here."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        fixed: Mapping[str, Engine],
        make: MakeEngine | None,
        *,
        hear: Callable[[str], Coroutine[Any, Any, None]],
        on_gone: Callable[[str], None],
        guests: Sequence[Guest] = (),
        look_s: float = 1.0,
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._make = make
        self._hear = hear
        self._on_gone = on_gone
        self._guests = guests
        self._look_s = look_s
        self._fixed = frozenset(fixed)
        self._nodes: dict[str, AsteriskNode] = {}
        self._hearing: dict[str, asyncio.Task[None]] = {}
        self.engines: dict[str, Engine] = dict(fixed)
        """By the names that legs call them. The same object for as long as this lives."""

    def stations(self, engine: str, node_ids: Collection[int] | None) -> Sequence[Station]:
        """Where calls of trunks on this engine may go out, as `Stations`."""
        if engine in self._fixed:
            return (Station(engine),)
        if engine != ASTERISK:
            return ()
        return [
            Station(name, node.limit_id)
            for name, node in self._nodes.items()
            if node.enabled and (node_ids is None or node.id in node_ids)
        ]

    def speaks(self, engine: str) -> bool:
        """Whether sound is played on an engine, and not only counted."""
        return engine not in self._fixed

    async def start(self) -> None:
        """Begin with what is always there."""
        for name in self._fixed:
            await self._begin(name, self.engines[name])

    async def stop(self) -> None:
        await cancel_all(list(self._hearing.values()))
        for engine in self.engines.values():
            await engine.stop()

    async def run(self) -> None:
        """Follow the nodes. Raises what an engine's hearing raised."""
        while True:
            if self._make is not None:
                await self._follow(self._make)
            await self._look_at_hearing()

    async def _look_at_hearing(self) -> None:
        """For as long as until the next look at the nodes."""
        hearing = list(self._hearing.values())
        if not hearing:
            await asyncio.sleep(self._look_s)
            return
        done, _ = await asyncio.wait(hearing, timeout=self._look_s, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def _follow(self, make: MakeEngine) -> None:
        try:
            async with self._db.autocommit() as tx:
                nodes = {node.engine: node for node in await routing.nodes(tx, self._keyring)}
        except TRANSIENT_ERRORS:
            log.warning("the nodes could not be read", exc_info=True)
            return
        except SealBrokenError:
            # Of another master key. Nothing is changed: calls are up over those that were read before.
            log.exception("the password of a node cannot be read")
            return
        changed = [name for name, node in self._nodes.items() if not _is_same(node, nodes.get(name))]
        for name in changed:
            await self._remove(name)
        for name, node in nodes.items():
            if name not in self._nodes:
                self.engines[name] = make(node)
                await self._begin(name, self.engines[name])
            self._nodes[name] = node

    async def _begin(self, name: str, engine: Engine) -> None:
        for guest in self._guests:
            guest.engine_added(name, engine)
        await engine.start()
        self._hearing[name] = asyncio.create_task(self._hear(name), name=f"events of {name}")

    async def _remove(self, name: str) -> None:
        """It was removed, or is reached another way now. Its
        legs stay as they are until they are asked about."""
        log.info("an engine is let go", extra={"engine": name})
        del self._nodes[name]
        await cancel_all([self._hearing.pop(name)])
        await self.engines.pop(name).stop()
        self._on_gone(name)
        for guest in self._guests:
            guest.engine_removed(name)


def _is_same(node: AsteriskNode, now: AsteriskNode | None) -> bool:
    """Whether it is reached in the same way."""
    return now is not None and (node.url, node.username, node.password, node.sounds_path) == (
        now.url,
        now.username,
        now.password,
        now.sounds_path,
    )
