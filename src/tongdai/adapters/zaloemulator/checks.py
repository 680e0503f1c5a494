"""What Zalo looks at before it takes a message, in the order in which it says no.

Zalo publishes the codes and not their order; this one goes from the caller through the request to the
recipient and the money.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from tongdai.adapters.zaloemulator.access import Caller
from tongdai.adapters.zaloemulator.clock import vietnam_day, vietnam_hour, vietnam_month
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import RefusedError
from tongdai.adapters.zaloemulator.fixtures import Param, Template

PROMOTIONS_A_MONTH: Final = 4
"""To one recipient by one OA."""
NUMBER: Final = re.compile(r"-?[\d.,]+")
DATE: Final = re.compile(r"(\d{1,2}:\d{2}(:\d{2})? )?\d{1,2}[/-]\d{1,2}[/-]\d{4}( \d{1,2}:\d{2}(:\d{2})?)?")

Mode = Literal["1", "3"]


def check_template(core: Core, caller: Caller, told: object, *, development: bool) -> Template:
    """Raises RefusedError: -109, -117, -131, -146, -145, -133."""
    template = find_template(core, caller, told)
    if template.status == "DELETE":
        raise RefusedError(-109)
    if template.low_quality:
        raise RefusedError(-146)
    allowed = ("ENABLE", "PENDING_REVIEW") if development else ("ENABLE",)
    if template.status not in allowed:
        raise RefusedError(-131)
    if template.tag != "OTP" and template.tag not in caller.oa.tags:
        raise RefusedError(-145)
    if core.settings.night_rule and template.tag != "OTP" and not 6 <= vietnam_hour(core.clock.now_ms()) < 22:
        raise RefusedError(-133)
    return template


def find_template(core: Core, caller: Caller, told: object) -> Template:
    """Raises RefusedError: -109 unknown, -117 another's."""
    text = str(told) if isinstance(told, (str, int)) else ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
    template = core.world.templates.get(number)
    if template is None:
        raise RefusedError(-109)
    if template.oa_id != caller.oa.oa_id or caller.app.app_id not in (template.apps or [caller.app.app_id]):
        raise RefusedError(-117)
    return template


def check_mode(told: object, template: Template) -> Mode:
    """Raises RefusedError: -161, -162."""
    if told in (None, "1", 1):
        return "1"
    if told not in ("3", 3):
        raise RefusedError(-161)
    if template.tag != "PROMOTION":
        raise RefusedError(-162)
    return "3"


def check_data(template: Template, told: object) -> None:
    """Raises RefusedError: -111, -1122, -1121, -1124, -112."""
    if told is None or told == {}:
        if any(param.require for param in template.params) or told is None:
            raise RefusedError(-111)
        return
    if not isinstance(told, dict):
        raise RefusedError(-112)
    for param in template.params:
        _check_value(param, told)


def _check_value(param: Param, data: Mapping[str, Any]) -> None:
    value = data.get(param.name)
    if value is None or value == "":
        given = param.name in data
        if param.require and not (given and param.accept_null):
            raise RefusedError(-1122, f"Template data missing parameter: {param.name}")
        return
    if isinstance(value, (dict, list, bool)):
        raise RefusedError(-112, f"Template data invalid: {param.name}")
    text = str(value)
    if len(text) > param.max_length:
        raise RefusedError(-1121, f"{param.name} is over {param.max_length} characters")
    if len(text) < param.min_length or not _fits(param.type, text):
        raise RefusedError(-1124, f"{param.name} has an invalid format")


def _fits(kind: str, text: str) -> bool:
    if kind == "NUMBER":
        return NUMBER.fullmatch(text) is not None
    return kind != "DATE" or DATE.fullmatch(text) is not None


def check_development(core: Core, caller: Caller, address: str) -> None:
    """Raises RefusedError: -127 for who is no administrator, -126."""
    if address not in caller.app.admins and address not in caller.oa.admins:
        raise RefusedError(-127)
    day = vietnam_day(core.clock.now_ms())
    if core.store.used("development", caller.oa.oa_id, day) >= caller.oa.development_quota:
        raise RefusedError(-126)


def check_quotas(core: Core, caller: Caller, template: Template, address: str, mode: Mode) -> None:
    """Raises RefusedError: -144, -147, -1441, -1471, -1472."""
    day, used = vietnam_day(core.clock.now_ms()), core.store.used
    over_allowed = mode == "3" and caller.oa.over_quota
    if used("daily", caller.oa.oa_id, day) >= caller.oa.daily_quota and not over_allowed:
        raise RefusedError(-144)
    if (
        template.daily_quota is not None
        and used("template", template.template_id, day) >= template.daily_quota
    ):
        raise RefusedError(-147)
    if template.tag == "PROMOTION":
        _check_promotion(core, caller, address)


def _check_promotion(core: Core, caller: Caller, address: str) -> None:
    now, used, oa = core.clock.now_ms(), core.store.used, caller.oa
    if used("promotion", oa.oa_id, vietnam_month(now)) >= oa.monthly_promotion_quota:
        raise RefusedError(-1441)
    whom = f"{oa.oa_id} {address}"
    if used("promotion to, a month", whom, vietnam_month(now)) >= PROMOTIONS_A_MONTH:
        raise RefusedError(-1471)
    if used("promotion to, a day", whom, vietnam_day(now)) >= 1:
        raise RefusedError(-1472)


def count(core: Core, caller: Caller, template: Template, address: str, *, development: bool) -> None:
    """A message was taken: the quotas have one less."""
    now, use, oa_id = core.clock.now_ms(), core.store.use, caller.oa.oa_id
    day = vietnam_day(now)
    if development:
        use("development", oa_id, day)
        return
    use("daily", oa_id, day)
    if template.daily_quota is not None:
        use("template", template.template_id, day)
    if template.tag == "PROMOTION":
        use("promotion", oa_id, vietnam_month(now))
        use("promotion to, a month", f"{oa_id} {address}", vietnam_month(now))
        use("promotion to, a day", f"{oa_id} {address}", day)


def money_left(core: Core, caller: Caller) -> float:
    """Of the billing account, in đồng."""
    return caller.oa.balance - core.store.used("spent", caller.oa.linked_zca, 0)
