"""What an account's webhooks are told of its Official Accounts, journeys, messages and templates: a complete
snapshot, written in the transaction that made the change.

Bodies are made of these fields alone (`api.webhook_bodies`). Tokens, and the data of a message, are never
among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

from tongdai.domain import webhooks
from tongdai.domain.webhooks import ZaloEvent, ZaloEventType
from tongdai.domain.zalo.model import Journey, Oa, ZnsMessage, ZnsTemplate
from tongdai.domain.zalo.store import events as store
from tongdai.kit.db import Tx

OaNews = Literal[
    "zalo.oa.connected",
    "zalo.oa.needs_consent",
    "zalo.oa.token_warning",
    "zalo.oa.quota_changed",
    "zalo.oa.quality_changed",
]
JourneyNews = Literal["zalo.journey.charged", "zalo.journey.expired"]
MessageNews = Literal["zalo.message.delivered", "zalo.message.undelivered", "zalo.message.rated"]

OA_FIELDS: Final = (
    "name", "state", "reason", "reason_at", "access_expires_at", "expires_at", "daily_quota",
    "remaining_quota", "current_quality", "last_week_quality",
)  # fmt: skip
JOURNEY_FIELDS: Final = (
    "id", "journey_id", "phone", "token_type", "state", "charged", "charged_at", "price", "created_at",
    "expires_at",
)  # fmt: skip
MESSAGE_FIELDS: Final = (
    "id", "msg_id", "tracking_id", "type", "journey_id", "phone", "template_id", "development", "state",
    "seen", "error_code", "error_message", "fee", "charged", "rate", "note", "feedback", "submitted_at",
    "created_at", "sent_at", "delivered_at",
)  # fmt: skip
TEMPLATE_FIELDS: Final = ("template_id", "name", "status", "quality", "tag", "reason", "updated_at")


async def tell_oa(tx: Tx, type: OaNews, oa: Oa, at: datetime) -> None:
    """Of an Official Account, as it is now."""
    await _tell(tx, type, oa.account_id, oa.id, at, [_snapshot(oa, OA_FIELDS)])


async def tell_journeys(tx: Tx, type: JourneyNews, journeys: Sequence[Journey], at: datetime) -> None:
    """One event for each; they may be of several accounts."""
    for of_one in _by_oa(journeys):
        snapshots = [_snapshot(journey, JOURNEY_FIELDS) for journey in of_one]
        await _tell(tx, type, of_one[0].account_id, of_one[0].oa_ref, at, snapshots)


async def tell_message(tx: Tx, type: MessageNews, message: ZnsMessage, at: datetime) -> None:
    """Of a message, as it is now."""
    snapshot = _snapshot(message, MESSAGE_FIELDS)
    await _tell(tx, type, message.account_id, message.oa_ref, at, [snapshot])


async def tell_template(tx: Tx, account_id: int, template: ZnsTemplate, at: datetime) -> None:
    """That Zalo changed its status or quality."""
    snapshot = _snapshot(template, TEMPLATE_FIELDS)
    await _tell(tx, "zalo.template.changed", account_id, template.oa_ref, at, [snapshot])


async def _tell(
    tx: Tx, type: ZaloEventType, account_id: int, oa_ref: int, at: datetime, data: Sequence[dict[str, Any]]
) -> None:
    whose = await store.named(tx, account_id, oa_ref)
    if whose is not None:
        await webhooks.publish(
            tx,
            [
                ZaloEvent(
                    type=type,
                    account_id=account_id,
                    oa_id=whose.oa_id,
                    app_id=whose.app_id,
                    connection_id=oa_ref,
                    at=at,
                    data=one,
                )
                for one in data
            ],
        )


def _snapshot(row: object, fields: Sequence[str]) -> dict[str, Any]:
    return {field: getattr(row, field) for field in fields}


def _by_oa(journeys: Sequence[Journey]) -> list[list[Journey]]:
    grouped: dict[tuple[int, int], list[Journey]] = {}
    for journey in journeys:
        grouped.setdefault((journey.account_id, journey.oa_ref), []).append(journey)
    return list(grouped.values())
