"""The message API: its paths, and what only reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tongdai.adapters.zaloemulator import catalogue, journeys, sending
from tongdai.adapters.zaloemulator.access import Answering, Caller, business_caller
from tongdai.adapters.zaloemulator.clock import vietnam_day, vietnam_month
from tongdai.adapters.zaloemulator.core import Core, Handler
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, RefusedError, refusal, success
from tongdai.adapters.zaloemulator.words import BUSINESS


def answered(answering: Answering) -> Handler:
    """`answering` behind the checks of token and proof; refusals in Zalo's envelope."""

    def handle(core: Core, ask: Ask) -> Answer:
        try:
            return answering(core, ask, business_caller(core, ask))
        except RefusedError as error:
            return refusal(BUSINESS, error.code, error.said)

    return handle


def quota(core: Core, ask: Ask, caller: Caller) -> Answer:
    now, oa = core.clock.now_ms(), caller.oa
    daily = core.store.used("daily", oa.oa_id, vietnam_day(now))
    promotion = core.store.used("promotion", oa.oa_id, vietnam_month(now))
    return success(
        {
            "dailyQuota": oa.daily_quota,
            "remainingQuota": max(0, int(oa.daily_quota - daily)),
            # null since promotions are counted by the month.
            "dailyQuotaPromotion": None,
            "remainingQuotaPromotion": None,
            "monthlyPromotionQuota": oa.monthly_promotion_quota,
            "remainingMonthlyPromotionQuota": max(0, int(oa.monthly_promotion_quota - promotion)),
            "estimatedNextMonthPromotionQuota": oa.next_month_promotion_quota,
        },
        message="success",
    )


def quality(core: Core, ask: Ask, caller: Caller) -> Answer:
    told = {"oaCurrentQuality": caller.oa.quality, "oa7dayQuality": caller.oa.week_quality}
    return success(told, message="success")


def tags(core: Core, ask: Ask, caller: Caller) -> Answer:
    return success(caller.oa.tags)


def wrong_method(core: Core, ask: Ask) -> Answer:
    return refusal(BUSINESS, -106)


_ANSWERED: Final[Mapping[tuple[str, str], Any]] = {
    ("POST", "/message/template"): sending.send,
    ("POST", "/message/template/hashphone"): sending.send_to_hash,
    ("GET", "/message/status"): sending.status,
    ("GET", "/message/quota"): quota,
    ("GET", "/message/template-tag"): tags,
    ("GET", "/quality"): quality,
    ("GET", "/template/all"): catalogue.every,
    ("GET", "/template/info"): catalogue.details_v1,
    ("GET", "/template/info/v2"): catalogue.details,
    ("GET", "/template/sample-data"): catalogue.sample_data,
    ("GET", "/rating/get"): catalogue.ratings,
    ("POST", "/rating/get"): catalogue.ratings,
    ("POST", "/journey/get-token"): journeys.get_token,
    ("GET", "/journey/check-token"): journeys.check_token,
}
ROUTES: Final[Mapping[tuple[str, str], Handler]] = {way: answered(one) for way, one in _ANSWERED.items()}
PATHS: Final = frozenset(path for _, path in ROUTES)
