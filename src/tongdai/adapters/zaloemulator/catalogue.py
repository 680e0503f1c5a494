"""Templates, and what customers said of messages."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tongdai.adapters.zaloemulator.access import Caller
from tongdai.adapters.zaloemulator.bodies import whole_number
from tongdai.adapters.zaloemulator.checks import find_template
from tongdai.adapters.zaloemulator.clock import vietnam_day
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, RefusedError, success
from tongdai.adapters.zaloemulator.fixtures import Param, Template

STATUS_NUMBERS: Final = {1: "ENABLE", 2: "PENDING_REVIEW", 3: "REJECT", 4: "DISABLE", 5: "DELETE"}
LONGEST_PAGE: Final = 100
RATINGS: Final = """
    SELECT doc FROM ratings WHERE template_id = ? AND at_ms BETWEEN ? AND ?
    ORDER BY at_ms DESC LIMIT ? OFFSET ?
"""
RATINGS_COUNTED: Final = "SELECT count(*) FROM ratings WHERE template_id = ? AND at_ms BETWEEN ? AND ?"


def every(core: Core, ask: Ask, caller: Caller) -> Answer:
    offset, limit = _page(ask)
    found = core.world.templates_of(caller.oa.oa_id)
    if (status := ask.query.get("status")) is not None:
        number = whole_number(status, None, -132, "Invalid status")
        if number not in STATUS_NUMBERS:
            raise RefusedError(-132, "Invalid status")
        found = [one for one in found if one.status == STATUS_NUMBERS[number]]
    if ask.query.get("filterPreset") == "1":
        found = [one for one in found if one.apps and caller.app.app_id in one.apps]
    return success([_summary(one) for one in found[offset : offset + limit]], metadata={"total": len(found)})


def details(core: Core, ask: Ask, caller: Caller) -> Answer:
    return success(_details(find_template(core, caller, ask.query.get("template_id"))))


def details_v1(core: Core, ask: Ask, caller: Caller) -> Answer:
    template = find_template(core, caller, ask.query.get("template_id"))
    used = core.store.used("template", template.template_id, vietnam_day(core.clock.now_ms()))
    daily = template.daily_quota
    told = {
        "applyTemplateQuota": daily is not None,
        "templateDailyQuota": daily,
        "templateRemainingQuota": None if daily is None else max(0, int(daily - used)),
    }
    return success({**_details(template), **told})


def sample_data(core: Core, ask: Ask, caller: Caller) -> Answer:
    template = find_template(core, caller, ask.query.get("template_id"))
    return success({param.name: template.sample.get(param.name, _sample(param)) for param in template.params})


def ratings(core: Core, ask: Ask, caller: Caller) -> Answer:
    template = find_template(core, caller, ask.query.get("template_id"))
    offset, limit = _page(ask)
    since = whole_number(ask.query.get("from_time"), 0, -132)
    until = whole_number(ask.query.get("to_time"), core.clock.now_ms(), -132)
    rows = core.store.all(RATINGS, (template.template_id, since, until, limit, offset))
    counted = core.store.one(RATINGS_COUNTED, (template.template_id, since, until))
    total = counted[0] if counted else 0
    return success({"total": total, "data": [msgspec.json.decode(row[0]) for row in rows]})


def _page(ask: Ask) -> tuple[int, int]:
    offset = whole_number(ask.query.get("offset"), 0, -132, "Invalid offset")
    limit = whole_number(ask.query.get("limit"), LONGEST_PAGE, -132, "Invalid limit")
    if not 1 <= limit <= LONGEST_PAGE:
        raise RefusedError(-132, "Invalid limit")
    return offset, limit


def _summary(template: Template) -> dict[str, Any]:
    return {
        "templateId": template.template_id,
        "templateName": template.name,
        "createdTime": template.created_ms,
        "status": template.status,
        "templateQuality": template.quality,
    }


def _details(template: Template) -> dict[str, Any]:
    told = {
        "templateId": template.template_id,
        "templateName": template.name,
        "status": template.status,
        "listParams": [_param(one) for one in template.params],
        "listButtons": [
            {"type": one.type, "title": one.title, "content": one.content} for one in template.buttons
        ],
        "timeout": template.timeout_ms,
        "previewUrl": template.preview_url,
        "templateQuality": template.quality,
        "templateTag": template.tag,
        "price": template.price,
        "price_sdt": template.price,
        "price_uid": template.price_uid,
    }
    return {**told, "reason": template.reason} if template.status == "REJECT" else told


def _param(param: Param) -> dict[str, Any]:
    return {
        "name": param.name,
        "require": param.require,
        "type": param.type,
        "maxLength": param.max_length,
        "minLength": param.min_length,
        "acceptNull": param.accept_null,
    }


def _sample(param: Param) -> str | int:
    return 1 if param.type == "NUMBER" else f"<{param.name}>"
