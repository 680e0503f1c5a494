"""The OA API: the profile of an Official Account."""

from __future__ import annotations

from typing import Any

from tongdai.adapters.zaloemulator.access import LIMIT, REMAIN, openapi_caller
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, RefusedError, refusal, success
from tongdai.adapters.zaloemulator.fixtures import Oa
from tongdai.adapters.zaloemulator.words import OPENAPI


def getoa(core: Core, ask: Ask) -> Answer:
    try:
        answer = success(profile(openapi_caller(core, ask).oa))
    except RefusedError as error:
        answer = refusal(OPENAPI, error.code, error.said)
    if LIMIT not in ask.detail:
        return answer
    limits = {"X-RateLimit-Limit": str(ask.detail[LIMIT]), "X-RateLimit-Remain": str(ask.detail[REMAIN])}
    return Answer(answer.body, answer.error, headers=limits)


def profile(oa: Oa) -> dict[str, Any]:
    """The id under both names that it is read by, as the billing account."""
    return {
        "oa_id": str(oa.oa_id),
        "oaid": str(oa.oa_id),
        "name": oa.name,
        "description": oa.description,
        "oa_alias": oa.alias,
        "is_verified": oa.is_verified,
        "oa_type": oa.oa_type,
        "cate_name": oa.category,
        "num_follower": oa.followers,
        "avatar": oa.avatar,
        "cover": oa.cover,
        "package_name": oa.package_name,
        "package_valid_through_date": oa.package_valid_through,
        "package_auto_renew_date": oa.package_auto_renew,
        "linked_ZCA": oa.linked_zca,
        "linked_zca": oa.linked_zca,
    }


def unknown_path(core: Core, ask: Ask) -> Answer:
    return refusal(OPENAPI, 404)
