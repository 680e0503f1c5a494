"""The trunks as engines ask for them: read from the database, kept, and never older than a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from tongdai.domain.routing.sip import SipSettings, open_sip_password, sip_trunk
from tongdai.domain.routing.store import book as store
from tongdai.domain.routing.store.book import SealedTrunk
from tongdai.kit.crypto import Keyring, SealBrokenError
from tongdai.kit.db import TRANSIENT_ERRORS, Database
from tongdai.ports.sip import SipTrunk, UnknownTrunkError

logger = logging.getLogger(__name__)

FRESH_S: Final = 1.0
"""How long what was read is taken for what is. With the second that a keeper takes at most to look, a change
is on every node after two."""
PATIENCE_S: Final = 2.0
"""How long a question waits for the database, if there is something to answer with."""
KEEPERLESS_S: Final = 10.0
"""How long a node may be without a keeper before its registrations move. A keeper's successor takes about
two; a node that does not answer has none."""


@dataclass(frozen=True, slots=True)
class _Entry:
    trunk: SipTrunk
    enabled: bool
    node_ids: frozenset[int] | None

    def is_on(self, node_id: int) -> bool:
        return self.node_ids is None or node_id in self.node_ids


class TrunkBookOfDatabase:
    """A `ports.sip.TrunkBook`. One for a process; safe to ask from many tasks.

    A registration is kept up on the enabled node with the lowest id among the trunk's, which has a keeper, or
    had one within `KEEPERLESS_S`; if none has, on the lowest. So it moves when a node goes down or is
    disabled, and back when it returns; the carrier sends calls to whoever registered last.

    While the database does not answer, what was read last is told; before anything was, the questions raise
    what the database said.
    """

    def __init__(
        self, db: Database, keyring: Keyring, *, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._steady = steady
        self._entries: dict[int, _Entry] = {}
        self._revisions: dict[int, int] = {}
        self._nodes: Mapping[int, bool] = {}
        self._kept_at: dict[int, float] = {}
        self._read_at: float | None = None
        self._nodes_read_at: float | None = None
        self._reading = asyncio.Lock()

    async def trunk(self, trunk_id: int) -> SipTrunk:
        """A disabled one too: its calls may be up. Raises UnknownTrunkError."""
        await self._be_fresh()
        entry = self._entries.get(trunk_id)
        if entry is None:
            raise UnknownTrunkError(f"trunk {trunk_id} has no SIP settings")
        return entry.trunk

    async def trunks_of(self, node_id: int) -> list[SipTrunk]:
        """Every enabled trunk that calls may come in on over this node, by id. None over a disabled one."""
        await self._be_fresh(of_nodes=True)
        if node_id not in self._nodes:
            return []
        return [
            entry.trunk
            for _, entry in sorted(self._entries.items())
            if entry.enabled and entry.is_on(node_id)
        ]

    async def registers_on(self, node_id: int) -> frozenset[int]:
        """Trunks whose registration this node keeps up."""
        await self._be_fresh(of_nodes=True)
        return frozenset(
            trunk_id
            for trunk_id, entry in self._entries.items()
            if entry.enabled and entry.trunk.register and self._registrar(entry) == node_id
        )

    def _registrar(self, entry: _Entry) -> int | None:
        candidates = [node_id for node_id in self._nodes if entry.is_on(node_id)]
        since = self._steady() - KEEPERLESS_S
        alive = [node_id for node_id in candidates if self._kept_at[node_id] > since]
        return min(alive or candidates, default=None)

    # -------------------------------------------------------------- reading

    async def _be_fresh(self, *, of_nodes: bool = False) -> None:
        """Of nodes too: who has a keeper costs about as much as all the rest, and a call need not know."""
        if self._is_fresh(of_nodes=of_nodes):
            return
        async with self._reading:
            if self._is_fresh(of_nodes=of_nodes):
                return
            known = self._nodes_read_at if of_nodes else self._read_at
            try:
                async with asyncio.timeout(None if known is None else PATIENCE_S):
                    await self._read(of_nodes=of_nodes)
            except (*TRANSIENT_ERRORS, TimeoutError):
                if known is None:
                    raise
                logger.warning("trunks cannot be read; those that were before are told", exc_info=True)
            self._read_at = self._steady()
            self._nodes_read_at = self._read_at if of_nodes else self._nodes_read_at

    def _is_fresh(self, *, of_nodes: bool) -> bool:
        read_at = self._nodes_read_at if of_nodes else self._read_at
        return read_at is not None and self._steady() < read_at + FRESH_S

    async def _read(self, *, of_nodes: bool) -> None:
        async with self._db.autocommit() as tx:
            nodes = await store.nodes(tx) if of_nodes else None
            revisions = await store.revisions(tx)
            changed = [one for one, revision in revisions.items() if self._revisions.get(one) != revision]
            rows = await store.trunks(tx, changed) if changed else []
        for row in rows:
            # As it is in this row: it may have changed once more since its revision was read.
            self._revisions[row.id] = row.revision
            self._take(row)
        for trunk_id in self._revisions.keys() - revisions.keys():
            del self._revisions[trunk_id]
            self._entries.pop(trunk_id, None)
        if nodes is not None:
            self._see_keepers(nodes)

    def _see_keepers(self, nodes: Mapping[int, bool]) -> None:
        self._nodes = nodes
        now = self._steady()
        self._kept_at = {one: now if kept else self._kept_at.get(one, now) for one, kept in nodes.items()}

    def _take(self, row: SealedTrunk) -> None:
        """What cannot be read is told once, and is no trunk until it is changed."""
        try:
            sip = msgspec.json.decode(row.sip, type=SipSettings)
            password = (
                "" if row.password is None else open_sip_password(self._keyring, row.account_id, row.password)
            )
        except (msgspec.MsgspecError, SealBrokenError) as error:
            logger.error("a trunk cannot be read", extra={"trunk": row.id, "fault": type(error).__name__})
            self._entries.pop(row.id, None)
            return
        nodes = None if row.node_ids is None else frozenset(row.node_ids)
        self._entries[row.id] = _Entry(sip_trunk(row.id, row.revision, sip, password), row.enabled, nodes)
