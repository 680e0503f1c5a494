"""The answers of Interits' API: one envelope for all, and the objects as its pages show them.

The objects are those of `_shared.zalo_shapes` with the fields that Interits' pages list. Its times are
strings: one that is not known is "", and so is the id of what Zalo refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tongdai.domain.accounts import Account
from tongdai.domain.zalo import Journey, Oa, Page, Paging, ZnsMessage, ZnsTemplate
from tongdai.facades._shared import zalo_shapes as shapes
from tongdai.facades._shared.paging import shown_paging
from tongdai.facades.interits.errors import Failure

SUCCESS: Final = "OK"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every endpoint answers, whatever became of the request."""

    code: int
    """The setting `interits_success_code`, or the HTTP status of a refusal."""
    data: object
    message: str
    referentId: str  # noqa: N815 - on the wire
    """A name of this answer, for questions about it; new each time."""


def succeeded(data: object, code: int, referent_id: str) -> Answer:
    return Answer(code=code, data=data, message=SUCCESS, referentId=referent_id)


def refused(failure: Failure, data: object, referent_id: str) -> Answer:
    return Answer(code=failure.http, data=data, message=failure.message, referentId=referent_id)


# ---------------------------------------------------------------- objects

_OA_TIMES: Final = ("created_at", "expires_at", "updated_at")
_MESSAGE_TIMES: Final = ("created_at", "delivery_time", "sent_time", "updated_at")
_MESSAGE_FIELDS: Final = (
    "campaign_id",
    "created_at",
    "delivery_status",
    "delivery_time",
    "error_code",
    "error_message",
    "fee_main",
    "fee_token",
    "id",
    "is_charged",
    "journey_id",
    "msg_id",
    "msg_type",
    "oa_id",
    "phone",
    "price",
    "sent_time",
    "shop_id",
    "status",
    "template_data",
    "template_id",
    "timeout",
    "tracking_id",
    "type",
    "updated_at",
    "user_id",
)
_DETAIL_FIELDS: Final = (
    "enable_sms_on_zns_failure",
    "feedback",
    "note",
    "rate",
    "sms",
    "submit_time",
    "zl_user_id",
)
_TEMPLATE_FIELDS: Final = (
    "apply_template_quota",
    "created_at",
    "preview_url",
    "price",
    "template_daily_quota",
    "template_id",
    "template_name",
    "template_params",
    "template_quality",
    "template_remaining_quota",
    "template_status",
    "template_tag",
    "timeout",
    "type",
    "updated_at",
)


def journey(row: Journey) -> dict[str, Any]:
    """The twelve fields of create-journey. A refused one has no `expired_at`."""
    shown = shapes.journey(row)
    shown["expired_at"] = shown["expired_at"] or ""
    return shown


def message(row: ZnsMessage, *, capitals: bool) -> dict[str, Any]:
    """A message as sends and lists show it."""
    shown = shapes.message(row, capitals=capitals)
    return _texts({name: shown[name] for name in _MESSAGE_FIELDS}, _MESSAGE_TIMES)


def message_detail(row: ZnsMessage, *, capitals: bool) -> dict[str, Any]:
    """A message with what its recipient said of it."""
    shown = shapes.message(row, capitals=capitals)
    fields = (*_MESSAGE_FIELDS, *_DETAIL_FIELDS)
    return _texts({name: shown[name] for name in fields}, (*_MESSAGE_TIMES, "submit_time"))


def oa(row: Oa, *, capitals: bool) -> dict[str, Any]:
    """An Official Account as list-oa shows it. One page spells `owner_id`, the others `onwer_id`."""
    more = {"owner_id": str(row.owner_id), "webhook_url": row.webhook_url}
    return _texts(shapes.oa(row, capitals=capitals) | more, _OA_TIMES)


def shop_oa(row: Oa, *, capitals: bool) -> dict[str, Any]:
    """An Official Account as get-shop-oa shows it: with `verified` beside `is_verified`, and more quotas."""
    return oa(row, capitals=capitals) | shapes.oa_extras(row) | {"verified": row.is_verified}


def template(row: ZnsTemplate, *, capitals: bool) -> dict[str, Any]:
    shown = shapes.template(row, capitals=capitals)
    return _texts({name: shown[name] for name in _TEMPLATE_FIELDS}, ("created_at", "updated_at"))


def shop(account: Account) -> dict[str, Any]:
    """Who a key is of. Nothing is known of a picture or a site."""
    return {"id": str(account.id), "image_url": "", "name": account.name, "type": "Shop", "website": ""}


def page(name: str, rows: Sequence[dict[str, Any]], paging: Paging, of: Page[Any]) -> dict[str, Any]:
    """A list under its vendor's name, with the cursors to what follows and precedes it."""
    return {name: rows, "paging": shown_paging(paging, of)}


def _texts(shown: dict[str, Any], times: Sequence[str]) -> dict[str, Any]:
    """With "" for each of these that is not known."""
    for name in times:
        shown[name] = shown[name] or ""
    return shown
