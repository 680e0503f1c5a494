"""Shapes of campaigns and templates: what is sent, and what is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tongdai.api.bodies import Channels, Cps, Id, Name
from tongdai.api.times import shown_time
from tongdai.api.waiting_shapes import Waiting, waiting_of
from tongdai.domain import campaigns
from tongdai.domain.campaigns import CampaignConfig, DeclaredField, FieldType, RetryRule
from tongdai.domain.campaigns.declared import MAX_FIELDS
from tongdai.domain.compliance import Schedule, Window
from tongdai.domain.scripts import MAX_TEXT_CHARS

Kind = Literal["voice", "otp"]
Purpose = Literal["advertising", "customer_care", "transactional", "otp", "debt_reminder", "survey"]
State = Literal["draft", "running", "paused", "stopped", "finished"]
Weekday = Annotated[int, Meta(ge=1, le=7)]
HotlineIds = Annotated[tuple[Id, ...], Meta(min_length=1, max_length=100)]
FieldName = Annotated[str, Meta(min_length=1, max_length=64)]
Advertiser = Annotated[str, Meta(max_length=200)]


class Field(DeclaredField, frozen=True, forbid_unknown_fields=True):
    """A field that a contact brings, or should, for the script to speak and branch on."""

    name: FieldName
    """As the script names it."""
    type: FieldType = "text"
    """A value may come as text that says it: `"30"` for an integer, `"true"` for a boolean. It is kept in
    this type. A date is `2026-12-31` or `31/12/2026`, and kept as it was written."""
    required: bool = False
    """True: a contact without it is rejected, as `field_missing`. Blank text is no value."""
    default: str | int | float | bool | None = None
    """What a contact has that brings no value; not for a required field."""


Fields = Annotated[tuple[Field | FieldName, ...], Meta(max_length=MAX_FIELDS)]


class CallingWindow(Window, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours of the day on some weekdays, in Vietnam's time."""

    weekdays: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)]
    """ISO: 1 is Monday, 7 is Sunday."""
    start: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    """`HH:MM`, the first minute at which a call may start."""
    end: Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
    """`HH:MM`, the minute from which none may; `24:00` is the end of the day."""


class CallingSchedule(Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When calls may start, in Vietnam's time."""

    windows: Annotated[tuple[CallingWindow, ...], Meta(min_length=1, max_length=50)]
    """A window ends after it starts; a night is two windows."""


class Settings(CampaignConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a campaign dials. All durations in seconds."""

    schedule: CallingSchedule | None = None
    """Null: every hour of every day."""
    retries: Annotated[dict[str, RetryRule], Meta(max_length=20)] = msgspec.field(default_factory=dict)
    """By outcome: how often more, and after how long. Without a rule a call is not dialled again. Possible
    for voicemail, no_answer, busy, unreachable, congestion, failed and lost."""
    detect_voicemail: bool = True
    """False: whoever answers is taken for a person. A call with a one-time code looks all the same."""
    voicemail_action: Literal["hang_up", "leave_message", "retry"] = "hang_up"
    """What is done about a machine. `leave_message`: it hears the script from its step `voicemail`; not in an
    OTP campaign. `retry`: it is hung up on and dialled again, by the rule for `voicemail`, or else once more
    after an hour. The last two need `detect_voicemail`."""
    record: bool = False
    """True: both sides are recorded from the answer to the end. Never a machine; not in an OTP campaign."""
    record_announcement: Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] | None = None
    """What a person hears before anything of the call is recorded, with `{fields}` like a script's texts.
    Null: "Để nâng cao chất lượng phục vụ, cuộc gọi này sẽ được ghi âm." Empty: nothing, because you have told
    them before."""
    otp_seconds: Annotated[int, Meta(ge=5, le=3600)] = 60
    """An OTP that could not be dialled for so long ends as `expired`."""
    on_unpaid: Literal["wait", "refuse"] | None = None
    """Of a prepaid account without a valid plan, or whose wallet cannot cover the next call. `wait`: the
    campaign dials nothing until that is mended. `refuse`: each call that comes due ends, as `plan_expired`
    or `no_funds`. Null: an OTP campaign refuses, every other one waits."""


class NewCampaign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign to be created. It begins as a draft."""

    name: Name
    kind: Kind = "voice"
    """`otp`: reads a one-time code; takes contacts only while it runs. Its script has a `read_code` step; the
    script of a `voice` campaign has none."""
    purpose: Purpose
    """`otp` for an OTP campaign, and only for one."""
    script_id: Id
    """The campaign keeps the version that is current now."""
    hotline_ids: HotlineIds
    """The numbers it may show; the one of the callee's network is taken first. Advertising may run only with
    one that has a brand name."""
    fields: Fields = ()
    """What its contacts bring. A bare name is an optional text."""
    advertiser: Advertiser = ""
    """In whose name it calls, as consents and opt-outs name them. Empty: in your own."""
    attestation_id: Id | None = None
    """Your word on how everybody on the list agreed to be called, for this purpose and advertiser."""
    config: Settings = msgspec.field(default_factory=Settings)
    max_channels: Channels | None = None
    """Calls at a time. Null: no cap of its own."""
    max_cps: Cps | None = None
    """Calls per second, 0.01 to 10,000. Null: no cap of its own."""
    takes_imports: bool = True
    """True: it stays running when it runs dry, and dials what arrives later. False: it finishes then."""
    project_id: Id | None = None


class CampaignChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change in a campaign; what is left out stays."""

    name: Name | UnsetType = UNSET
    hotline_ids: HotlineIds | UnsetType = UNSET
    config: Settings | UnsetType = UNSET
    """Replaces the whole configuration."""
    max_channels: Channels | UnsetType | None = UNSET
    """Null: no cap of its own."""
    max_cps: Cps | UnsetType | None = UNSET
    """Calls per second, 0.01 to 10,000. Null: no cap of its own."""
    purpose: Purpose | UnsetType = UNSET
    """Of a draft, by an owner."""
    advertiser: Advertiser | UnsetType = UNSET
    """Of a draft, by an owner."""
    attestation_id: Id | UnsetType | None = UNSET
    """By an owner. Null: none."""

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in _pairs(self) if value is not UNSET}


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A running list of calls."""

    id: int
    name: str
    kind: Kind
    purpose: Purpose
    state: State
    project_id: int | None
    template_id: int | None
    """The template it was made from."""
    script_id: int
    script_version: int
    hotline_ids: list[int]
    fields: list[DeclaredField]
    """What its contacts bring."""
    advertiser: str
    """In whose name it calls; empty: in your own."""
    attestation_id: int | None
    """Your word on how its contacts agreed to be called."""
    config: CampaignConfig
    max_channels: int | None
    """Calls at a time. Null: no cap of its own."""
    max_cps: float | None
    """Calls per second, 0.01 to 10,000. Null: no cap of its own."""
    takes_imports: bool
    """True: it stays running when it runs dry."""
    waiting: Waiting | None
    """Set while it runs but may not dial."""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, row: campaigns.Campaign, *, is_dialled: bool = True) -> Campaign:
        """`is_dialled`: a dialer lives that could dial it."""
        plain = {name: getattr(row, name) for name in _SAME_IN_CAMPAIGN}
        times = {name: shown_time(getattr(row, name)) for name in ("created_at", "started_at", "ended_at")}
        return cls(**plain, **times, fields=list(row.fields), waiting=waiting_of(row, is_dialled))


_SAME_IN_CAMPAIGN = (
    "id",
    "name",
    "kind",
    "purpose",
    "state",
    "project_id",
    "template_id",
    "script_id",
    "script_version",
    "hotline_ids",
    "advertiser",
    "attestation_id",
    "config",
    "max_channels",
    "max_cps",
    "takes_imports",
)


class CampaignPage(msgspec.Struct, frozen=True):
    """Campaigns, oldest first."""

    items: list[Campaign]
    next: str | None
    """Cursor of the next page; null on the last."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a campaign is. `accepted = queued + dialing + done` at any moment."""

    campaign_id: int
    state: State
    accepted: int
    """Calls that it was given."""
    queued: int
    dialing: int
    done: int
    outcomes: dict[str, int]
    """Finished calls by outcome."""
    blocked_by: dict[str, int]
    """Of those with outcome `blocked`, by the rule that forbade the call: `opted_out`, `dnc_account`,
    `dnc_platform`, `dnc_national`, `no_consent`, `consent_withdrawn`, `freq_24h`, `freq_day`,
    `contact_window_over` and what other rules are called."""
    next_due_at: datetime | None
    """When the earliest queued call is due; in the past when it is due now."""
    waiting: Waiting | None
    """Why nothing more is dialled; null when calls are, and when it does not run."""

    @classmethod
    def of(cls, row: campaigns.Progress, *, is_dialled: bool) -> Progress:
        """`is_dialled`: a dialer lives that could dial it."""
        return cls(
            campaign_id=row.campaign_id,
            state=_state(row.state),
            accepted=row.accepted,
            queued=row.queued,
            dialing=row.dialing,
            done=row.done,
            outcomes=dict(row.outcomes),
            blocked_by=dict(row.blocked_by),
            next_due_at=shown_time(row.next_due_at),
            waiting=waiting_of(row, is_dialled),
        )


class NewTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template to be created: everything that its campaigns start with."""

    name: Name
    kind: Kind = "voice"
    """`otp`: with a script that has a `read_code` step; the script of a `voice` campaign has none."""
    purpose: Purpose
    """`otp` for an OTP campaign, and only for one."""
    script_id: Id
    """A campaign keeps the version that is current when it is made."""
    hotline_ids: HotlineIds
    fields: Fields = ()
    """What the contacts of its campaigns bring. A bare name is an optional text."""
    advertiser: Advertiser = ""
    """In whose name its campaigns call. Empty: in your own."""
    attestation_id: Id | None = None
    """Your word on how the persons on its lists agreed to be called, for this purpose and advertiser."""
    config: Settings = msgspec.field(default_factory=Settings)
    max_channels: Channels | None = None
    max_cps: Cps | None = None
    """Calls per second, 0.01 to 10,000. Null: no cap of its own."""
    takes_imports: bool = True
    project_id: Id | None = None


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign to be, as often as wanted."""

    id: int
    name: str
    project_id: int | None
    kind: Kind
    purpose: Purpose
    script_id: int
    hotline_ids: list[int]
    fields: list[DeclaredField]
    advertiser: str
    attestation_id: int | None
    config: CampaignConfig
    max_channels: int | None
    max_cps: float | None
    takes_imports: bool
    created_at: datetime
    archived_at: datetime | None
    """Set: no campaign can be made from it any more."""

    @classmethod
    def of(cls, row: campaigns.Template) -> Template:
        held = row.config
        return cls(
            id=row.id,
            name=row.name,
            project_id=row.project_id,
            kind=held.kind,
            purpose=held.purpose,
            script_id=held.script_id,
            hotline_ids=list(held.hotline_ids),
            fields=list(held.fields),
            advertiser=held.advertiser,
            attestation_id=held.attestation_id,
            config=held.config,
            max_channels=held.max_channels,
            max_cps=held.max_cps,
            takes_imports=held.takes_imports,
            created_at=shown_time(row.created_at),
            archived_at=shown_time(row.archived_at),
        )


class TemplatePage(msgspec.Struct, frozen=True):
    """Templates, oldest first."""

    items: list[Template]
    next: str | None
    """Cursor of the next page; null on the last."""


class CampaignFromTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A campaign to be made from a template."""

    name: Name
    state: Literal["draft", "running"] = "draft"
    """`running`: it dials what it is given from now on."""
    project_id: Id | None = None
    """Null: the template's."""


def declared(fields: tuple[Field | str, ...]) -> tuple[DeclaredField, ...]:
    """Declared fields; a bare name is an optional text."""
    return tuple(DeclaredField(one) if isinstance(one, str) else one for one in fields)


def _state(text: str) -> State:
    state: State = msgspec.convert(text, State)
    return state


def _pairs(change: msgspec.Struct) -> list[tuple[str, Any]]:
    return [(name, getattr(change, name)) for name in change.__struct_fields__]
