"""Which campaigns may dial now, and why the others may not (ARCHITECTURE section 5, step 2).

Reads no row of a campaign that may not dial, but one probe for its next due call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain

import msgspec

from tongdai.domain import billing, compliance
from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.compliance import AgreedTerms, NationalList, Policy
from tongdai.domain.dialer.model import Line, Plan, Station, Stations, without_nodes
from tongdai.domain.dialer.store import planning as store
from tongdai.domain.dialer.store.planning import CampaignRow, LineRow
from tongdai.kit.db import Tx

YIELD_EVERY = 100
"""Campaigns judged in one go, because calls that are due in between do not wait."""

Waiting = tuple[str | None, datetime | None]
"""(reason or None when it dials, moment when that ends by itself)."""


@dataclass(frozen=True, slots=True)
class Plans:
    dialable: Mapping[int, Plan]
    due: frozenset[int]
    """Those of them that have a call due now."""
    waiting: Mapping[int, Waiting]

    def code_limits(self) -> frozenset[int]:
        """Caps that a running one-time-code campaign shares with others."""
        codes = [one for one in self.dialable.values() if one.is_otp]
        return frozenset(id_ for one in codes for id_ in one.limit_ids() - {one.campaign_limit})

    def without(self, campaign_ids: Iterable[int], reason: str) -> Plans:
        """The same, but these campaigns wait for this reason."""
        gone = set(campaign_ids)
        dialable = {id_: one for id_, one in self.dialable.items() if id_ not in gone}
        waiting = {**self.waiting, **dict.fromkeys(gone, (reason, None))}
        return Plans(dialable, self.due - gone, waiting)


@dataclass(frozen=True, slots=True)
class Scene:
    """What one look knows besides the campaigns themselves."""

    now: datetime
    lines: Mapping[int, LineRow]
    served: Mapping[int, frozenset[str] | None]
    """By account: the networks that its trunks carry; None: all."""
    standings: Mapping[int, billing.AccountStanding]
    """Of prepaid accounts."""
    agreed: Mapping[int, AgreedTerms]
    """By attestation."""
    policy: Policy
    national_list: NationalList | None
    """How old our copy of the national do-not-call register is; None: there is none."""
    is_reachable: Callable[[str], bool]
    is_holiday: Callable[[date], bool]
    stations: Stations

    def open_to(self, line: LineRow) -> list[Line]:
        """The ways out that a hotline has now."""
        return [
            line.line(station)
            for station in self.stations(line.engine, line.node_ids)
            if self.is_reachable(station.engine)
        ]

    def all_of(self, line: LineRow) -> list[Line]:
        """The ways out that a hotline has at all; one at least."""
        stations = self.stations(line.engine, line.node_ids) or [Station(line.engine)]
        return [line.line(station) for station in stations]


async def plan(
    tx: Tx,
    now: datetime,
    *,
    policy: Policy,
    is_reachable: Callable[[str], bool],
    is_holiday: Callable[[date], bool],
    stations: Stations = without_nodes,
) -> Plans:
    """Look at every running campaign once."""
    campaigns = await store.running_campaigns(tx)
    accounts = {row.account_id for row in campaigns}
    scene = Scene(
        now=now,
        lines=await store.lines(tx, [id_ for row in campaigns for id_ in row.hotline_ids]),
        served=await store.served_networks(tx, accounts),
        standings=await billing.standings(tx, sorted(accounts), now),
        agreed=await _agreed(tx, campaigns),
        policy=policy,
        national_list=await compliance.national_list(tx),
        is_reachable=is_reachable,
        is_holiday=is_holiday,
        stations=stations,
    )
    dialable: dict[int, Plan] = {}
    waiting: dict[int, Waiting] = {}
    due: set[int] = set()
    for number, row in enumerate(campaigns):
        if number % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
        plan_or_reason = _judge(row, scene)
        if isinstance(plan_or_reason, Plan):
            dialable[row.id] = plan_or_reason
            waiting[row.id] = _nothing_due(row, now)
            if row.next_due_at is not None and row.next_due_at <= now:
                due.add(row.id)
        else:
            waiting[row.id] = plan_or_reason
    return Plans(dialable, frozenset(due), waiting)


async def _agreed(tx: Tx, campaigns: Sequence[CampaignRow]) -> dict[int, AgreedTerms]:
    attested = {row.attestation_id for row in campaigns if row.attestation_id is not None}
    return await compliance.agreed_terms(tx, sorted(attested)) if attested else {}


def _judge(row: CampaignRow, scene: Scene) -> Plan | Waiting:
    try:
        config = store.decode_config(row.config)
    except msgspec.MsgspecError:
        return "configuration_invalid", None
    agreed = None if row.attestation_id is None else scene.agreed.get(row.attestation_id)
    opening = compliance.check_calling(
        config.schedule, scene.policy, row.purpose, agreed, scene.now, holidays=scene.is_holiday
    )
    if not isinstance(opening, compliance.Open):
        return _why_closed(opening)
    blocked = compliance.campaign_block(scene.policy, row.purpose, scene.national_list, scene.now)
    if blocked is not None:
        return blocked, None
    unpaid = _why_unpaid(row, config, scene)
    if unpaid is not None:
        return unpaid, None
    own = [scene.lines[id_] for id_ in row.hotline_ids if id_ in scene.lines]
    usable = [line for line in own if _is_usable(line, row, scene)]
    if not usable:
        return _why_no_line(own, row, scene)
    return _plan(row, config, scene, own, usable, opening.until)


def _plan(
    row: CampaignRow,
    config: CampaignConfig,
    scene: Scene,
    own: Sequence[LineRow],
    usable: Sequence[LineRow],
    closes_at: datetime | None,
) -> Plan:
    return Plan(
        campaign_id=row.id,
        account_id=row.account_id,
        user_id=row.user_id,
        is_otp=row.kind == "otp",
        script_id=row.script_id,
        script_version=row.script_version,
        config=config,
        campaign_limit=row.limit_id,
        account_limit=row.account_limit_id,
        lines=tuple(chain.from_iterable(map(scene.open_to, usable))),
        closes_at=closes_at,
        configured=tuple(chain.from_iterable(map(scene.all_of, own))),
        served=scene.served.get(row.account_id, frozenset()),
        purpose=row.purpose,
        advertiser=row.advertiser,
        attestation_id=row.attestation_id,
        refuses_unpaid=_refuses_unpaid(row, config),
    )


def _refuses_unpaid(row: CampaignRow, config: CampaignConfig) -> bool:
    """A one-time code is worth nothing later; anything else waits for the money unless it is told not to."""
    return (config.on_unpaid or ("refuse" if row.kind == "otp" else "wait")) == "refuse"


def _why_closed(opening: compliance.ClosedUntil | compliance.ClosedForever) -> Waiting:
    if isinstance(opening, compliance.ClosedForever):
        return _FOR_EVER.get(opening.reason, f"schedule_over: {opening.reason}"), None
    if opening.reason == "purpose_window":
        return "purpose_window", opening.until
    return f"schedule_closed: {opening.reason}", opening.until


_FOR_EVER = {
    "bad_schedule": "configuration_invalid",
    "no_policy": "no_policy",
    "purpose_window": "purpose_window",
}
"""Reasons of their own among those that nothing but somebody ends."""


def _why_unpaid(row: CampaignRow, config: CampaignConfig, scene: Scene) -> str | None:
    standing = scene.standings.get(row.account_id)
    if standing is None or _refuses_unpaid(row, config):
        return None
    if not standing.plan:
        return "plan_expired"
    return None if standing.funded else "wallet_empty"


def _is_usable(line: LineRow, row: CampaignRow, scene: Scene) -> bool:
    if not (line.enabled and line.is_valid(scene.now) and scene.open_to(line)):
        return False
    return not compliance.needs_brand_name(scene.policy, row.purpose) or line.has_brand_name(scene.now)


def _why_no_line(own: Sequence[LineRow], row: CampaignRow, scene: Scene) -> Waiting:
    """The nearest reason: what keeps the line that is farthest on its way from being used."""
    if not own:
        return "no_hotline", None
    enabled = [line for line in own if line.enabled]
    if not enabled:
        return "hotlines_disabled", None
    valid = [line for line in enabled if line.is_valid(scene.now)]
    if not valid:
        starts = [line.valid_from for line in enabled if line.valid_from and line.valid_from > scene.now]
        return "hotlines_not_valid", min(starts, default=None)
    named = [line for line in valid if line.has_brand_name(scene.now)]
    if compliance.needs_brand_name(scene.policy, row.purpose) and not named:
        return "brand_name_missing", None
    return "engine_unreachable", None


def _nothing_due(row: CampaignRow, now: datetime) -> Waiting:
    if row.next_due_at is None:
        return "nothing_queued", None
    if row.next_due_at > now:
        reason = "next_call_later" if row.next_deferred is None else f"next_call_later: {row.next_deferred}"
        return reason, row.next_due_at
    return None, None
