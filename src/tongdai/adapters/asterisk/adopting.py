"""Taking over legs that another client began, or that this one lost sight of.

What a leg was is read from its channel's journal; what happened while nobody listened is made up from what
Asterisk shows now. A leg without a channel is looked up in Asterisk's own database. Before that its channel's
id is taken by a channel that dials nobody, so that a request which is still on its way cannot ring any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from tongdai.adapters.asterisk.dialplan import INCOMING_APP, READ_CONTEXT
from tongdai.adapters.asterisk.ends import End, parse_end, progressed
from tongdai.adapters.asterisk.heard import Channel, Heard
from tongdai.adapters.asterisk.journal import (
    FIRST_VARIABLE,
    MOST_PIECES,
    Journal,
    JournalError,
    decode,
    is_whole,
    variable,
)
from tongdai.adapters.asterisk.leg import Leg
from tongdai.adapters.asterisk.link import Reply
from tongdai.adapters.asterisk.recording import recording_name
from tongdai.adapters.asterisk.resuming import Facts, note_end, replay_end, resume
from tongdai.adapters.asterisk.wire import Watcher, channel_of
from tongdai.ports.telephony import (
    EndCause,
    EngineUnreachableError,
    LegKnowledge,
    LegRef,
)

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.engine import AsteriskEngine

logger = logging.getLogger(__name__)

TOMBSTONE_S = 60
"""For so long the id of a leg that was never seen cannot be dialled."""
KEPT_FOR = timedelta(hours=23)
"""The ends of calls are found today and tomorrow."""
STARTUP_MARGIN_S = 2.0
"""How far the clocks of a node, of the database and of this process may be apart."""
READ_WITHIN_S = 3.0
_NOT_FOUND, _CONFLICT = 404, 409
_AT_ONCE = 50


class Waiting:
    """Keeps what is heard of a leg until it is known how far the leg is."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def on_heard(self, heard: Heard) -> None:
        self.heard.append(heard)


async def adopt(engine: AsteriskEngine, refs: Sequence[LegRef]) -> dict[int, LegKnowledge]:
    """What is known of each; a leg about which no sense can be made is left out, and is in no other's way.

    Raises EngineUnreachableError; what was adopted until then is told all the same.
    """
    await _take_applications(engine, {ref.channel or channel_of(ref.leg_id) for ref in refs})
    up_since = await _up_since(engine)
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(ref: LegRef) -> LegKnowledge:
        async with places:
            return await _adopt_one(engine, ref, up_since)

    answers = await asyncio.gather(*(one(ref) for ref in refs), return_exceptions=True)
    known: dict[int, LegKnowledge] = {}
    for ref, answer in zip(refs, answers, strict=True):
        if isinstance(answer, LegKnowledge):
            known[ref.leg_id] = answer
        else:
            logger.warning("a leg cannot be adopted", extra={"leg": ref.leg_id}, exc_info=answer)
            if not engine.reachable:
                raise EngineUnreachableError("the connection was lost")
    return known


async def look_after(engine: AsteriskEngine, leg: Leg) -> None:
    """A leg of ours of which Asterisk ought to have said something. Raises EngineUnreachableError."""
    reply = await engine.ask("GET", f"channels/{quote(leg.channel)}")
    if reply.ok:
        leg.insist()
        return
    # One that has ended meanwhile ignores what follows.
    end, _ = await _read_end(engine, leg.leg_id)
    if end is None:
        leg.end(leg.at(), EndCause.FAILURE if leg.journal.answered_at is None else EndCause.NORMAL)
    else:
        note_end(leg, leg.at(), end)


async def _take_applications(engine: AsteriskEngine, channels: set[str]) -> None:
    reply = await engine.ask("GET", "applications")
    for app in reply.json() if reply.ok else ():
        name = app["name"]
        if name.startswith("td-") and name != INCOMING_APP and not channels.isdisjoint(app["channel_ids"]):
            await engine.taken.take_over(name)


async def _up_since(engine: AsteriskEngine) -> float:
    """Epoch seconds, by the node's clock."""
    reply = await engine.ask("GET", "asterisk/info?only=status")
    if not reply.ok:
        raise EngineUnreachableError("Asterisk does not say since when it is up")
    return _moment(reply.json()["status"]["startup_time"])


async def _adopt_one(engine: AsteriskEngine, ref: LegRef, up_since: float) -> LegKnowledge:
    channel = ref.channel or channel_of(ref.leg_id)
    held = engine.legs.pop(ref.leg_id, None)
    if held is not None:
        held.copy.write()
        held.forget()
    for _ in range(2):
        waiting = Waiting()
        there = await _channel(engine, channel, waiting)
        if there is not None and not _is_tombstone(there):
            return await _resume(engine, ref.leg_id, there, waiting)
        if engine.watcher(channel) is waiting:
            engine.unwatch(channel)
        end, ahead = await _read_end(engine, ref.leg_id)
        if end is not None:
            return await _replay_end(engine, ref.leg_id, end, ahead)
        if ahead is not None:
            return _knowledge(ref, up_since - ahead)
    raise EngineUnreachableError("a leg comes and goes")


def _knowledge(ref: LegRef, up_since: float) -> LegKnowledge:
    """Of a leg that has neither a channel nor an end."""
    certain = ref.dial_at.timestamp() > up_since + STARTUP_MARGIN_S
    recent = datetime.now(UTC) - ref.dial_at < KEPT_FOR
    return LegKnowledge.NEVER_SEEN if certain and recent and not ref.channel else LegKnowledge.FORGOTTEN


# ------------------------------------------------------------------ a leg that is up


async def _channel(engine: AsteriskEngine, channel: str, waiting: Watcher) -> Channel | None:
    """The channel, of whose events this engine hears from now on."""
    if (watcher := engine.watcher(channel)) is not None and isinstance(watcher, Leg):
        engine.unwatch(channel)
    if engine.watcher(channel) is None:
        engine.watch(channel, waiting)
    if not await _subscribed(engine, channel):
        return None
    reply = await engine.ask("GET", f"channels/{quote(channel)}")
    if reply.status == _NOT_FOUND:
        return None
    return msgspec.convert(reply.json(), Channel)


async def _subscribed(engine: AsteriskEngine, channel: str) -> bool:
    """Hear its events, if it is there. Asterisk warns of one that is not."""
    if (await engine.ask("GET", f"channels/{quote(channel)}")).status == _NOT_FOUND:
        return False
    source = quote(f"channel:{channel}")
    return (await engine.ask("POST", f"applications/{engine.app}/subscription?eventSource={source}")).ok


def _is_tombstone(channel: Channel) -> bool:
    return channel.name.startswith("Local/")


async def _resume(engine: AsteriskEngine, leg_id: int, channel: Channel, waiting: Waiting) -> LegKnowledge:
    if engine.watcher(channel.id) is not waiting:
        # A phone that a leg of this engine rings: that leg drives it.
        return LegKnowledge.REPLAYED
    try:
        journal = decode(leg_id, await _journal_text(engine, leg_id, channel.id))
    except JournalError:
        engine.unwatch(channel.id)
        engine.send("DELETE", f"channels/{quote(channel.id)}")
        return LegKnowledge.FORGOTTEN
    await engine.trunks.learn(journal.trunk_id)
    facts = await _facts(engine, journal, channel, waiting)
    leg = Leg(engine, journal, channel.id, engine.now() - max(0.0, time.time() - journal.started))
    engine.legs[leg_id] = leg
    for event in list(journal.events):
        engine.tell(event)
    resume(leg, facts)
    hand_on(engine, waiting)
    return LegKnowledge.REPLAYED


def hand_on(engine: AsteriskEngine, waiting: Waiting) -> None:
    """What was heard meanwhile goes to whom it concerns by now. For the rest nobody waits any more."""
    engine.unwatch_all_of(waiting)
    for heard in waiting.heard:
        engine.hear(heard)


async def _journal_text(engine: AsteriskEngine, leg_id: int, channel: str) -> str:
    text = ""
    for number in range(MOST_PIECES):
        reply = await engine.ask("GET", f"asterisk/variable?variable={variable(leg_id, number)}")
        text += _value(reply)
        if not text or is_whole(text):
            break
    return text or await _variable(engine, channel, FIRST_VARIABLE)


async def _facts(engine: AsteriskEngine, journal: Journal, channel: Channel, waiting: Waiting) -> Facts:
    """What Asterisk shows of a leg; what it says meanwhile is kept by `waiting`."""
    name = channel_of(journal.leg_id)
    plays, recordings = set(), set()
    for play_id, ordinal in journal.plays.items():
        engine.watch(f"{name}-{ordinal}", waiting)
        if (await engine.ask("GET", f"playbacks/{name}-{ordinal}")).ok:
            plays.add(play_id)
    begun, listeners = set(journal.recordings), set()
    for one in journal.recordings.values():
        recorded = recording_name(journal.leg_id, one.id)
        if (await engine.ask("GET", f"recordings/live/{recorded}")).ok:
            recordings.add(one.id)
        elif not (await engine.ask("GET", f"recordings/stored/{recorded}")).ok:
            begun.discard(one.id)
            if await _subscribed(engine, f"{name}-s{one.ordinal}"):
                listeners.add(one.id)
    phones = await _phones(engine, journal, waiting)
    heard_by = None
    in_application = _is_in_application(channel)
    if journal.detects and in_application and (said := await _variable(engine, channel.id, "AMDSTATUS")):
        heard_by = said
    return Facts(
        up=channel.state == "Up",
        rings=channel.state == "Ringing",
        progressed=channel.state == "Down" and progressed(await _said(engine, channel)),
        in_application=in_application,
        detected=heard_by,
        plays=frozenset(plays),
        recordings=frozenset(recordings),
        begun=frozenset(begun),
        listeners=frozenset(listeners),
        phones=frozenset(phones),
        answered_phones=frozenset(leg for leg, answered in phones.items() if answered),
    )


async def _phones(engine: AsteriskEngine, journal: Journal, waiting: Watcher) -> dict[int, bool]:
    """Those of its transfer that are there, and whether each was answered."""
    there: dict[int, bool] = {}
    for leg_id in journal.transfer.limits if journal.transfer is not None else ():
        name = channel_of(leg_id)
        engine.watch(name, waiting)
        if await _subscribed(engine, name) and (reply := await engine.ask("GET", f"channels/{name}")).ok:
            channel = msgspec.convert(reply.json(), Channel)
            there[leg_id] = channel.state == "Up" and _is_in_application(channel)
    return there


async def _said(engine: AsteriskEngine, channel: Channel) -> str:
    """The SIP status that its carrier said last, and its words; "": none."""
    return await _variable(engine, channel.id, quote(f"HANGUPCAUSE({channel.name},tech)"))


def _is_in_application(channel: Channel) -> bool:
    return channel.dialplan is not None and channel.dialplan.app_name == "Stasis"


async def _variable(engine: AsteriskEngine, channel: str, name: str) -> str:
    """ "" when it is not set."""
    return _value(await engine.ask("GET", f"channels/{quote(channel)}/variable?variable={name}"))


def _value(reply: Reply) -> str:
    return str(reply.json().get("value", "")) if reply.ok else ""


# ------------------------------------------------------------------ a leg that is not


async def _read_end(engine: AsteriskEngine, leg_id: int) -> tuple[End | None, float | None]:
    """What was noted at a leg's end, and how many seconds the node's clock is ahead of ours.

    From now on the leg cannot be dialled for a while, unless its end was found. Neither: it has a channel.
    """
    channel, reader = channel_of(leg_id), f"{channel_of(leg_id)}-o"
    asked = time.time()
    reply = await engine.ask(
        "POST",
        f"channels?endpoint={quote(f'Local/{leg_id}@{READ_CONTEXT}')}&app={engine.app}"
        f"&channelId={channel}&otherChannelId={reader}&timeout={TOMBSTONE_S}",
    )
    if reply.status == _CONFLICT:
        reply = await engine.ask("GET", f"channels/{channel}")
        if not reply.ok or not _is_tombstone(msgspec.convert(reply.json(), Channel)):
            return None, None
        ahead = 0.0
    elif not reply.ok:
        raise EngineUnreachableError("Asterisk does not look up the end of a leg")
    else:
        ahead = clock_ahead(_moment(reply.json()["creationtime"]), asked, time.time())
    text = await _read(engine, reader)
    end = parse_end(text)
    if end is not None:
        engine.send("DELETE", f"channels/{channel}")
    return end, ahead


def clock_ahead(made: float, asked: float, answered: float) -> float:
    """How many seconds the node's clock is ahead of ours, by when it says that it made what we asked for.

    A busy node answers seconds later, and when in between it did so nobody knows: as long as both clocks may
    agree, they do. Otherwise an end is taken for an earlier one, before the ring time was over for instance.
    """
    return 0.0 if asked <= made <= answered else made - (asked + answered) / 2


async def _read(engine: AsteriskEngine, reader: str) -> str:
    deadline = engine.now() + READ_WITHIN_S
    while await _variable(engine, reader, "TDREAD") != "1":
        if engine.now() > deadline:
            raise EngineUnreachableError("Asterisk does not look up the end of a leg")
        await asyncio.sleep(0.005)
    text = await _variable(engine, reader, "TDREC")
    for number in range(1, MOST_PIECES):
        if not text or is_whole(text):
            break
        text += await _variable(engine, reader, f"TDREC{number}")
    return text


async def _replay_end(engine: AsteriskEngine, leg_id: int, end: End, ahead: float | None) -> LegKnowledge:
    try:
        journal = decode(leg_id, end.journal)
    except JournalError:
        return LegKnowledge.FORGOTTEN
    await engine.trunks.learn(journal.trunk_id)
    at = max(0.0, round(end.at - (ahead or 0.0) - journal.started, 3))
    # The leg's clock stands where it ended.
    leg = Leg(engine, journal, channel_of(leg_id), engine.now() - at)
    for event in list(journal.events):
        engine.tell(event)
    replay_end(leg, at, end)
    return LegKnowledge.REPLAYED


def _moment(text: str) -> float:
    """Epoch seconds of one of Asterisk's times."""
    return datetime.fromisoformat(text.replace("+0000", "+00:00")).timestamp()
