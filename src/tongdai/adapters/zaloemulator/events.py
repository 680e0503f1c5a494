"""The events of Zalo that follow from what is changed through the control surface."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from tongdai.adapters.zaloemulator.clock import vietnam_day
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import encode
from tongdai.adapters.zaloemulator.fixtures import FixtureError, Oa, Template

T = TypeVar("T")


def oa_changed(core: Core, before: Oa | None, after: Oa) -> None:
    """To every app that the OA lets in. Zalo has no event for an OA's own quality."""
    if before is None:
        return
    oa_id = {"oaId": str(after.oa_id)}
    for app_id in core.tokens.apps_of(after.oa_id):
        if before.daily_quota != after.daily_quota:
            quota = _change(before.daily_quota, after.daily_quota, "value")
            core.outbox.post(app_id, "change_oa_daily_quota", {**oa_id, "quota": quota})
        if before.tags != after.tags:
            tags = {"prev_value": before.tags, "new_value": after.tags}
            core.outbox.post(app_id, "change_oa_template_tags", {**oa_id, "tags": tags})


def template_changed(core: Core, before: Template | None, after: Template) -> None:
    if before is None:
        return
    of = {"oa_id": str(after.oa_id), "template_id": str(after.template_id)}
    for app_id in core.tokens.apps_of(after.oa_id):
        if before.status != after.status:
            status = _change(before.status, after.status, "status")
            told = {**of, "status": status, "reason": after.reason}
            core.outbox.post(app_id, "change_template_status", told)
        if before.quality != after.quality:
            core.outbox.post(app_id, "change_template_quality", {**of, "quality": after.quality})
        if before.daily_quota != after.daily_quota:
            quota = _change(before.daily_quota, after.daily_quota, "value")
            core.outbox.post(app_id, "change_template_quota", {**of, "quota": quota})


def use_up(core: Core, oa_id: int, remaining: object) -> None:
    """As if messages had been sent: so many are left for today. Raises FixtureError."""
    oa = core.world.oas.get(oa_id)
    if oa is None or isinstance(remaining, bool) or not isinstance(remaining, int):
        raise FixtureError("oa_id of a known OA and remaining, a whole number, are needed")
    day = vietnam_day(core.clock.now_ms())
    used = core.store.used("daily", oa_id, day)
    core.store.use("daily", oa_id, day, oa.daily_quota - remaining - used)


def rated(core: Core, told: dict[str, Any]) -> int | None:
    """A customer rates a message. Raises FixtureError."""
    rating = _read(_Rating, told)
    row = core.store.one(
        "SELECT app_id, oa_id, template_id, tracking_id FROM messages WHERE msg_id = ?",
        (rating.msg_id,),
    )
    if row is None:
        raise FixtureError("there is no such message")
    app_id, oa_id, template_id, tracking_id = row
    now = core.clock.now_ms()
    said = {"note": rating.note, "rate": rating.rate, "feedbacks": rating.feedbacks}
    kept = {**said, "submitDate": now, "msgId": rating.msg_id, "trackingId": tracking_id}
    core.store.write(
        "INSERT INTO ratings VALUES (?, ?, ?, ?, ?, ?)",
        (rating.msg_id, app_id, oa_id, template_id, now, encode(kept).decode()),
    )
    message = {**said, "submit_time": str(now), "msg_id": rating.msg_id, "tracking_id": tracking_id}
    return core.outbox.post(app_id, "user_feedback", {"oa_id": str(oa_id), "message": message}, zns=True)


def posted(core: Core, told: dict[str, Any]) -> int | None:
    """Any event of an app's; a `body` goes out as it is, signed with any `secret`. Raises FixtureError."""
    wish = _read(_Wish, told)
    if wish.body is None and not wish.secret:
        return core.outbox.post(wish.app_id, wish.event, wish.fields, zns=wish.zns)
    now = wish.timestamp or core.clock.now_ms()
    fields = {"event_name": wish.event, "app_id": str(wish.app_id), **wish.fields, "timestamp": str(now)}
    body = encode(fields) if wish.body is None else wish.body.encode()
    return core.outbox.add(wish.app_id, wish.event, body, now, zns=wish.zns, key=wish.secret)


class _Rating(msgspec.Struct, forbid_unknown_fields=True):
    msg_id: str
    rate: Annotated[int, msgspec.Meta(ge=1, le=5)] = 5
    note: str = ""
    feedbacks: list[str] = []


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    app_id: int
    event: str
    fields: dict[str, Any] = {}
    zns: bool = False
    body: str | None = None
    secret: str = ""
    timestamp: int = 0


def replayed(core: Core, webhook_id: int) -> int:
    """Raises FixtureError."""
    row = core.store.one(
        "SELECT app_id, event, body, body_ms, zns, key FROM webhooks WHERE id = ?", (webhook_id,)
    )
    if row is None:
        raise FixtureError("there is no such webhook")
    app_id, event, body, body_ms, zns, key = row
    return core.outbox.add(app_id, event, body, body_ms, zns=bool(zns), key=key)


def _read(kind: type[T], told: dict[str, Any]) -> T:
    try:
        return msgspec.convert(told, kind, strict=False)
    except msgspec.ValidationError as error:
        raise FixtureError(f"the event: {error}") from None


def _change(before: object, after: object, what: str) -> dict[str, object]:
    return {f"prev_{what}": before, f"new_{what}": after}
