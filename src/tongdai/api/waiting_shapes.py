"""Why a running campaign dials nothing: the words, and how they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, cast

import msgspec

from tongdai.api.times import shown_time
from tongdai.domain import campaigns

WaitingReason = Literal[
    "schedule_closed",
    "schedule_over",
    "nothing_queued",
    "next_call_later",
    "channels_full",
    "engine_unreachable",
    "no_dialer",
    "hotlines_disabled",
    "no_hotline",
    "script_invalid",
    "configuration_invalid",
    "plan_expired",
    "wallet_empty",
    "no_policy",
    "purpose_window",
    "dnc_stale",
    "brand_name_missing",
    "hotlines_not_valid",
    "trunks_cooling",
    "daily_cap_reached",
    "speech_not_ready",
    "speech_failed",
]
WaitingDetail = Literal[
    "not_started",
    "window_closed",
    "holiday",
    "schedule_ended",
    "never_opens",
    "contact_window",
    "freq_24h",
    "freq_day",
    "freq_3h",
    "freq_hour",
    "freq_minute",
    "person_busy",
    "hotline_unavailable",
    "channels_full",
    "trunks_cooling",
    "daily_cap_reached",
    "wallet_reserved",
    "wallet_empty",
    "plan_expired",
    "no_policy",
]


class Waiting(msgspec.Struct, frozen=True):
    """Why a running campaign dials nothing at the moment. Calls that are up go on all the same."""

    reason: WaitingReason
    """What ends each:

    - `schedule_closed`, `next_call_later`, `channels_full`: time.
    - `nothing_queued`: the next contact or retry.
    - `purpose_window`: the next hour in which the rules for its purpose allow calls, at `until`; without one
      those hours and its schedule never meet.
    - `trunks_cooling`: time; every trunk that could call has failed too often of late.
    - `daily_cap_reached`: the next day of Vietnam, or a higher `daily_cap` of a hotline.
    - `plan_expired`: a plan that is valid. `wallet_empty`: a top-up that covers a call.
    - `brand_name_missing`: a hotline whose brand name is valid, which its purpose needs.
    - `hotlines_not_valid`: a hotline within its contract's dates. `hotlines_disabled`, `no_hotline`: one that
      is enabled, on a trunk that is.
    - `dnc_stale`: a fresh copy of the national do-not-call register. `no_policy`: a policy of rules that is
      in force today; both are the operator's to bring.
    - `speech_not_ready`: time; what the next calls say is being spoken. `speech_failed`: the voice's answer,
      or another voice, which is the operator's to bring.
    - `no_dialer`: a dialer process, which the operator starts. `engine_unreachable`: the engine's answer.
      `schedule_over`, `script_invalid`, `configuration_invalid`:
      somebody who mends what they name.
    """
    detail: WaitingDetail | None
    """Of `schedule_closed`: `not_started`, `window_closed`, `holiday`. Of `schedule_over`: `schedule_ended`,
    `never_opens`. Of `next_call_later`: the `deferred_reason` of that call; null when it is a retry."""
    since: datetime | None
    until: datetime | None
    """When that ends by itself; null: nobody knows, or when somebody changes something."""


NO_DIALER = Waiting("no_dialer", None, None, None)
"""Nobody is there who could say more."""


def waiting_of(row: campaigns.Campaign | campaigns.Progress, is_dialled: bool) -> Waiting | None:
    """`is_dialled`: a dialer lives that could dial it, and say more."""
    if row.state == "running" and not is_dialled:
        return NO_DIALER
    if row.waiting_reason is None:
        return None
    reason, _, detail = row.waiting_reason.partition(": ")
    return Waiting(
        reason=cast(WaitingReason, reason),
        detail=cast(WaitingDetail, detail) if detail else None,
        since=shown_time(row.waiting_since),
        until=shown_time(row.waiting_until),
    )
