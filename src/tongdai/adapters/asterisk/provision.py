"""Trunks brought to a node while it runs: no file is edited there, and nothing is reloaded.

A client pushes a trunk's endpoint before its first call over it. The node's keeper, one client at a time,
also pushes whom calls are taken from and the registrations, follows changes, and takes away what is gone. All
of it lies in the node's memory alone, so after a restart of the node everything is pushed again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, Protocol

import msgspec

from tongdai.adapters.asterisk import pjsip
from tongdai.adapters.asterisk.pjsip import Fields
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.ports.sip import SipTrunk, TrunkBook, UnknownTrunkError
from tongdai.ports.telephony import EngineRefusedError

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""Between two looks into the book."""
LOOK_UP_S: Final = 60.0
"""How long the addresses of a carrier's name are taken for its addresses."""
TRY_AGAIN_S: Final = 15.0
"""After a trunk that could not be pushed."""
LEAVING_S: Final = 10.0
"""What a registration gets to end with the carrier, for which its password is needed."""

_OBJECTS: Final = "asterisk/config/dynamic/res_pjsip"


class Answer(Protocol):
    """Of a request to a node."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> str: ...


Ask = Callable[[str, str, Mapping[str, Any] | None], Awaitable[Answer]]
"""Method, address below `/ari/`, body. Raises EngineUnreachableError."""

Network = IPv4Network | IPv6Network

LookUp = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host. Raises OSError."""


async def look_up(host: str) -> list[str]:
    """By the system's own look-up, IPv4 and IPv6. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None)
    return sorted({str(one[4][0]) for one in found})


@dataclass(slots=True)
class _Kept:
    """What a trunk has on the node, as far as this client knows."""

    identify: Fields | None = None
    registration: Fields | None = None
    auth: Fields | None = None
    asked: bool = False
    """Whether the node was asked what another keeper left there."""
    taken: int = 0
    """Addresses and networks of its that are an older trunk's."""
    failed_at: float = field(default=float("-inf"))
    failed: tuple[int, bool] | None = None
    """The revision that could not be pushed, and whether it was to register."""


class _Sources:
    """Who has which address. Asterisk would give a call from an address that several trunks name to any of
    them, so the oldest trunk has it, and nobody gets calls of another by naming its carrier's addresses."""

    def __init__(self) -> None:
        self._hosts: set[Network] = set()
        self._wide: list[Network] = []

    def left_for(self, networks: Sequence[str]) -> list[str]:
        """Those of a trunk's networks that no older trunk has any address of; they are taken from now on."""
        asked = {one: ip_network(one, strict=False) for one in networks}
        left = {one: network for one, network in asked.items() if self._is_free(network)}
        for network in left.values():
            if network.prefixlen == network.max_prefixlen:
                self._hosts.add(network)
            else:
                self._wide.append(network)
        return list(left)

    def _is_free(self, network: Network) -> bool:
        if network.prefixlen == network.max_prefixlen:
            return network not in self._hosts and not any(_overlap(network, one) for one in self._wide)
        return not any(_overlap(network, one) for one in (*self._wide, *self._hosts))


class Provisioner:
    """For one connection to one node: a new connection needs a new one, since the node may have started anew.

    `ask` is the connection's. Everything raises EngineUnreachableError when it is gone.
    """

    def __init__(self, ask: Ask, book: TrunkBook, *, look_up: LookUp = look_up) -> None:
        self._ask = ask
        self._book = book
        self._look_up = look_up
        self._revisions: dict[int, int] = {}
        self._pushing: dict[int, asyncio.Lock] = {}
        self._kept: dict[int, _Kept] = {}
        self._leaving: dict[int, float] = {}
        self._hosts: dict[str, tuple[float, list[str]]] = {}
        self._saw_others = False

    # -------------------------------------------------------------- before a call

    async def ensure(self, trunk_id: int) -> SipTrunk:
        """The trunk as it is now, with its endpoint on the node.

        Raises UnknownTrunkError, EngineRefusedError when the node does not take the trunk.
        """
        trunk = await self._book.trunk(trunk_id)
        if self._revisions.get(trunk_id) != trunk.revision:
            async with self._pushing.setdefault(trunk_id, asyncio.Lock()):
                if self._revisions.get(trunk_id) != trunk.revision:
                    await self._push_endpoint(trunk)
        return trunk

    def forget(self, trunk_id: int) -> None:
        """The node does not know the trunk after all; `ensure` pushes it again."""
        self._revisions.pop(trunk_id, None)

    async def _push_endpoint(self, trunk: SipTrunk) -> None:
        name = pjsip.object_id(trunk.trunk_id)
        if auth := pjsip.auth(trunk):
            await self._put("auth", name, auth)
        else:
            await self._delete("auth", trunk.trunk_id)
        await self._put("endpoint", name, pjsip.endpoint(trunk))
        self._revisions[trunk.trunk_id] = trunk.revision

    # -------------------------------------------------------------- the keeper

    async def keep(self, node_id: int) -> None:
        """Be the node's keeper until cancelled. What is on the node stays there for the next one."""
        while True:
            try:
                await self.keep_once(node_id)
            except TRANSIENT_ERRORS:
                logger.warning("trunks cannot be read; what is on the node stays", extra={"node": node_id})
            except msgspec.MsgspecError:
                logger.warning("a node's answer about trunks makes no sense", extra={"node": node_id})
            await asyncio.sleep(LOOK_S)

    async def keep_once(self, node_id: int) -> None:
        """Bring the node to what the book says now. One trunk that it does not take is in no other's way."""
        trunks = {trunk.trunk_id: trunk for trunk in await self._book.trunks_of(node_id)}
        registering = await self._book.registers_on(node_id)
        if not self._saw_others:
            for trunk_id in await self._pushed_by_others():
                self._kept.setdefault(trunk_id, _Kept())
            self._saw_others = True
        for trunk_id in self._kept.keys() - trunks.keys():
            await self._stop_hearing(trunk_id)
        sources = _Sources()
        for trunk in trunks.values():
            registers = trunk.register and trunk.trunk_id in registering
            await self._try_keeping(trunk, sources, registers=registers)
        await self._clear_away()

    async def _try_keeping(self, trunk: SipTrunk, sources: _Sources, *, registers: bool) -> None:
        kept = self._kept.setdefault(trunk.trunk_id, _Kept())
        wanted = (trunk.revision, registers)
        now = time.monotonic()
        if kept.failed == wanted and now < kept.failed_at + TRY_AGAIN_S:
            return
        self._leaving.pop(trunk.trunk_id, None)
        try:
            await self._keep_trunk(trunk, kept, sources, registers=registers)
        except (EngineRefusedError, OSError) as error:
            if kept.failed != wanted:
                told = {"trunk": trunk.trunk_id}
                logger.warning("calls of a trunk cannot come in: %s", error, extra=told)
            kept.failed, kept.failed_at = wanted, now
        except UnknownTrunkError:
            # Gone since the list was read; the next look sees it.
            return
        else:
            kept.failed = None

    async def _keep_trunk(self, trunk: SipTrunk, kept: _Kept, sources: _Sources, *, registers: bool) -> None:
        trunk = await self.ensure(trunk.trunk_id)
        named = await self._networks(trunk)
        networks = sources.left_for(named)
        _tell_of_taken(trunk, kept, len(named) - len(networks))
        if not kept.asked:
            await self._see_what_is_there(trunk, kept, networks)
        await self._keep_registration(trunk, kept, registers=registers)
        identify = pjsip.identify(trunk, networks) if networks else None
        if kept.identify != identify:
            # What is pushed onto an old one is added to it.
            await self._delete("identify", trunk.trunk_id)
            kept.identify = None
            if identify is not None:
                await self._put("identify", pjsip.object_id(trunk.trunk_id), identify)
            kept.identify = identify

    async def _keep_registration(self, trunk: SipTrunk, kept: _Kept, *, registers: bool) -> None:
        registration = pjsip.registration(trunk) if registers else None
        auth = pjsip.auth(trunk)
        if kept.registration == registration and (registration is None or kept.auth == auth):
            return
        await self._delete("registration", trunk.trunk_id)
        kept.registration = None
        if registration is not None:
            await self._put("registration", pjsip.object_id(trunk.trunk_id), registration)
        kept.registration, kept.auth = registration, auth

    async def _see_what_is_there(self, trunk: SipTrunk, kept: _Kept, networks: Sequence[str]) -> None:
        """A registration that stands as it ought to is left alone: to make it anew would end it first."""
        wanted = pjsip.registration(trunk) if trunk.register else {}
        there = await self._get("registration", trunk.trunk_id)
        if wanted and wanted.items() <= dict(there).items():
            kept.registration, kept.auth = wanted, pjsip.auth(trunk)
        elif there:
            kept.registration = {}
        there = await self._get("identify", trunk.trunk_id)
        if sorted(value for name, value in there if name == "match") == sorted(pjsip.matched(networks)):
            kept.identify = pjsip.identify(trunk, networks) if networks else None
        elif there:
            kept.identify = {}
        kept.asked = True

    async def _networks(self, trunk: SipTrunk) -> list[str]:
        """Where the trunk's calls come from, names looked up. Raises OSError."""
        found: set[str] = set()
        for one in trunk.match or (trunk.host,):
            found.update([one] if _is_network(one) else await self._addresses(one))
        return sorted(found)

    async def _addresses(self, host: str) -> list[str]:
        """Looked up here, since a node that waits for an answer does nothing else for us meanwhile.

        While a name cannot be looked up its last addresses hold. Raises OSError when there are none.
        """
        looked_at, known = self._hosts.get(host, (float("-inf"), []))
        now = time.monotonic()
        if now >= looked_at + LOOK_UP_S:
            try:
                known = list(await self._look_up(host))
            except (OSError, UnicodeError):
                if not known:
                    raise OSError("the carrier's name cannot be looked up") from None
            self._hosts[host] = (now, known)
        return known

    # -------------------------------------------------------------- taking away

    async def _stop_hearing(self, trunk_id: int) -> None:
        """No call comes in over the trunk any more. Calls that are up go on."""
        if trunk_id in self._leaving:
            return
        self._kept[trunk_id] = _Kept()
        await self._delete("registration", trunk_id)
        await self._delete("identify", trunk_id)
        self._leaving[trunk_id] = time.monotonic() + LEAVING_S

    async def _clear_away(self) -> None:
        """Of trunks that are no more, the rest. A disabled one keeps its endpoint: other clients, who pushed
        it too, would not know that it is gone when the trunk is enabled again."""
        now = time.monotonic()
        for trunk_id in [one for one, until in self._leaving.items() if until <= now]:
            try:
                await self._book.trunk(trunk_id)
            except UnknownTrunkError:
                await self._delete("endpoint", trunk_id)
                await self._delete("auth", trunk_id)
                self.forget(trunk_id)
                self._pushing.pop(trunk_id, None)
            del self._leaving[trunk_id], self._kept[trunk_id]

    # -------------------------------------------------------------- asking

    async def _pushed_by_others(self) -> list[int]:
        """Trunks of which the node has an endpoint."""
        answer = await self._ask("GET", "endpoints/PJSIP", None)
        if answer.status != 200:
            return []
        names = [
            one.get("resource", "") for one in msgspec.json.decode(answer.body, type=list[dict[str, Any]])
        ]
        return [trunk_id for name in names if (trunk_id := pjsip.trunk_of(name)) is not None]

    async def _get(self, kind: str, trunk_id: int) -> list[tuple[str, str]]:
        """The fields of an object; none when it is not there."""
        answer = await self._ask("GET", f"{_OBJECTS}/{kind}/{pjsip.object_id(trunk_id)}", None)
        if answer.status != 200:
            return []
        there = msgspec.json.decode(answer.body, type=list[dict[str, str]])
        return [(one["attribute"], one["value"]) for one in there]

    async def _put(self, kind: str, name: str, fields: Fields) -> None:
        """Raises EngineRefusedError. What was pushed is not told: it may be a password."""
        body = {"fields": [{"attribute": one, "value": value} for one, value in fields.items()]}
        answer = await self._ask("PUT", f"{_OBJECTS}/{kind}/{name}", body)
        if answer.status != 200:
            raise EngineRefusedError(f"the node does not take the trunk's {kind} (HTTP {answer.status})")

    async def _delete(self, kind: str, trunk_id: int) -> None:
        """Harmless when it is not there."""
        await self._ask("DELETE", f"{_OBJECTS}/{kind}/{pjsip.object_id(trunk_id)}", None)


def _tell_of_taken(trunk: SipTrunk, kept: _Kept, taken: int) -> None:
    """Once, since nobody else would: whoever has the other trunk may be another account."""
    if taken and taken != kept.taken:
        told = {"trunk": trunk.trunk_id, "addresses": taken}
        logger.warning("calls of a trunk go to an older one, which names the same addresses", extra=told)
    kept.taken = taken


def _overlap(one: Network, other: Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
