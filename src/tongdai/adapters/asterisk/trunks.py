"""Trunks as an engine needs them: pushed to its node before a call, and how each carrier speaks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from tongdai.adapters.asterisk import pjsip
from tongdai.adapters.asterisk.provision import Ask, Provisioner
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.ports.sip import SipTrunk, TrunkBook, UnknownTrunkError
from tongdai.ports.telephony import EndCause


class Trunks:
    """Of one engine. A trunk is remembered as it was when a call last went over it."""

    def __init__(self, ask: Ask, book: TrunkBook) -> None:
        """`ask` is the engine's. It raises EngineUnreachableError while there is no connection."""
        self._ask = ask
        self._book = book
        self._provisioner = Provisioner(ask, book)
        self._known: dict[int, SipTrunk] = {}

    def connected(self) -> None:
        """On a new connection: what was pushed over the last one may be gone."""
        self._provisioner = Provisioner(self._ask, self._book)

    async def keep(self, node_id: int) -> None:
        """Follow all trunks of the node. Raises EngineUnreachableError when the connection is gone."""
        await self._provisioner.keep(node_id)

    async def dialled(self, trunk_id: int, number: str) -> str:
        """What Asterisk is asked to call; the trunk's endpoint is on the node then.

        Raises UnknownTrunkError, EngineRefusedError, EngineUnreachableError.
        """
        trunk = self._known[trunk_id] = await self._provisioner.ensure(trunk_id)
        return pjsip.dialled(trunk, number)

    def forget(self, trunk_id: int) -> None:
        """Perhaps somebody took the trunk's endpoint away; it is pushed again for the next call."""
        self._provisioner.forget(trunk_id)

    async def learn(self, trunk_id: int) -> None:
        """How the trunk of a leg that another client dialled speaks; as most do, if nobody can tell."""
        with suppress(UnknownTrunkError, *TRANSIENT_ERRORS):
            self._known[trunk_id] = await self._book.trunk(trunk_id)

    def causes(self, trunk_id: int) -> Mapping[int, EndCause]:
        """What this carrier's SIP statuses mean, where they mean something else than usual."""
        trunk = self._known.get(trunk_id)
        return {} if trunk is None else trunk.causes

    def progress_rings(self, trunk_id: int) -> bool:
        """Whether what this carrier plays before the answer means that it rings."""
        trunk = self._known.get(trunk_id)
        return trunk is None or trunk.early_media
