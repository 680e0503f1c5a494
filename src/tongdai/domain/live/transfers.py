"""Transfers: the phones that they ring hold channels, dial slots and money like calls (decision 0020).

Whoever drives a leg asks `Transfers.prepare` before it tells an engine to transfer, and tells
`Transfers.over` when that is over. Both may fail, or never happen: what phones hold is committed before any
of them rings, is taken once for each command however often the events of a leg are replayed, and is freed and
settled with the leg itself at the latest (`open_with`, `end`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tongdai.domain import billing, contacts
from tongdai.domain.billing import Settlement
from tongdai.domain.calls.model import Outcome
from tongdai.domain.live import transfer_store as store
from tongdai.domain.live.model import Talk
from tongdai.domain.live.transfer_room import PATIENCE, Room, find_room, find_slot
from tongdai.domain.live.transfer_store import Parent, Phone, TransferredLeg
from tongdai.kit.db import Database, DatabaseError, Tx
from tongdai.ports.telephony import Transfer, TransferEnded, TransferLeg

log = logging.getLogger(__name__)

PREFIXES_KEPT_S: Final = 60.0
SLOTS_TRIED: Final = 5
"""A slot that was missed is taken anew; after so many this process is too slow to ring anybody in time."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The database's time `now` was somewhere between two moments of the event loop's clock: nobody is too
    early who counts from the second, or too late who counts from the first."""

    asked: float
    now: datetime
    answered: float


def _clock() -> float:
    return asyncio.get_running_loop().time()


async def _read_clock(tx: Tx) -> Reading:
    asked = _clock()
    return Reading(asked, await store.database_now(tx), _clock())


@dataclass(frozen=True, slots=True)
class Taken:
    """The phones of one transfer, with all that they hold."""

    legs: tuple[TransferLeg, ...]
    room: Room
    limit_ids: tuple[int, ...]
    read: Reading

    def due_in(self) -> float:
        """Seconds to its slot."""
        return (self.room.dial_at - self.read.now).total_seconds() - (_clock() - self.read.answered)

    def is_late(self) -> bool:
        return _clock() - self.read.asked > (self.room.dial_before - self.read.now).total_seconds()


class Transfers:
    """Takes and frees what transfers hold. One for each process, for all of its legs."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._prefixes: contacts.PrefixTable | None = None
        self._prefixes_until = 0.0
        self._freeing: dict[int, asyncio.Event] = {}
        """By leg, while its last transfer is being freed."""

    async def prepare(self, leg_id: int, transfer: Transfer, max_s: float) -> Transfer:
        """The same transfer with the legs of those who are rung now; `max_s`: seconds of talk, at most.

        Returns at the moment of their slot: tell the engine at once. Without legs nobody is rung: there is no
        channel, slot or money, or it was decided before, and an engine that knows of it passes it over.
        What the leg's transfer before it held is free first, where `over` was called before this.
        """
        if freeing := self._freeing.get(leg_id):
            await freeing.wait()
        try:
            return replace(transfer, legs=await self._legs(leg_id, transfer, max_s))
        except DatabaseError:
            # Should it have been committed after all, it is freed when the engine says that it is over.
            log.warning("a transfer rings nobody", extra={"leg": leg_id}, exc_info=True)
        except Exception:
            # Whatever it was: the person who waits for it hears the fallback, and not silence.
            log.exception("a transfer cannot be made", extra={"leg": leg_id})
        return replace(transfer, legs=())

    async def over(self, leg_id: int, told: TransferEnded) -> None:
        """Free and settle what the transfer held. What fails here is made good when the leg ends."""
        talks = (Talk(told.id, told.seconds, told.leg_id_connected),) if told.connected else ()
        done = self._freeing[leg_id] = asyncio.Event()
        try:
            async with self._db.transaction() as tx:
                await end_transfer(tx, leg_id, told.id, talks)
        except DatabaseError:
            log.warning("a transfer is settled with its leg", extra={"leg": leg_id}, exc_info=True)
        except Exception:
            log.exception("a transfer that is over cannot be settled", extra={"leg": leg_id})
        finally:
            done.set()
            if self._freeing.get(leg_id) is done:
                del self._freeing[leg_id]

    async def _legs(self, leg_id: int, transfer: Transfer, max_s: float) -> tuple[TransferLeg, ...]:
        prefixes = await self._prefix_table()
        async with self._db.transaction() as tx:
            taken = await take(tx, leg_id, transfer, max_s, prefixes)
        for missed in range(1, SLOTS_TRIED + 1):
            if taken is None:
                return ()
            await asyncio.sleep(taken.due_in())
            if not taken.is_late():
                return taken.legs
            async with self._db.transaction() as tx:
                taken = await take_another_slot(tx, taken, missed)
        log.warning("a transfer missed all of its slots", extra={"leg": leg_id})
        return ()

    async def _prefix_table(self) -> contacts.PrefixTable:
        now = _clock()
        if self._prefixes is None or now >= self._prefixes_until:
            async with self._db.transaction() as tx:
                self._prefixes = await contacts.load_prefixes(tx)
            self._prefixes_until = now + PREFIXES_KEPT_S
        return self._prefixes


# ------------------------------------------------------------------ taking


async def take(
    tx: Tx, leg_id: int, transfer: Transfer, max_s: float, prefixes: contacts.PrefixTable
) -> Taken | None:
    """Take a leg for each target that there is room and money for, in the order of the targets, once.

    None: for none of them, or the leg has ended, or its transfer was decided before; then nothing was taken.
    Locks limits, the wallet and the leg, in that order.
    """
    parent = await store.parent(tx, leg_id)
    if parent is None:
        return None
    caps = await store.lock_caps(tx, parent.limit_ids)
    read = await _read_clock(tx)
    now = read.now
    targets = [transfer.target, *transfer.others]
    networks = await _networks(tx, parent, targets, prefixes)
    targets = [one for one in targets if not _is_kept_from(one) and _is_carried(parent, networks.get(one))]
    room = find_room(caps, len(targets), now)
    tills = await billing.open_tills(tx, [parent.account_id], now)
    till = tills.get(parent.account_id)
    phones = _phones(parent, targets[: room.phones if room else 0], networks, int(max_s), till)
    if not await store.decide(tx, leg_id, transfer.id):
        return None
    if not phones:
        why = "money or time" if room is not None else "room" if targets else "trunk"
        log.info("a transfer rings nobody", extra={"leg": leg_id, "why": why})
        return None
    check_held = await billing.hold(tx, tills.values())
    check_held()
    room = find_slot(caps, len(phones), now)
    limit_ids = tuple(cap.id for cap in caps)
    ids = await store.take(tx, leg_id, transfer.id, phones, limit_ids, room)
    legs = tuple(_leg(parent, *one) for one in zip(phones, ids, strict=True))
    return Taken(legs, room, limit_ids, read)


async def take_another_slot(tx: Tx, taken: Taken, missed: int) -> Taken | None:
    """Once so many were missed. None: they have ended meanwhile, or would have to wait for too long."""
    caps = await store.lock_caps(tx, taken.limit_ids)
    read = await _read_clock(tx)
    room = find_slot(caps, len(taken.legs), read.now, missed=missed)
    if room.dial_at - read.now > PATIENCE:
        return None
    moved = await store.move(tx, [leg.leg_id for leg in taken.legs], room)
    return replace(taken, room=room, read=read) if moved == len(taken.legs) else None


async def _networks(
    tx: Tx, parent: Parent, targets: Sequence[str], prefixes: contacts.PrefixTable
) -> dict[str, str]:
    """The routing group of each target that is a number, or an address that leads to one."""
    numbers = {target: number for target in targets if (number := _number_of(target))}
    found = await contacts.networks_of(tx, parent.account_id, [*numbers.values()], prefixes)
    return {target: found[number].routing_group for target, number in numbers.items()}


def _is_address(target: str) -> bool:
    return target.startswith(("sip:", "sips:"))


def _named(target: str) -> contacts.Normalised:
    """The number that a SIP address has for a name: `sip:0912345678@carrier.vn` rings a telephone."""
    name = target.partition(":")[2].partition("@")[0]
    return contacts.normalise("" if any(map(str.isalpha, name)) else name)


def _number_of(target: str) -> str:
    """Canonical; "" for the address of somebody who has no number of the public network."""
    if not _is_address(target):
        return target
    named = _named(target)
    return named.number if named.callable else ""


def _is_kept_from(target: str) -> bool:
    """An address that leads to what no script may call as a number: services that bill whoever dials them,
    and numbers abroad."""
    return _is_address(target) and _named(target).reason in ("service", "foreign")


def _is_carried(parent: Parent, network: str | None) -> bool:
    """Whether the leg's own trunk may be used for it now. `network` None: it is no number."""
    return parent.enabled and (
        network is None or parent.trunk_networks is None or network in parent.trunk_networks
    )


def _phones(
    parent: Parent, targets: Sequence[str], networks: Mapping[str, str], max_s: int, till: billing.Till | None
) -> list[Phone]:
    """Those that can be paid for, each with what is reserved for it. What is no number costs nothing."""
    phones: list[Phone] = []
    if max_s <= 0:
        return phones
    for target in targets:
        network = networks.get(target)
        if till is None or network is None:
            phones.append(Phone(target, max_s))
            continue
        price = till.quote(network, parent.network == network) if till.plan_valid else None
        reservation = None if price is None else till.take(price, max_s)
        if reservation is not None:
            phones.append(Phone(target, reservation.talk_s, reservation.amount, price))
    return phones


def _leg(parent: Parent, phone: Phone, leg_id: int) -> TransferLeg:
    return TransferLeg(
        leg_id=leg_id,
        trunk_id=parent.trunk_id,
        target=phone.number
        if _is_address(phone.number)
        else contacts.dial_form(phone.number, parent.dial_format),
        caller=contacts.dial_form(parent.caller, parent.presented_format),
        max_s=phone.talk_s,
    )


# ------------------------------------------------------------------ freeing


async def end_transfer(tx: Tx, leg_id: int, transfer_id: int, talks: Sequence[Talk]) -> None:
    """End the phones of a transfer that is over, and of those before it."""
    legs = [leg for leg in await store.open_legs(tx, [leg_id]) if leg.transfer_id <= transfer_id]
    if legs:
        await store.lock_limits(tx, {limit_id for leg in legs for limit_id in leg.limit_ids})
        await billing.lock_wallets(tx, payers(legs))
        await end(tx, legs, {leg_id: talks})


async def open_with(tx: Tx, leg_ids: Collection[int]) -> list[TransferredLeg]:
    """The phones that end with these legs. Their caps are among those of the legs: lock these before, so that
    no more phones are taken."""
    return await store.open_legs(tx, leg_ids) if leg_ids else []


def payers(legs: Iterable[TransferredLeg]) -> list[int]:
    """Accounts whose wallets `end` changes: lock them before."""
    return sorted({leg.account_id for leg in legs if leg.reserved})


async def end(tx: Tx, legs: Sequence[TransferredLeg], talks: Mapping[int, Sequence[Talk]]) -> None:
    """Free what phones hold, and settle what was answered; each once, whoever asks and however often.

    `talks`: by parent leg. Limits and wallets are locked. Only a phone that was answered costs anything: of
    the others no engine says how they ended.
    """
    now = await store.database_now(tx)
    answered = _answered(legs, talks)
    outcomes = [
        (leg.leg_id, Outcome.ANSWERED if leg.leg_id in answered else Outcome.NO_ANSWER) for leg in legs
    ]
    ended = await store.end(tx, [(leg_id, said.value) for leg_id, said in outcomes], now)
    settlements = [_settlement(leg, answered.get(leg.leg_id)) for leg in legs if leg.leg_id in ended]
    settlements = [one for one in settlements if one.reserved or one.charge is not None]
    if settlements:
        await billing.settle(tx, settlements, now)


def _answered(legs: Sequence[TransferredLeg], talks: Mapping[int, Sequence[Talk]]) -> dict[int, float]:
    """Seconds of talk of each phone that had one. Where the engine did not say which, it is the first."""
    seconds: dict[int, float] = {}
    for parent_id, of_parent in talks.items():
        for talk in of_parent:
            phones = [
                leg.leg_id
                for leg in legs
                if leg.parent_leg_id == parent_id and leg.transfer_id == talk.transfer_id
            ]
            found = talk.leg_id if talk.leg_id in phones else next(iter(phones), None)
            if found is not None:
                seconds[found] = talk.seconds
    return seconds


def _settlement(leg: TransferredLeg, talked_s: float | None) -> Settlement:
    charge = None
    if leg.price is not None and talked_s is not None:
        # As of every call: fewer than half a second of talk is shown and charged as one.
        made = billing.charge(leg.price, answered=True, seconds=max(1, round(talked_s)))
        charge = billing.within(made, leg.reserved)
    return Settlement(
        account_id=leg.account_id,
        campaign_id=leg.campaign_id,
        call_id=leg.call_id,
        attempt_id=leg.attempt_id,
        leg_id=leg.leg_id,
        reserved=leg.reserved,
        charge=charge,
        rate_id=None if leg.price is None else leg.price.rate_id,
    )


async def end_orphans(tx: Tx) -> int:
    """End phones whose leg has ended, which ends them itself: anything but 0 is a defect, and logged.

    To be run now and then; what they held would be lost otherwise.
    """
    leg_ids = await store.orphans(tx)
    legs = await store.open_legs(tx, leg_ids)
    if not legs:
        return 0
    log.error("phones of transfers outlived their legs", extra={"legs": [leg.leg_id for leg in legs]})
    await store.lock_limits(tx, {limit_id for leg in legs for limit_id in leg.limit_ids})
    await billing.lock_wallets(tx, payers(legs))
    await end(tx, legs, {})
    return len(legs)
