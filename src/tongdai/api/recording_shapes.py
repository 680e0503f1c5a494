"""Shapes of recordings, and of the rules that they are kept by."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from tongdai.api.times import shown_time
from tongdai.domain import recordings
from tongdai.domain.recordings import Links


class RecordingLink(msgspec.Struct, frozen=True, kw_only=True):
    """An address that opens without a key until it expires."""

    format: recordings.Format
    url: str
    expires_at: datetime


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded of one call."""

    id: int
    call_id: int | None
    """Null: of a call that came in, or of no call that is known."""
    attempt_id: int | None
    incoming_call_id: int | None
    campaign_id: int | None
    kind: recordings.Kind
    """`call`: both sides, from the answer on. `step`: what the person said when the script asked them to.
    `inbound`: either, of a call that came in."""
    step_id: str | None
    """The step of the script that recorded it."""
    state: recordings.State
    """`pending`: it is on its way from the telephone exchange, as a rule for seconds. `stored`: it can be
    heard. `lost`: there is no sound; see `reason`."""
    reason: str | None
    """Of a lost one `not_at_node`, `node_removed`, `not_a_wav` or `empty`. Of a stored one `cut_off`: its end
    is missing."""
    seconds: float
    size_bytes: int | None
    """Of the wav; null until it is stored, like `sha256`."""
    sha256: str | None
    """Of the wav, in hexadecimal."""
    mp3: recordings.Mp3
    """`wanted`: it will be made."""
    created_at: datetime
    """When its call ended."""
    keep_until: datetime | None
    """When it is deleted. Null: when somebody deletes it."""
    files: list[RecordingLink]
    """Where it can be heard; none but of a stored one."""

    @classmethod
    def of(cls, row: recordings.Recording, links: Links, now: datetime) -> Recording:
        return cls(
            **{name: getattr(row, name) for name in _SAME},
            sha256=None if row.sha256 is None else row.sha256.hex(),
            created_at=shown_time(row.created_at),
            keep_until=shown_time(row.keep_until),
            files=[
                RecordingLink(
                    format=format,
                    url=links.address(row.id, now, format),
                    expires_at=shown_time(links.expires_at(now)),
                )
                for format in row.formats
            ],
        )


_SAME = (
    "id",
    "call_id",
    "attempt_id",
    "incoming_call_id",
    "campaign_id",
    "kind",
    "step_id",
    "state",
    "reason",
    "seconds",
    "size_bytes",
    "mp3",
)


class RecordingPage(msgspec.Struct, frozen=True):
    """Recordings, oldest first. It may hold few or none although `next` is set."""

    items: list[Recording]
    next: str | None
    """Cursor of the next page; null on the last."""


class CallRecordings(msgspec.Struct, frozen=True):
    """All recordings of one call, oldest first."""

    items: list[Recording]


class RecordingRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long recordings are kept, and in which formats."""

    keep_days: Annotated[int, Meta(ge=1, le=recordings.MAX_KEEP_DAYS)] | None
    """Days after the call. Null: until somebody deletes them."""
    mp3: bool = False
    """True: an mp3 is made of each, some time after the wav is there. Only of recordings from now on."""

    @classmethod
    def of(cls, rule: recordings.Rule) -> RecordingRule:
        return cls(keep_days=rule.keep_days, mp3=rule.mp3)

    def rule(self) -> recordings.Rule:
        return recordings.Rule(self.keep_days, self.mp3)


class RuleInForce(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with recordings, and who said so."""

    keep_days: int | None
    """Days after the call. Null: until somebody deletes them."""
    mp3: bool
    from_: str = msgspec.field(name="from")
    """`campaign`: the campaign's own rule. `account`: the account's. `default`: nobody gave one."""

    @classmethod
    def of(cls, rule: recordings.Rule, source: str) -> RuleInForce:
        return cls(keep_days=rule.keep_days, mp3=rule.mp3, from_=source)
