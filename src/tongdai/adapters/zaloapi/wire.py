"""What goes to Zalo and what comes back: bodies to values of the port, and the other way round. Pure.

Each reading function takes the whole body of an answer. It raises ZaloRefusedError where Zalo says no and
ZaloGarbledError where the body makes no sense, and nothing else, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, cast

import msgspec

from tongdai.adapters.zaloapi import codes
from tongdai.adapters.zaloapi import values as v
from tongdai.adapters.zaloapi.values import Answer, pick
from tongdai.ports.zalo import (
    ACCESS_LIFE,
    JourneyCheck,
    JourneyToken,
    Message,
    MessageStatus,
    Profile,
    Qualities,
    Quality,
    Quota,
    Sent,
    Template,
    TemplatePage,
    TemplateParam,
    TemplateSummary,
    TokenPair,
    ZaloGarbledError,
    ZaloRefusedError,
)

_MOST_CODE: Final = 2**31 - 1
_LONGEST_SAID: Final = 500
_LONGEST_LIFE: Final = 366 * 86_400
_decode: Final[Callable[[bytes], Any]] = msgspec.json.Decoder().decode
_encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode


# ---------------------------------------------------------------- the envelope


def opened(body: bytes) -> dict[str, Any]:
    """The object that a body is. Raises ZaloGarbledError."""
    try:
        answer = _decode(body)
    except (ValueError, RecursionError) as error:  # half of it, a page of HTML, bytes of any sort
        raise ZaloGarbledError("no JSON") from error
    if not isinstance(answer, dict):
        raise ZaloGarbledError("no JSON object")
    return answer


def accepted(body: bytes) -> dict[str, Any]:
    """The object that a body is, where Zalo says yes. Raises ZaloRefusedError, ZaloGarbledError."""
    answer = opened(body)
    refuse(answer)
    return answer


def refuse(answer: Answer) -> None:
    """Raises ZaloRefusedError where `error` is a code, which may stand in quotes, and not 0."""
    error = answer.get("error", 0)
    code = error if type(error) is int else v.whole(0 if error is None else error, "the error code")
    if abs(code) > _MOST_CODE:
        raise ZaloGarbledError("the error code is none")
    if code:
        raise refused(code, answer)


def refused(code: int, answer: Answer | None = None) -> ZaloRefusedError:
    """The refusal with this code, in Zalo's own words as far as it has any."""
    refusal, meaning = codes.meaning(code)
    said = ""
    for name in ("message", "error_description", "error_name", "error_reason"):
        words = (answer or {}).get(name)
        if isinstance(words, str) and words.strip():
            said = words.replace("\0", "").strip()[:_LONGEST_SAID]
            break
    return ZaloRefusedError(code, said or meaning, refusal)


def _data(body: bytes) -> dict[str, Any]:
    return v.mapping(accepted(body).get("data"), "data")


# ---------------------------------------------------------------- tokens


def token_pair(body: bytes) -> TokenPair:
    """A flat object without an `error`. An access token that is there is kept, whatever stands around it:
    the one before it is dead already. One integrator has seen answers without a refresh token."""
    answer = opened(body)
    access = answer.get("access_token")
    if not access:
        refuse(answer)
        raise ZaloGarbledError("the access token is missing")
    refresh = answer.get("refresh_token")
    return TokenPair(
        access_token=v.token(access, "the access token"),
        refresh_token=refresh if isinstance(refresh, str) and v.is_header(refresh) else None,
        expires_in=_life(answer.get("expires_in")),
    )


def _life(value: Any) -> timedelta:
    """Seconds, in quotes as a rule; nonsense is no reason to lose the tokens beside it."""
    with suppress(ZaloGarbledError):
        seconds = v.whole(value, "the life")
        if 0 < seconds <= _LONGEST_LIFE:
            return timedelta(seconds=seconds)
    return ACCESS_LIFE


# ---------------------------------------------------------------- Official Accounts


def profile(body: bytes) -> Profile:
    data = _data(body)
    oa_type = data.get("oa_type")
    return Profile(
        oa_id=v.id_of(pick(data, "oa_id", "oaid"), "the OA's id"),  # Zalo's page and its answers differ
        name=v.text(data.get("name"), "the name"),
        description=v.text(data.get("description"), "the description"),
        is_verified=v.flag(data.get("is_verified"), "is_verified"),
        oa_type=v.count(oa_type, "the OA's type"),
        category=v.text(data.get("cate_name"), "the category"),
        followers=v.count(data.get("num_follower"), "the number of followers") or 0,
        avatar=v.text(data.get("avatar"), "the avatar"),
        cover=v.text(data.get("cover"), "the cover"),
        package_name=v.text(data.get("package_name"), "the package's name"),
        package_valid_through=v.text(data.get("package_valid_through_date"), "the package's end"),
        linked_zca=v.text(pick(data, "linked_ZCA", "linked_zca"), "the billing account"),
    )


def quota(body: bytes) -> Quota:
    return _quota(_data(body))


def _quota(data: Answer) -> Quota:
    """Numbers, numbers in quotes, null or nothing: it depends on the year."""

    def of(name: str) -> int | None:
        return v.count(data.get(name), name)

    return Quota(
        daily=of("dailyQuota"),
        remaining=of("remainingQuota"),
        daily_promotion=of("dailyQuotaPromotion"),
        remaining_promotion=of("remainingQuotaPromotion"),
        monthly_promotion=of("monthlyPromotionQuota"),
        remaining_monthly_promotion=of("remainingMonthlyPromotionQuota"),
        estimated_next_month_promotion=of("estimatedNextMonthPromotionQuota"),
    )


def qualities(body: bytes) -> Qualities:
    data = _data(body)
    return Qualities(
        current=_quality(data.get("oaCurrentQuality")), last_week=_quality(data.get("oa7dayQuality"))
    )


def _quality(value: Any) -> Quality:
    """A word that is none of the four says as much as UNDEFINED."""
    word = v.text(value, "the quality").upper()
    return cast(Quality, word) if word in ("HIGH", "MEDIUM", "LOW") else "UNDEFINED"


def tags(body: bytes) -> list[str]:
    found = accepted(body).get("data")
    if isinstance(found, list) and all(isinstance(one, str) for one in found):
        return [v.text(one, "a tag") for one in found]
    raise ZaloGarbledError("data is no list of tags")


# ---------------------------------------------------------------- templates


def template_page(body: bytes, *, offset: int) -> TemplatePage:
    answer = accepted(body)
    if not isinstance(answer.get("data"), list):
        raise ZaloGarbledError("data is no list of templates")
    found = [_summary(one) for one in v.objects(answer["data"], "data")]
    metadata = answer.get("metadata")
    total = v.count(metadata.get("total"), "the total") if isinstance(metadata, dict) else None
    return TemplatePage(found, offset + len(found) if total is None else total)


def _summary(data: Answer) -> TemplateSummary:
    return TemplateSummary(
        template_id=v.whole(data.get("templateId"), "the template's id"),
        name=v.text(data.get("templateName"), "the template's name"),
        status=v.text(data.get("status"), "the template's status").upper(),
        quality=v.text(data.get("templateQuality"), "the template's quality").upper(),
        created_at=v.moment(data.get("createdTime"), "the template's time"),
    )


def template(body: bytes) -> Template:
    data = _data(body)
    applies = data.get("applyTemplateQuota")
    return Template(
        template_id=v.whole(data.get("templateId"), "the template's id"),
        name=v.text(data.get("templateName"), "the template's name"),
        status=v.text(data.get("status"), "the template's status").upper(),
        params=[_param(one) for one in v.objects(data.get("listParams"), "the parameters")],
        timeout=v.duration(data.get("timeout"), "the time-out"),
        preview_url=v.text(data.get("previewUrl"), "the preview"),
        quality=v.text(data.get("templateQuality"), "the template's quality").upper(),
        tag=v.text(data.get("templateTag"), "the template's tag").upper(),
        price=v.price(pick(data, "price", "price_sdt")),
        reason=v.text(data.get("reason"), "the reason"),
        apply_quota=None if applies is None else v.flag(applies, "applyTemplateQuota"),
        daily_quota=v.count(data.get("templateDailyQuota"), "the template's quota"),
        remaining_quota=v.count(data.get("templateRemainingQuota"), "the template's quota"),
    )


def _param(data: Answer) -> TemplateParam:
    return TemplateParam(
        name=v.needed(data.get("name"), "a parameter's name"),
        required=v.flag(data.get("require"), "a parameter's need"),
        type=v.text(data.get("type"), "a parameter's type"),
        min_length=v.count(data.get("minLength"), "a parameter's length"),
        max_length=v.count(data.get("maxLength"), "a parameter's length"),
        accept_null=v.flag(data.get("acceptNull"), "acceptNull"),
    )


def sample_data(body: bytes) -> dict[str, Any]:
    """Values of mixed types, as Zalo gives them."""
    return _data(body)


# ---------------------------------------------------------------- messages


def message_body(message: Message) -> bytes:
    """What is sent for a message. Raises ZaloRefusedError (-122) for data that is none of JSON's."""
    body: dict[str, Any] = {
        "phone": message.phone,
        "template_id": str(message.template_id),
        "template_data": {name: _as_text(value) for name, value in message.data.items()},
        "tracking_id": message.tracking_id,
    }
    if message.development:
        body["mode"] = "development"
    if message.sending_mode is not None:
        body["sending_mode"] = message.sending_mode
    try:
        return _encode(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise refused(codes.NO_JSON) from error


def _as_text(value: Any) -> Any:
    """Zalo takes texts; its answer to a bare number is on no page."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float | Decimal) else value


def sent(body: bytes) -> Sent:
    """With its id a message is known to be under way, so nonsense beside it does not make it doubtful."""
    data = _data(body)
    sent_at = quota_left = mode = None
    msg_id = v.needed(data.get("msg_id"), "the message's id")
    with suppress(ZaloGarbledError):
        sent_at = v.moment(data.get("sent_time"), "the time of sending")
    with suppress(ZaloGarbledError):
        left = data.get("quota")
        quota_left = _quota(left) if isinstance(left, dict) and left else None
    with suppress(ZaloGarbledError):
        mode = v.text(data.get("sending_mode"), "the mode of sending") or None
    return Sent(msg_id, sent_at, quota_left, mode)


def message_status(body: bytes) -> MessageStatus:
    data = _data(body)
    state = v.whole(data.get("status"), "the status")
    words = v.text(data.get("message"), "the status's text")
    delivered_at = v.moment(data.get("delivery_time"), "the time of delivery")
    if state == 1:
        return MessageStatus("delivered", delivered_at, words)
    if state == 0:
        return MessageStatus("accepted", None, words)
    if state == -1:
        return MessageStatus("unknown", None, words)
    raise ZaloGarbledError("the status is none of the three")


# ---------------------------------------------------------------- journeys


def journey_body(phone: str, token_type: str) -> bytes:
    return _encode({"phone": phone, "token_type": token_type})


def journey_token(body: bytes) -> JourneyToken:
    """Flat, unlike the other answers."""
    answer = accepted(body)
    return JourneyToken(
        journey_id=v.needed(answer.get("journey_id"), "the journey's id"),
        token=v.token(answer.get("token"), "the journey's token"),
    )


def journey_check(body: bytes) -> JourneyCheck:
    """Zalo's page names the fields in snake case, and its example in camel case."""
    data = _data(body)
    return JourneyCheck(
        token_type=v.text(pick(data, "tokenType", "token_type"), "the journey's type"),
        created_at=v.moment(pick(data, "createdAt", "created_at"), "the journey's beginning"),
        expires_at=v.moment(pick(data, "expiredAt", "expired_at"), "the journey's end"),
    )
