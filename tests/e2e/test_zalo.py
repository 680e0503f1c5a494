"""Two customers of Zalo's in the demo: from the permission page to journeys that are paid and that expire."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.e2e.test_demo import Demo, running, soon
from tests.fakes import browser
from tests.fakes.browser import browsing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

OA_FIELDS: dict[str, type] = {
    "app_id": str,
    "avatar": str,
    "connection_id": str,
    "connection_method": str,
    "cover": str,
    "created_at": str,
    "current_quality": str,
    "daily_quota": int,
    "description": str,
    "expires_at": str,
    "is_verified": bool,
    "last_week_quality": str,
    "name": str,
    "oa_id": str,
    "onwer_id": str,
    "remaining_quota": int,
    "shop_id": str,
    "status": str,
    "updated_at": str,
}
"""ConnectOA's answer, field by field as SenCloud's page has it: 64-bit integers are strings."""
OA_NUMBERS = ("app_id", "connection_id", "oa_id", "onwer_id", "shop_id")
OA_TIMES = ("created_at", "expires_at", "updated_at")

JOURNEY_FIELDS: dict[str, type] = {
    "charged": bool,
    "created_at": str,
    "error_code": int,
    "error_message": str,
    "expired_at": str,
    "id": str,
    "is_charged": bool,
    "journey_id": str,
    "journey_token": str,
    "phone": str,
    "status": str,
    "updated_at": str,
}
"""create-journey's `data`, field by field as Interits' page has it."""

PARCEL = {"customer_name": "An", "order_code": "SM-1001", "status": "Đang giao"}
WEEK_AND_MORE_S = 7 * 86_400 + 3_600


@dataclass
class Shop:
    """One tenant of the demo, and the emulator that it is at."""

    demo: Demo
    of: dict[str, Any]
    """Its part of the credentials."""

    def rpc(self, method: str, body: dict[str, Any]) -> httpx.Response:
        """By SenCloud's API."""
        headers = {"Authorization": f"Bearer {self.of['sencloud']['api_key']}"}
        return self.demo.http.post(f"/v1/shop.Zalo/{method}", json=body, headers=headers)

    def its(self, method: str, body: dict[str, Any]) -> httpx.Response:
        """By Interits' API."""
        headers = {"API-KEY": self.of["interits"]["api_key"]}
        return self.demo.http.post(f"/api/vendor/v1/zalo/{method}", json=body, headers=headers)

    def native(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.of['native']['api_key']}"}
        answer = self.demo.http.get(f"/v1{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def emulator(self, what: str, told: dict[str, Any] | None = None) -> Any:
        url = f"{self.of['zalo']['emulator_url']}/emulator/{what}"
        answer = httpx.get(url) if told is None else httpx.post(url, json=told, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def oa_id(self) -> str:
        return str(self.of["zalo"]["oa_id"])

    @property
    def linked(self) -> str:
        return str(self.of["zalo"]["linked_phone"])

    def permission_page(self) -> str:
        sencloud = self.of["sencloud"]
        asked = {name: sencloud[name] for name in ("app_id", "app_secret", "redirect_uri")}
        answer = self.rpc("AuthorizeOA", asked)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["url"])

    def journey(self, token_type: str = "token_logistics_7") -> dict[str, Any]:
        answer = self.its(
            "create-journey", {"oa_id": self.oa_id, "phone": self.linked, "token_type": token_type}
        )
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()["data"]
        return made

    def first_message(self, journey_id: str) -> dict[str, Any]:
        listed = self.native("/zalo/templates")["items"]
        template = next(one for one in listed if one["name"] == "Hành trình đơn hàng")
        body = {"oa_id": self.oa_id, "journey_id": journey_id, "phone": self.linked}
        answer = self.rpc(
            "SendZNSJourney", body | {"template_id": template["template_id"], "template_data": PARCEL}
        )
        assert answer.status_code == 200, answer.text
        sent: dict[str, Any] = answer.json()
        return sent

    def seen(self, journey_id: str) -> dict[str, Any]:
        answer = self.rpc("GetJourney", {"oa_id": self.oa_id, "journey_id": journey_id})
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def lines_of(self, journey: dict[str, Any]) -> list[dict[str, Any]]:
        """What the ledger has of a journey, known by the id that we gave it."""
        lines = self.native("/ledger?limit=1000")["items"]
        return [line for line in lines if line["zalo_journey_id"] == int(journey["id"])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zalo") / "data"


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Demo]:
    with running(folder) as one:
        yield one


@pytest.fixture
def shop(demo: Demo) -> Shop:
    return Shop(demo, demo.credentials)


@pytest.fixture
def other(demo: Demo) -> Shop:
    return Shop(demo, demo.credentials["other_tenant"])


def query_of(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


# ---------------------------------------------------------------- connecting


def test_an_official_account_is_connected_by_script_and_shown_field_by_field(shop: Shop) -> None:
    wanted = shop.of["zalo"]["unconnected_oa_id"]
    answer = httpx.get(f"{shop.permission_page()}&consent={wanted}")
    back = query_of(answer.headers["location"])

    # As SenCloud's page has the types: code string, oa_id int64 (a string on the wire), state integer.
    body = {"code": back["code"], "oa_id": back["oa_id"], "state": int(back["state"])}
    connected = shop.rpc("ConnectOA", body)

    assert answer.status_code == 302
    assert answer.headers["location"].startswith(shop.of["sencloud"]["redirect_uri"])
    assert connected.status_code == 200, connected.text
    oa = connected.json()
    assert oa.keys() == {*OA_FIELDS, "owner_id"}
    for name, kind in OA_FIELDS.items():
        assert type(oa[name]) is kind, name
    assert all(oa[name].isdecimal() for name in OA_NUMBERS)
    times = {name: datetime.fromisoformat(oa[name]) for name in OA_TIMES}
    assert all(oa[name].endswith("Z") for name in OA_TIMES)
    assert (oa["oa_id"], oa["app_id"]) == (wanted, shop.of["sencloud"]["app_id"])
    assert (oa["status"], oa["connection_method"]) == ("P", "direct")
    assert (oa["current_quality"], oa["last_week_quality"]) == ("HIGH", "HIGH")
    assert 0 < oa["remaining_quota"] <= oa["daily_quota"]
    assert oa["owner_id"] == oa["onwer_id"]
    assert 85 < (times["expires_at"] - times["created_at"]).days <= 92
    assert shop.rpc("ConnectOA", body).status_code == 400, "a state works once"


def test_a_person_allows_it_in_a_browser_and_is_shown_how_to_go_on(other: Shop, tmp_path: Path) -> None:
    if browser.program() is None:
        pytest.skip("no Chromium on this machine")
    wanted = other.of["zalo"]["unconnected_oa_id"]
    with browsing(tmp_path) as person:
        person.open(other.permission_page())
        person.click(f"input[name=oa_id][value='{wanted}']")
        person.click("input[name=agree]")
        assert person.screenshot().startswith(b"\x89PNG")
        person.click("button[value=allow]")
        person.until("location.pathname === '/zalo/callback' && document.readyState === 'complete'")
        address = person.ask("location.href")
        command = person.ask("document.querySelector('pre').textContent")

    assert f"{other.demo.credentials['base_url']}/v1/shop.Zalo/ConnectOA" in command
    sent = json.loads(command.partition("-d '")[2].rstrip().removesuffix("'"))
    assert {name: str(value) for name, value in sent.items()} == {
        name: text for name, text in query_of(address).items() if name in ("code", "oa_id", "state")
    }
    connected = other.rpc("ConnectOA", sent)
    assert connected.status_code == 200, connected.text
    assert (connected.json()["oa_id"], connected.json()["status"]) == (wanted, "P")


def test_one_shop_has_nothing_of_the_other(shop: Shop, other: Shop) -> None:
    journey = shop.journey()
    of_theirs = {"oa_id": shop.oa_id, "phone": other.linked}
    back = query_of(httpx.get(f"{shop.permission_page()}&consent={shop.oa_id}").headers["location"])
    stolen = {"code": back["code"], "oa_id": back["oa_id"], "state": int(back["state"])}

    assert other.rpc("CreateJourney", of_theirs).status_code == 404
    assert other.its("create-journey", of_theirs).status_code == 404
    assert other.rpc("GetShopOA", {"oa_id": shop.oa_id}).status_code == 404
    assert other.rpc("GetJourney", {"journey_id": journey["journey_id"]}).status_code in (400, 404)
    assert other.rpc("ConnectOA", stolen).status_code == 400
    for listed, name in (("ListOA", "accounts"), ("ListJourneys", "journeys"), ("ListMessages", "messages")):
        ours, theirs = shop.rpc(listed, {}).json()[name], other.rpc(listed, {}).json()[name]
        key = "oa_id" if listed == "ListOA" else "id"
        assert not {one[key] for one in ours} & {one[key] for one in theirs}, listed


# ---------------------------------------------------------------- journeys


@pytest.mark.parametrize("api", ["sencloud", "interits"])
def test_a_journey_for_a_number_with_zalo_and_for_one_without(shop: Shop, api: str) -> None:
    def created(phone: str) -> dict[str, Any]:
        body = {"oa_id": shop.oa_id, "phone": phone}
        if api == "sencloud":
            answer = shop.rpc("CreateJourney", body)
            assert answer.status_code == 200, answer.text
            bare: dict[str, Any] = answer.json()
            return bare
        answer = shop.its("create-journey", body)
        assert answer.status_code == 200, answer.text
        envelope = answer.json()
        assert envelope.keys() == {"code", "data", "message", "referentId"}
        assert envelope["code"] == 0
        data: dict[str, Any] = envelope["data"]
        return data

    linked, unlinked = created(shop.linked), created(shop.of["zalo"]["unlinked_phone"])

    assert linked.keys() == unlinked.keys() == JOURNEY_FIELDS.keys()
    for name, kind in JOURNEY_FIELDS.items():
        assert type(linked[name]) is kind, name
    assert (linked["status"], linked["error_code"], linked["charged"]) == ("Z", 0, False)
    assert linked["is_charged"] is linked["charged"]
    assert linked["journey_token"]
    assert linked["phone"] == shop.linked
    life = datetime.fromisoformat(linked["expired_at"]) - datetime.fromisoformat(linked["created_at"])
    assert life.days == 7
    assert (unlinked["status"], unlinked["error_code"]) == ("N", -118)
    assert unlinked["error_message"]
    assert unlinked["charged"] is False


def test_a_journey_is_charged_once_by_its_first_message_whatever_zalo_says_again(shop: Shop) -> None:
    made = shop.journey("token_logistics_30")
    assert shop.lines_of(made) == []

    sent = shop.first_message(made["journey_id"])
    assert (sent["status"], sent["journey_id"], sent["error_code"]) == ("P", made["journey_id"], 0)
    shown = shop.seen(made["journey_id"])
    assert (shown["status"], shown["charged"], shown["is_charged"]) == ("P", True, True)

    def told() -> list[dict[str, Any]]:
        """Zalo's events about it that were taken by us."""
        return [
            hook
            for hook in shop.emulator("webhooks")
            if hook["event"] == "event_journey_acknowledged"
            and made["journey_id"] in json.dumps(hook["body"])
            and hook["state"] == "taken"
        ]

    [first] = soon(told)
    assert first["status"] == 200
    shop.emulator("replay", {"id": first["id"]})
    shop.first_message(made["journey_id"])
    shop.emulator("settle", {})

    [line] = shop.lines_of(made)
    assert line["kind"] == "zalo_journey"
    assert line["amount"] == -(180 + 18)
    wallet = shop.native("/wallet")
    assert sum(one["amount"] for one in every(shop, "/ledger")) == wallet["balance"]
    delivered = soon(lambda: delivery_of(shop, sent["msg_id"]))
    assert delivered["status"] == "P"


def every(shop: Shop, path: str) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = shop.native(f"{path}?limit=1000{cursor}")
        yield from page["items"]
        if page["next"] is None:
            return
        cursor = f"&cursor={page['next']}"


def delivery_of(shop: Shop, msg_id: str) -> dict[str, Any] | None:
    """The message, once Zalo has told that it arrived."""
    answer = shop.rpc("GetMessage", {"oa_id": shop.oa_id, "msg_id": msg_id})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown if shown["delivery_status"] != "unknown" else None


def test_a_journey_that_zalo_says_is_over_has_expired_and_cost_nothing(other: Shop) -> None:
    unused = other.journey("token_logistics_7")
    longer = other.journey("token_logistics_30")
    before = other.native("/wallet")["balance"]

    other.emulator("advance", {"seconds": WEEK_AND_MORE_S})

    expired = soon(lambda: shown if (shown := other.seen(unused["journey_id"]))["status"] == "N" else None)
    assert (expired["charged"], expired["error_code"]) == (False, 0)
    assert other.seen(longer["journey_id"])["status"] == "Z"
    assert other.lines_of(unused) == []
    assert other.native("/wallet")["balance"] == before
    late = other.first_message(unused["journey_id"])
    assert (late["status"], late["error_code"]) == ("N", -150)
    # The access token of before is over by now, and nobody noticed.
    assert other.first_message(longer["journey_id"])["status"] == "P"


# ---------------------------------------------------------------- the demo itself


def test_a_second_start_at_another_address_is_connected_still(demo: Demo, shop: Shop, folder: Path) -> None:
    before = shop.native(f"/zalo/connections/{shop.oa_id}")
    assert demo.stop() == 0

    with running(folder) as again:
        there = Shop(again, again.credentials)
        after = there.native(f"/zalo/connections/{there.oa_id}")
        assert (after["id"], after["state"]) == (before["id"], "connected")
        assert there.journey()["status"] == "Z"
        assert there.of["zalo"]["emulator_url"] != shop.of["zalo"]["emulator_url"]
        assert again.stop() == 0

    for file in folder.glob("zalo-emulator.sqlite*"):
        file.unlink()
    with running(folder) as anew:
        there = Shop(anew, anew.credentials)
        after = there.native(f"/zalo/connections/{there.oa_id}")
        assert (after["id"], after["state"]) == (before["id"], "connected")
        assert there.journey()["status"] == "Z"
        for one in (there, Shop(anew, anew.credentials["other_tenant"])):
            sent = one.first_message(one.journey()["journey_id"])
            assert sent["status"] == "P"


def test_the_emulator_is_started_again_when_it_dies(folder: Path) -> None:
    with running(folder) as demo:
        shop = Shop(demo, demo.credentials)
        before = demo.child("zalo-emulator")
        before.kill()

        def created() -> bool:
            answer = shop.its("create-journey", {"oa_id": shop.oa_id, "phone": shop.linked})
            assert answer.status_code in (200, 503), answer.text
            return answer.status_code == 200

        started = time.monotonic()
        assert soon(created)
        assert time.monotonic() - started < 60
        assert demo.child("zalo-emulator").pid != before.pid
