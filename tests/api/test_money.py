"""Wallets, ledgers, tariffs and plans over the API: what an account sees, and what the platform changes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests import money
from tests.api.conftest import Api
from tests.money import settlement

from tongdai.domain import billing
from tongdai.domain.billing import charge
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

RATES = [
    {"network": "*", "per_minute": 891.5},
    {
        "network": "viettel",
        "on_net": True,
        "per_minute": 300,
        "initial_s": 60,
        "increment_s": 60,
        "per_answer": 50,
        "per_attempt": 0.25,
        "valid_from": "2026-08-01T00:00:00+07:00",
    },
]
UNKNOWN = 2**62


@pytest.fixture
def account(owner: Api) -> int:
    assert owner.person is not None
    return owner.person.account_id


async def sold(platform: Api, account_id: int, amount: int = 500_000) -> dict[str, Any]:
    """The account pays from now on; the subscription."""
    tariff = await platform.made("/tariffs", {"name": "Gói 2026", "rates": RATES})
    plan = await platform.made("/plans", {"name": "Cơ bản", "tariff_id": tariff["id"]})
    await platform.send("PUT", f"/accounts/{account_id}/billing", {"billing": "prepaid"})
    await platform.made(f"/accounts/{account_id}/top-ups", {"amount": amount, "reason": "Chuyển khoản 17/11"})
    return await platform.made(f"/accounts/{account_id}/subscriptions", {"plan_id": plan["id"]})


# ---------------------------------------------------------------- what an account sees


async def test_an_account_that_never_paid_has_an_empty_wallet(owner: Api) -> None:
    assert (await owner.get("/wallet")).json() == {
        "billing": "off",
        "balance": 0,
        "reserved": 0,
        "available": 0,
        "plan": None,
    }
    assert (await owner.get("/ledger")).json() == {"items": [], "next": None}
    assert (await owner.get("/prices")).json() == {"items": []}


async def test_everybody_of_an_account_sees_its_wallet_plan_and_prices(
    owner: Api, viewer: Api, platform: Api, account: int
) -> None:
    subscription = await sold(platform, account)

    for member in (owner, viewer):
        wallet = (await member.get("/wallet")).json()
        assert wallet == {
            "billing": "prepaid",
            "balance": 500_000,
            "reserved": 0,
            "available": 500_000,
            "plan": subscription,
        }
        prices = (await member.get("/prices")).json()["items"]
        assert [(one["network"], one["on_net"], one["per_minute"]) for one in prices] == [
            ("*", None, 891.5),
            ("viettel", True, 300),
        ]
    assert (await platform.get(f"/accounts/{account}/wallet")).json() == wallet


async def test_a_call_stands_in_the_ledger_with_what_it_cost_and_why(
    owner: Api, services: Services, account: int
) -> None:
    await money.payer(services.db, account, 10_000)
    cost = charge(money.PRICE, answered=True, seconds=7)
    async with services.db.transaction() as tx:
        till = (await billing.open_tills(tx, [account], money.NOW))[account]
        taken = till.take(money.PRICE, 60)
        assert taken is not None
        await billing.hold(tx, [till])
    held = (await owner.get("/wallet")).json()
    async with services.db.transaction() as tx:
        await billing.settle(tx, [settlement(account, taken.amount, cost, leg_id=5)], money.NOW)

    assert (held["balance"], held["reserved"], held["available"]) == (10_000, 869, 9_131)
    _, postage, service = (await owner.get("/ledger")).json()["items"]
    assert postage == {
        "id": postage["id"],
        "at": "2026-11-18T10:00:00+07:00",
        "kind": "postage",
        "amount": -92,
        "net": -84,
        "vat": -8,
        "vat_percent": 10,
        "balance_after": 9_908,
        "campaign_id": 1,
        "call_id": 5,
        "attempt_id": 5,
        "rate_id": 1,
        "billable_s": 7,
        "made_by": None,
        "reason": None,
        "zalo_journey_id": None,
        "zalo_message_id": None,
    }
    assert (service["kind"], service["amount"], service["balance_after"]) == ("service_charge", -77, 9_831)


async def test_a_ledger_is_paged_filtered_and_turned_round(owner: Api, platform: Api, account: int) -> None:
    for amount in (1, 2, 3):
        await platform.made(f"/accounts/{account}/top-ups", {"amount": amount, "reason": "paid"})
        await platform.made(f"/accounts/{account}/adjustments", {"amount": 10 * amount, "reason": "gift"})

    async def amounts(**query: Any) -> list[int]:
        found: list[int] = []
        while True:
            page = (await owner.get("/ledger", limit=2, **query)).json()
            found += [item["amount"] for item in page["items"]]
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    assert await amounts() == [1, 10, 2, 20, 3, 30]
    assert await amounts(order="newest") == [30, 3, 20, 2, 10, 1]
    assert await amounts(kind="top_up") == [1, 2, 3]
    assert await amounts(kind="adjustment", order="newest") == [30, 20, 10]
    assert await amounts(kind="postage") == []
    assert await amounts(since="2026-11-18T10:00:00+07:00", until="2026-11-18T10:00:01+07:00") == [
        1, 10, 2, 20, 3, 30,
    ]  # fmt: skip
    assert await amounts(until="2026-11-18T03:00:00Z") == []
    assert await amounts(since="2026-11-18T03:00:01Z") == []


@pytest.mark.parametrize("query", [{"since": "2026-11-18T10:00:00"}, {"kind": "tax"}, {"order": "dearest"}])
async def test_a_filter_that_means_nothing_is_refused_with_its_name(
    owner: Api, query: dict[str, str]
) -> None:
    answer = await owner.get("/ledger", **query)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["path"] for error in answer.json()["errors"]] == list(query)


async def test_a_stranger_sees_nothing_of_anothers_money(
    owner: Api, stranger: Api, platform: Api, account: int
) -> None:
    await sold(platform, account)
    assert (await owner.get("/wallet")).json()["balance"] == 500_000

    assert (await stranger.get("/wallet")).json()["balance"] == 0
    assert (await stranger.get("/ledger")).json() == {"items": [], "next": None}
    assert (await stranger.get("/prices")).json() == {"items": []}


# ---------------------------------------------------------------- what only the platform may


async def every_platform_request(api: Api, account_id: int) -> list[tuple[str, int, str]]:
    """(operation, status, media type) of each operation about money that is for a platform key."""
    own = f"/accounts/{account_id}"
    asked = [
        ("GET", f"{own}/wallet", None),
        ("GET", f"{own}/ledger", None),
        ("PUT", f"{own}/billing", {"billing": "off"}),
        ("POST", f"{own}/top-ups", {"amount": 5, "reason": "me"}),
        ("POST", f"{own}/adjustments", {"amount": 5, "reason": "me"}),
        ("GET", f"{own}/subscriptions", None),
        ("POST", f"{own}/subscriptions", {"plan_id": 1}),
        ("PATCH", f"{own}/subscriptions/1", {"valid_until": None}),
        ("GET", "/plans", None),
        ("POST", "/plans", {"name": "x", "tariff_id": 1}),
        ("GET", "/plans/1", None),
        ("PATCH", "/plans/1", {"name": "x"}),
        ("GET", "/tariffs", None),
        ("POST", "/tariffs", {"name": "x"}),
        ("GET", "/tariffs/1", None),
        ("GET", "/tariffs/1/rates", None),
        ("POST", "/tariffs/1/rates", {"rates": RATES}),
        ("GET", "/vat-rates", None),
        ("POST", "/vat-rates", {"line": "postage", "percent": 0, "valid_from": "2026-01-01", "source": "me"}),
    ]
    found = []
    for method, path, body in asked:
        answer = await api.send(method, path, body)
        found.append((f"{method} {path}", answer.status_code, answer.headers["content-type"]))
    return found


async def test_nobody_of_an_account_changes_money_or_prices(
    owner: Api, viewer: Api, stranger: Api, nobody: Api, platform: Api, account: int
) -> None:
    await sold(platform, account)
    before = (await platform.get(f"/accounts/{account}/wallet")).json()

    for who, status in ((owner, 403), (viewer, 403), (stranger, 403), (nobody, 401)):
        for request, answered, media_type in await every_platform_request(who, account):
            assert (answered, media_type) == (status, "application/problem+json"), request

    assert (await platform.get(f"/accounts/{account}/wallet")).json() == before


async def test_a_platform_key_has_no_wallet_of_its_own(platform: Api) -> None:
    for path in ("/wallet", "/ledger", "/prices"):
        assert (await platform.get(path)).status_code == 403


async def test_a_top_up_and_a_correction_say_who_and_why(owner: Api, platform: Api, account: int) -> None:
    line = await platform.made(f"/accounts/{account}/top-ups", {"amount": 500, "reason": "HĐ 17"})
    other = await platform.made(f"/accounts/{account}/adjustments", {"amount": -120, "reason": "nhập nhầm"})

    assert (line["kind"], line["amount"], line["balance_after"]) == ("top_up", 500, 500)
    assert (other["kind"], other["amount"], other["balance_after"]) == ("adjustment", -120, 380)
    assert (line["reason"], other["reason"]) == ("HĐ 17", "nhập nhầm")
    assert line["made_by"] == other["made_by"]
    assert line["made_by"].startswith("platform key ")
    assert (await owner.get("/ledger")).json()["items"] == [line, other]
    assert (await platform.get(f"/accounts/{account}/ledger")).json()["items"] == [line, other]


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("top-ups", {"amount": 0, "reason": "x"}, "amount"),
        ("top-ups", {"amount": 1.5, "reason": "x"}, "amount"),
        ("top-ups", {"amount": "5", "reason": "x"}, "amount"),
        ("top-ups", {"amount": 5}, "reason"),
        ("top-ups", {"amount": 5, "reason": ""}, "reason"),
        ("top-ups", {"amount": 5, "reason": " \n"}, "reason"),
        ("top-ups", {"amount": 5, "reason": "x", "by": "me"}, "by"),
        ("adjustments", {"amount": 0, "reason": "x"}, "amount"),
        ("adjustments", {"amount": -1}, "reason"),
        ("subscriptions", {"plan_id": 1, "valid_from": "2026-01-01T00:00:00"}, "valid_from"),
        ("subscriptions", {"plan_id": 1, "valid_from": "0001-01-01T00:00:00+14:00"}, "valid_from"),
    ],
)
async def test_a_change_by_hand_that_cannot_be_is_refused_with_its_place(
    platform: Api, account: int, path: str, body: dict[str, Any], where: str
) -> None:
    answer = await platform.post(f"/accounts/{account}/{path}", body)
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [where]


async def test_a_correction_below_nothing_is_a_conflict(platform: Api, account: int) -> None:
    answer = await platform.post(f"/accounts/{account}/adjustments", {"amount": -1, "reason": "x"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:tongdai:problem:conflict"


async def test_what_does_not_exist_is_not_found(platform: Api, account: int) -> None:
    for request in (
        ("GET", f"/accounts/{UNKNOWN}/wallet", None),
        ("GET", f"/accounts/{UNKNOWN}/ledger", None),
        ("PUT", f"/accounts/{UNKNOWN}/billing", {"billing": "prepaid"}),
        ("POST", f"/accounts/{UNKNOWN}/top-ups", {"amount": 5, "reason": "x"}),
        ("GET", f"/accounts/{UNKNOWN}/subscriptions", None),
        ("POST", f"/accounts/{account}/subscriptions", {"plan_id": UNKNOWN}),
        ("PATCH", f"/accounts/{account}/subscriptions/{UNKNOWN}", {"valid_until": None}),
        ("GET", f"/plans/{UNKNOWN}", None),
        ("PATCH", f"/plans/{UNKNOWN}", {"name": "x"}),
        ("POST", "/plans", {"name": "x", "tariff_id": UNKNOWN}),
        ("GET", f"/tariffs/{UNKNOWN}", None),
        ("GET", f"/tariffs/{UNKNOWN}/rates", None),
        ("POST", f"/tariffs/{UNKNOWN}/rates", {"rates": RATES}),
    ):
        answer = await platform.send(*request)
        assert answer.status_code == 404, request
        assert answer.headers["content-type"] == "application/problem+json"


# ---------------------------------------------------------------- tariffs and plans


async def test_a_rate_is_shown_as_it_was_given(platform: Api) -> None:
    tariff = await platform.made("/tariffs", {"name": "Gói 2026", "rates": RATES})

    listed = (await platform.get(f"/tariffs/{tariff['id']}/rates")).json()["items"]

    assert listed[1] == RATES[1] | {"id": listed[1]["id"], "free_s": 0}
    assert listed[0] == RATES[0] | {
        "id": listed[0]["id"],
        "on_net": None,
        "initial_s": 6,
        "increment_s": 1,
        "free_s": 0,
        "per_answer": 0,
        "per_attempt": 0,
        "valid_from": "2026-11-18T10:00:00+07:00",
    }


async def test_a_new_rate_is_what_an_account_pays_from_then_on(
    owner: Api, platform: Api, account: int
) -> None:
    await sold(platform, account)
    [tariff] = (await platform.get("/tariffs")).json()["items"]

    added = await platform.made(
        f"/tariffs/{tariff['id']}/rates", {"rates": [{"network": "*", "per_minute": 850}]}
    )

    prices = (await owner.get("/prices")).json()["items"]
    assert [one["per_minute"] for one in prices if one["network"] == "*"] == [850]
    assert added["items"][0] in prices
    assert (await platform.get(f"/tariffs/{tariff['id']}")).json() == tariff


@pytest.mark.parametrize(
    ("rate", "where"),
    [
        ({"network": "Viettel"}, "rates[1].network"),
        ({"network": "viettell"}, "rates[1].network"),
        ({"per_minute": -1}, "rates[1].per_minute"),
        ({"per_minute": 0.001}, "rates[1].per_minute"),
        ({"per_minute": "718"}, "rates[1].per_minute"),
        ({"initial_s": 0}, "rates[1].initial_s"),
        ({"currency": "USD"}, "rates[1].currency"),
    ],
)
async def test_a_rate_that_cannot_be_is_refused_with_its_place(
    platform: Api, rate: dict[str, Any], where: str
) -> None:
    answer = await platform.post("/tariffs", {"name": "Gói", "rates": [RATES[0], RATES[0] | rate]})
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [where]


async def test_a_rate_for_a_network_that_nobody_is_of_is_refused_with_those_that_are(platform: Api) -> None:
    tariff = await platform.made("/tariffs", {"name": "Gói", "rates": RATES})
    answer = await platform.post(
        f"/tariffs/{tariff['id']}/rates", {"rates": [RATES[0] | {"network": "vtel"}]}
    )
    assert answer.status_code == 400
    assert "*, fixed, gmobile, mobifone" in answer.json()["errors"][0]["message"]


async def test_a_name_is_taken_once(platform: Api) -> None:
    tariff = await platform.made("/tariffs", {"name": "Gói"})
    assert (await platform.post("/tariffs", {"name": "Gói"})).status_code == 409

    one = await platform.made("/plans", {"name": "một", "tariff_id": tariff["id"]})
    other = await platform.made("/plans", {"name": "hai", "tariff_id": tariff["id"]})
    assert (await platform.post("/plans", {"name": "một", "tariff_id": tariff["id"]})).status_code == 409
    assert (await platform.send("PATCH", f"/plans/{other['id']}", {"name": "một"})).status_code == 409
    renamed = await platform.send("PATCH", f"/plans/{other['id']}", {"name": "ba"})
    assert renamed.json() == other | {"name": "ba"}
    assert (await platform.get("/plans")).json()["items"] == [one, other | {"name": "ba"}]
    assert (await platform.get(f"/plans/{one['id']}")).json() == one


async def test_a_subscription_ends_when_it_is_told_to(owner: Api, platform: Api, account: int) -> None:
    subscription = await sold(platform, account)
    path = f"/accounts/{account}/subscriptions/{subscription['id']}"

    ended = await platform.send("PATCH", path, {"valid_until": "2026-11-18T03:00:00Z"})

    assert ended.json() == subscription | {"valid_until": "2026-11-18T10:00:00+07:00"}
    assert (await owner.get("/wallet")).json()["plan"] is None
    assert (await platform.get(f"/accounts/{account}/subscriptions")).json()["items"] == [ended.json()]
    before = await platform.send("PATCH", path, {"valid_until": "2026-11-18T02:59:59Z"})
    assert [error["path"] for error in before.json()["errors"]] == ["valid_until"]


async def test_a_vat_rate_has_its_days_and_its_law(platform: Api) -> None:
    body = {
        "line": "service",
        "percent": 8,
        "valid_from": "2026-12-01",
        "valid_until": "2026-12-31",
        "source": "Nghị định 174/2025/NĐ-CP",
    }
    made = await platform.made("/vat-rates", body)

    shipped = (await platform.get("/vat-rates")).json()["items"]
    assert made == body | {"id": made["id"]}
    assert [(one["line"], one["percent"]) for one in shipped] == [
        ("postage", 10),
        ("service", 10),
        ("zalo", 10),
        ("service", 8),
    ]
    backwards = await platform.post("/vat-rates", body | {"valid_until": "2026-11-30"})
    assert [error["path"] for error in backwards.json()["errors"]] == ["valid_until"]
    assert (await platform.post("/vat-rates", body | {"percent": 8.125})).status_code == 400


async def test_billing_is_switched_on_and_off(owner: Api, platform: Api, account: int) -> None:
    path = f"/accounts/{account}/billing"
    on = await platform.send("PUT", path, {"billing": "prepaid"})
    assert (on.status_code, on.json()["billing"]) == (200, "prepaid")
    assert (await owner.get("/wallet")).json() == on.json()
    off = await platform.send("PUT", path, {"billing": "off"})
    assert off.json()["billing"] == "off"
    assert (await platform.send("PUT", path, {"billing": "later"})).status_code == 400


async def test_amounts_stay_exact_whatever_their_size(owner: Api, platform: Api, account: int) -> None:
    most = 10**15 - 1
    await platform.made(f"/accounts/{account}/top-ups", {"amount": most, "reason": "all there is"})
    assert (await owner.get("/wallet")).json()["balance"] == most
    full = await platform.post(f"/accounts/{account}/top-ups", {"amount": 1, "reason": "and one more"})
    assert full.status_code == 409
    assert Decimal((await owner.get("/ledger")).json()["items"][0]["amount"]) == most
