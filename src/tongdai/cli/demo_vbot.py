"""What a customer of VBot's has in the demo: a login, a project, a template, and the money to call with.

Made for new tenants, and added to those of a demo that was begun by a version before.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from tongdai.domain import accounts, billing, campaigns, routing, scripts
from tongdai.domain.accounts import Account, User
from tongdai.domain.billing import NewRate, Plan
from tongdai.domain.campaigns import CampaignConfig, DeclaredField, TemplateConfig
from tongdai.kit.clock import VIETNAM
from tongdai.kit.db import Tx

FULL_WALLET: Final = Decimal(100_000_000)
PLAN: Final = "Gói demo"
TARIFF: Final = "Bảng giá demo"
BY: Final = "tongdai demo"
SCRIPT: Final = "Nhắc đơn hàng (VBot)"
_MANY: Final = 1000

# Đồng a minute without VAT, within a network and from another one or a fixed line: invented, of a usual size.
_TO_OTHERS: Final = Decimal(990)
_PER_MINUTE: Final = {
    "viettel": (690, 850),
    "vinaphone": (690, 850),
    "mobifone": (690, 850),
    "vietnamobile": (650, 850),
    "gmobile": (650, 850),
    "fixed": (400, 600),
}
_PER_ANSWER: Final = Decimal(50)


class VBot(msgspec.Struct, frozen=True):
    username: str
    password: str
    vbot_id: str
    project_code: str
    template_campaign_id: int


async def with_vbot(tx: Tx, account: Account, user: User, hotline_ids: Sequence[int], now: datetime) -> VBot:
    """All that VBot's API needs of this user. They get a new password, which nobody was told before."""
    password = secrets.token_urlsafe(24)
    await accounts.change_password(tx, account.id, user.id, password)
    # Like the vendor's: PR, the time to the millisecond.
    code = f"PR{now.astimezone(VIETNAM):%Y%m%d%H%M%S}{account.id % 1000:03d}"
    project = await accounts.create_project(tx, account.id, code=code, name="Chăm sóc khách hàng")
    template_id = await _template(tx, account, project.id, hotline_ids)
    await _funded(tx, account, now)
    return VBot(user.email, password, account.code, project.code, template_id)


async def lines_of(tx: Tx, account: Account) -> list[int]:
    """The hotlines that a tenant has."""
    found = await routing.list_hotlines(tx, account.id, limit=_MANY)
    return [hotline.id for hotline in found if hotline.enabled]


async def _template(tx: Tx, account: Account, project_id: int, hotline_ids: Sequence[int]) -> int:
    """Calls at every hour and once, unless a contact says how often: no schedule, no retries."""
    script = await scripts.create_script(tx, account.id, SCRIPT, _script())
    config = TemplateConfig(
        kind="voice",
        purpose="customer_care",
        script_id=script.id,
        hotline_ids=tuple(hotline_ids),
        fields=(DeclaredField("name"),),
        config=CampaignConfig(),
        takes_imports=False,
    )
    made = await campaigns.create_template(
        tx, account.id, name="Nhắc đơn hàng", config=config, project_id=project_id
    )
    return made.id


def _script() -> scripts.Script:
    """The demo's order reminder, which calls people by the field that VBot's sample has."""
    body = msgspec.json.encode(scripts.demo_bodies()["order_reminder"])
    return scripts.parse_script(msgspec.json.decode(body.replace(b"{ten_khach|}", b"{name|}")))


async def _funded(tx: Tx, account: Account, now: datetime) -> None:
    """Prepaid, with a plan that does not end and a full wallet."""
    plan = await _plan(tx, now)
    await billing.subscribe(tx, account.id, plan.id, valid_from=now - timedelta(days=1))
    await billing.set_billing(tx, account.id, "prepaid")
    await billing.top_up(tx, account.id, FULL_WALLET, by=BY, reason="Nạp tiền dùng thử", now=now)


async def _plan(tx: Tx, now: datetime) -> Plan:
    """The plan of all tenants of the demo."""
    there = [plan for plan in await billing.list_plans(tx, limit=_MANY) if plan.name == PLAN]
    if there:
        return there[0]
    tariff = await billing.create_tariff(tx, TARIFF, _rates(now - timedelta(days=1)))
    return await billing.create_plan(tx, PLAN, tariff.id)


def _rates(valid_from: datetime) -> list[NewRate]:
    """Blocks of 6 s + 1 s; to each network a price within it and another from outside, and one to all others:
    a number whose prefix nobody knows is called all the same."""
    within = [
        NewRate(
            network=network,
            per_minute=Decimal(price),
            valid_from=valid_from,
            on_net=on_net,
            per_answer=_PER_ANSWER,
        )
        for network, prices in _PER_MINUTE.items()
        for on_net, price in zip((True, False), prices, strict=True)
    ]
    others = NewRate(
        network=billing.ANY_NETWORK, per_minute=_TO_OTHERS, valid_from=valid_from, per_answer=_PER_ANSWER
    )
    return [*within, others]
