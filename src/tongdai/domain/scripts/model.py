"""A call flow as data: what is said, asked and done on a call, step by step. Pure.

A script is JSON: steps by id, and where to start. `docs/reference/scripts.md` shows each step. A step that
leads nowhere ends the call. `parse_script` makes a Script from what a customer sent; a Script that was not
parsed was not checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tongdai.domain.scripts.template import FieldRef, fields_of

MAX_STEPS = 200
MAX_TEXT_CHARS = 2000
KEYS = "0123456789*#"

Seconds = Annotated[float, Meta(ge=1, le=60)]
RecordSeconds = Annotated[float, Meta(ge=1, le=600)]
Pause = Annotated[float, Meta(ge=0, le=5)]
Tries = Annotated[int, Meta(ge=1, le=5)]
Repeats = Annotated[int, Meta(ge=1, le=3)]
DigitCount = Annotated[int, Meta(ge=1, le=32)]
MAX_PARTS = 20
MAX_CHOICES = 100
MAX_TARGETS = 10

CONFIRM_TEXT = "Xin quý khách nhấn một phím bất kỳ để nghe mã xác thực."


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A piece of a prompt: a text with {fields}, or an audio file. Exactly one of the two."""

    text: str | None = None
    audio_file_id: int | None = None


class _Step(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind"
):
    pass


class SayStep(_Step, frozen=True, kw_only=True, tag="say"):
    """Speak a text. Keys pressed meanwhile are kept for the next gather."""

    text: str
    next: str | None = None


class PlayStep(_Step, frozen=True, kw_only=True, tag="play"):
    """Play an audio file. Keys pressed meanwhile are kept for the next gather."""

    audio_file_id: int
    next: str | None = None


class GatherStep(_Step, frozen=True, kw_only=True, tag="gather"):
    """Ask for a key, or for several.

    A value in `on` leads to its step; any other leads to `next` if there is one, else it is invalid. With
    `max_digits` above 1 the value ends at `terminator`, at `max_digits`, or after `timeout_s` of silence.
    """

    prompt: Annotated[tuple[Part, ...], Meta(max_length=MAX_PARTS)] = ()
    retry_prompt: Annotated[tuple[Part, ...], Meta(max_length=MAX_PARTS)] = ()
    """Said before the prompt when it is repeated."""
    on: Annotated[dict[str, str], Meta(max_length=MAX_CHOICES)] = {}
    next: str | None = None
    min_digits: DigitCount = 1
    max_digits: DigitCount = 1
    terminator: Literal["#", "*"] | None = "#"
    timeout_s: Seconds = 5
    """Silence after the prompt, or after a key, that ends the try."""
    tries: Tries = 2
    barge_in: bool = True
    """True: a key stops the prompt. False: the prompt is heard to its end, then the keys count."""
    clear_before: bool = False
    """True: keys pressed before this step began are forgotten."""
    on_invalid: str | None = None
    on_timeout: str | None = None


class Case(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One way out of a branch. Exactly one of `equals`, `one_of` and `present`."""

    equals: str | None = None
    one_of: Annotated[tuple[str, ...], Meta(max_length=MAX_CHOICES)] | None = msgspec.field(
        default=None, name="in"
    )
    present: bool | None = None
    """True: there is a value. False: there is none."""
    next: str | None = None


class BranchStep(_Step, frozen=True, kw_only=True, tag="branch"):
    """Go on by a contact's field, or, without `field`, by what the last gather took. First match wins."""

    cases: Annotated[tuple[Case, ...], Meta(max_length=MAX_CHOICES)]
    field: str | None = None
    otherwise: str | None = msgspec.field(default=None, name="else")


class ReadCodeStep(_Step, frozen=True, kw_only=True, tag="read_code"):
    """Say what the one-time code is for, then read it digit by digit. Only in scripts of kind otp."""

    purpose: str
    again: str = ""
    """Said before each further reading."""
    repeats: Repeats = 2
    """Readings in all."""
    pause_s: Pause = 1
    """Silence between readings."""
    next: str | None = None


class RecordStep(_Step, frozen=True, kw_only=True, tag="record"):
    """Record what the person says. Never in scripts of kind otp."""

    max_s: RecordSeconds = 60
    stop_on_digit: bool = True
    announce: bool = True
    """True: the campaign's announcement of a recording is spoken before, unless it was on this call. False:
    the script says by itself that it records."""
    next: str | None = None


class TransferStep(_Step, frozen=True, kw_only=True, tag="transfer"):
    """Connect the person to somebody else, or to whoever of a ring group answers first.

    Exactly one of `target` and `targets`. `next` follows when that talk has ended.
    """

    target: str | None = None
    targets: Annotated[tuple[str, ...], Meta(max_length=MAX_TARGETS)] = ()
    strategy: Literal["all", "in_turn"] = "all"
    """all: the targets ring at the same time. in_turn: one after the other, each for `ring_s`."""
    ring_s: Seconds = 30
    next: str | None = None
    on_failed: str | None = None
    """Where it goes when nobody answered."""


class OptOutStep(_Step, frozen=True, kw_only=True, tag="opt_out"):
    """The person wants no more calls: nobody calls them again in this advertiser's name, from this moment
    on."""

    next: str | None = None


class HangUpStep(_Step, frozen=True, kw_only=True, tag="hang_up"):
    """End the call."""

    end_code: str | None = None
    """What the call's result says; "completed" without it."""


Step = (
    SayStep
    | PlayStep
    | GatherStep
    | BranchStep
    | ReadCodeStep
    | RecordStep
    | TransferStep
    | OptOutStep
    | HangUpStep
)
KINDS = ("say", "play", "gather", "branch", "read_code", "record", "transfer", "opt_out", "hang_up")


class Clip(Struct, frozen=True):
    """Where an audio file is stored and how long it lasts, as it was when the version was written."""

    storage_key: str
    duration_s: float


class Script(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A checked call flow."""

    start: str
    steps: dict[str, Step]
    kind: Literal["voice", "otp"] = "voice"
    voicemail: str | None = None
    """Where a message for a machine starts; None: at `start`."""
    confirm_human: bool = False
    """True: when nobody knows whether a person answered, a code is read only after a key was pressed."""
    confirm_text: str = CONFIRM_TEXT
    voice: str = ""
    """Which voice speaks its texts, `provider:name`; "": the installation's own."""
    clips: dict[int, Clip] = {}
    """By audio file id. Filled when a version is written, never by a customer."""


@dataclass(frozen=True, slots=True)
class ScriptEntry:
    """A script without its steps."""

    id: int
    account_id: int
    name: str
    version: int
    """The current version; in a `ScriptRow` the version of its body."""
    created_at: datetime
    archived_at: datetime | None


@dataclass(frozen=True, slots=True)
class ScriptRow(ScriptEntry):
    """A script with its steps. The clips are left out: where files are stored is no customer's business."""

    body: Script


def transfer_targets(step: TransferStep) -> tuple[str, ...]:
    """Whom a step rings, as it was written."""
    return step.targets if step.target is None else (step.target, *step.targets)


def with_clips(script: Script, clips: dict[int, Clip]) -> Script:
    return msgspec.structs.replace(script, clips=clips)


def links(step: Step) -> list[tuple[str, str]]:
    """Where a step leads, as (path within the step, step id)."""
    found: list[tuple[str, str | None]] = []
    if isinstance(step, GatherStep):
        found += [(f"on.{value}", target) for value, target in step.on.items()]
        found += [("next", step.next), ("on_invalid", step.on_invalid), ("on_timeout", step.on_timeout)]
    elif isinstance(step, BranchStep):
        found += [(f"cases.{index}.next", case.next) for index, case in enumerate(step.cases)]
        found.append(("else", step.otherwise))
    elif not isinstance(step, HangUpStep):
        found.append(("next", step.next))
        if isinstance(step, TransferStep):
            found.append(("on_failed", step.on_failed))
    return [(path, target) for path, target in found if target is not None]


def texts(step: Step) -> Iterator[tuple[str, str]]:
    """What a step may speak, as (path within the step, text)."""
    if isinstance(step, SayStep):
        yield "text", step.text
    elif isinstance(step, ReadCodeStep):
        yield "purpose", step.purpose
        if step.again:
            yield "again", step.again
    elif isinstance(step, GatherStep):
        for name, prompt in (("prompt", step.prompt), ("retry_prompt", step.retry_prompt)):
            for index, part in enumerate(prompt):
                if part.text is not None:
                    yield f"{name}.{index}.text", part.text


def audio_files(step: Step) -> Iterator[tuple[str, int]]:
    """Which audio files a step plays, as (path within the step, audio file id)."""
    if isinstance(step, PlayStep):
        yield "audio_file_id", step.audio_file_id
    elif isinstance(step, GatherStep):
        for name, prompt in (("prompt", step.prompt), ("retry_prompt", step.retry_prompt)):
            for index, part in enumerate(prompt):
                if part.audio_file_id is not None:
                    yield f"{name}.{index}.audio_file_id", part.audio_file_id


def used_fields(script: Script) -> frozenset[str]:
    """Every field that the script speaks or branches on."""
    branched = {step.field for step in script.steps.values() if isinstance(step, BranchStep) and step.field}
    return frozenset(branched | {ref.name for ref in _refs(script)})


def required_fields(script: Script) -> frozenset[str]:
    """The fields that each contact should have: those spoken somewhere without a default."""
    return frozenset(ref.name for ref in _refs(script) if ref.default is None)


def _refs(script: Script) -> Iterator[FieldRef]:
    for step in script.steps.values():
        for _, text in texts(step):
            yield from fields_of(text)
    if script.kind == "otp" and script.confirm_human:
        yield from fields_of(script.confirm_text)
