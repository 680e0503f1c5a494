"""A recording, the rule that it is kept by, and what there is to do with it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

Kind = Literal["call", "step", "inbound"]
"""`call`: both sides, to the end. `step`: what the person said when asked to. `inbound`: either, of a call
that came in."""
State = Literal["pending", "stored", "lost", "deleted"]
Mp3 = Literal["no", "wanted", "made", "failed"]
Format = Literal["wav", "mp3"]

DEFAULT_KEEP_DAYS: Final = 90
"""Where an account has no rule of its own. No law names a number; nothing is to be kept without need."""
MAX_KEEP_DAYS: Final = 36_500


@dataclass(frozen=True, slots=True)
class NewRecording:
    """A file that an engine keeps, of a leg that ends. It belongs to a call of a campaign or to one that came
    in."""

    account_id: int
    leg_id: int
    engine: str
    """As legs call it, `asterisk/<node>`."""
    name: str
    """What the engine calls it."""
    kind: Kind
    seconds: float
    at: datetime
    """Aware; when the leg ended."""
    step_id: str | None = None
    call_id: int | None = None
    attempt_id: int | None = None
    campaign_id: int | None = None
    incoming_call_id: int | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    id: int
    account_id: int
    leg_id: int
    call_id: int | None
    attempt_id: int | None
    campaign_id: int | None
    incoming_call_id: int | None
    kind: Kind
    step_id: str | None
    state: State
    reason: str | None
    """Why it is lost, or was deleted."""
    storage_key: str
    """Of the wav."""
    seconds: float
    size_bytes: int | None
    """Of the wav, once it is stored; so is `sha256`."""
    sha256: bytes | None
    mp3: Mp3
    mp3_bytes: int | None
    keep_until: datetime | None
    """None: until somebody deletes it."""
    created_at: datetime
    stored_at: datetime | None
    deleted_at: datetime | None

    @property
    def formats(self) -> tuple[Format, ...]:
        """What can be heard now."""
        if self.state != "stored":
            return ()
        return ("wav", "mp3") if self.mp3 == "made" else ("wav",)


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """What to list. None: any."""

    campaign_id: int | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """How long recordings are kept, and in which formats."""

    keep_days: int | None = DEFAULT_KEEP_DAYS
    """None: until somebody deletes them."""
    mp3: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """Recordings that their nodes still hold."""

    number: int
    oldest_s: float
    """0 when none waits."""


def mp3_key(storage_key: str) -> str:
    """Where the mp3 of a wav is."""
    return storage_key.removesuffix(".wav") + ".mp3"


# --------------------------------------------------------------------------- what there is to do


@dataclass(frozen=True, slots=True)
class Task:
    """A recording with something left to do: to be fetched, to be forgotten by its node, or to be deleted."""

    id: int
    account_id: int
    engine: str
    name: str
    state: State
    storage_key: str
    at_node: bool
    has_files: bool
    tries: int
    """This one included. Whoever finds another number when they are done came too late."""
    doubts: int
    """How often its node had none, or a broken one."""


@dataclass(frozen=True, slots=True)
class Mp3Task:
    id: int
    storage_key: str
    tries: int


LEASE: Final = timedelta(minutes=10)
"""How long whoever took a task may be at it; then others may take it."""
_FIRST_DELAY_S: Final = 5.0
_LONGEST_DELAY_S: Final = 900.0


def delay_after(tries: int) -> timedelta:
    """Until the next try: 5 s, 10 s, 20 s, … a quarter of an hour."""
    return timedelta(seconds=min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(tries - 1, 16)))


_NAME = re.compile(r"td-([1-9][0-9]{0,17})-[0-9]{1,9}")


def leg_of(name: str) -> int | None:
    """Whose recording it is, by what we have engines call it: `td-<leg>-<command>`. None: not ours."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None
