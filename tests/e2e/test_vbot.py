"""A VBot client of the demo, from its login to the bodies that its own server is posted."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_demo import Demo, running, soon
from tests.fakes.listener import Listener, listening

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FIELDS: dict[str, type | tuple[type, ...]] = {
    "campaign_id": int,
    "create_at": str,
    "hotline": str,
    "phone": str,
    "name": str,
    "description": str,
    "status": int,
    "time_call": int,
    "postage": (int, float),
    "service_charge": (int, float),
    "action_log": str,
    "event_data": str,
}
"""The twelve of the seed, with the types of its table."""

STATUS = {
    "001": 200,
    "002": 2,
    "003": 3,
    "004": 3,
    "005": 101,
    "006": 200,
    "007": 200,
    "008": 200,
    "009": 200,
    "010": 104,
    "011": 200,
    "012": 2,
    "013": 100,
}


@dataclass
class Shop:
    """A shop with a VBot client, and the server that VBot posts to."""

    demo: Demo
    listener: Listener
    token: str

    @property
    def native(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.demo.credentials['native']['api_key']}"}

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.demo.credentials['admin']['api_key']}"}

    def create(self, *contacts: dict[str, Any]) -> int:
        vbot = self.demo.credentials["vbot"]
        body = {
            "vbotId": vbot["vbot_id"],
            "groupCode": vbot["project_code"],
            "campaignId": vbot["template_campaign_id"],
            "name": "Nhắc đơn hàng",
            "phones": [
                {"fields": [{"key": key, "value": value} for key, value in contact.items()]}
                for contact in contacts
            ],
        }
        answer = self.demo.http.post(
            "/api/campaign/create", json=body, headers={"Authorization": f"Bearer {self.token}"}
        )
        assert answer.status_code == 200
        told = answer.json()
        assert (told["status"], told["error"], told["msg"]) == (1, 0, "success"), told
        return int(told["data"])

    def call(self, method: str, path: str, body: Any = None, *, admin: bool = False) -> Any:
        headers = self.admin if admin else self.native
        answer = self.demo.http.request(method, f"/v1/{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def bodies(self, campaign: int) -> list[dict[str, Any]]:
        return [body for body in self.listener.at("/auto") if body["campaign_id"] == campaign]

    def only_status(self, campaign: int) -> int:
        """Of a campaign with one contact, once it has been told."""
        (body,) = soon(lambda: self.bodies(campaign))
        status: int = body["status"]
        return status


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("vbot") / "data"
    with running(folder) as demo, listening() as listener:
        vbot = demo.credentials["vbot"]
        login = {
            "grant_type": "password",
            "username": vbot["username"],
            "password": vbot["password"],
        }
        one = Shop(demo, listener, demo.http.post("/token", data=login).json()["access_token"])
        for path, format_ in (("/auto", "vbot_auto_call"), ("/history", "vbot_call_history")):
            one.call("POST", "webhook-endpoints", {"url": listener.url(path), "format": format_})
        yield one


def test_a_campaign_of_all_sandbox_numbers_is_told_call_by_call(shop: Shop) -> None:
    contacts = [
        {"phone": f"0912345{tail}", "name": f"Khách {tail}", "description": "Đơn 17"} for tail in STATUS
    ]
    campaign = shop.create(*contacts, {"phone": "12", "name": "Không số"})
    bodies = soon(lambda: found if len(found := shop.bodies(campaign)) == len(contacts) + 1 else None)
    for body in bodies:
        assert list(body) == list(FIELDS)
        assert {name: isinstance(body[name], kind) for name, kind in FIELDS.items()} == dict.fromkeys(
            FIELDS, True
        )
        assert body["event_data"] == "CAMPAIGN_CALL"
    by_phone = {body["phone"]: body for body in bodies}
    assert {phone[-3:]: body["status"] for phone, body in by_phone.items() if phone != "12"} == STATUS
    assert by_phone["12"]["status"] == 101
    assert by_phone["0912345007"]["action_log"].startswith("1 (")
    assert by_phone["0912345007"]["name"] == "Khách 007"
    assert by_phone["0912345007"]["description"] == "Đơn 17"
    answered = [body for body in bodies if body["status"] == 200]
    assert all(body["postage"] > 0 and body["service_charge"] > 0 for body in answered)
    assert all(body["time_call"] > 0 for body in answered)
    assert all(body["postage"] == body["service_charge"] == 0 for body in bodies if body["status"] != 200)

    history = soon(lambda: found if len(found := shop.listener.at("/history")) == len(contacts) else None)
    assert {body["event_data"] for body in history} == {"HISTORY_CALL"}
    spoken = {body["data"][0]["callee"][0]["phone"][-3:]: body["data"][0]["disposition"] for body in history}
    assert spoken["001"] == "ANSWER"
    assert spoken["002"] == "NOANSWER"
    assert spoken["003"] == "BUSY"
    assert spoken["010"] == "CONGESTION"


def test_number_call_is_the_number_of_attempts_and_each_is_told(shop: Shop) -> None:
    campaign = shop.create({"phone": "0987654003", "numberCall": 2})
    (first,) = soon(lambda: shop.bodies(campaign))
    assert first["status"] == 3
    progress = shop.call("GET", f"campaigns/{campaign}/progress")
    assert (progress["done"], progress["queued"]) == (0, 1)
    (call,) = shop.call("GET", f"calls?campaign_id={campaign}")["items"]
    assert call["attempts"] == 1
    due_in = datetime.fromisoformat(call["due_at"]) - datetime.now(UTC)
    assert 240 < due_in.total_seconds() <= 300


def test_status_4_is_a_call_cancelled_before_it_was_dialled(shop: Shop) -> None:
    template = shop.demo.credentials["vbot"]["template_campaign_id"]
    campaign = shop.call("POST", f"templates/{template}/campaigns", {"name": "Hủy"})["id"]
    shop.call("POST", f"campaigns/{campaign}/contacts", {"contacts": [{"number": "0912345001"}]})
    shop.call("POST", "calls/cancel", {"campaign_id": campaign})
    assert shop.only_status(campaign) == 4


def test_status_102_is_a_network_without_a_hotline_of_the_campaign(shop: Shop) -> None:
    trunk = shop.call("GET", "trunks")["items"][0]["id"]
    line = {"number": "02473009999", "trunk_id": trunk, "network": "viettel"}
    hotline = shop.call("POST", "hotlines", line)["id"]
    template = shop.demo.credentials["vbot"]["template_campaign_id"]
    campaign = shop.call("POST", f"templates/{template}/campaigns", {"name": "Chỉ Viettel"})["id"]
    shop.call("PATCH", f"campaigns/{campaign}", {"hotline_ids": [hotline]})
    shop.call("POST", f"campaigns/{campaign}/contacts", {"contacts": [{"number": "0912345001"}]})
    shop.call("POST", f"campaigns/{campaign}/start")
    assert shop.only_status(campaign) == 102


def test_status_106_is_a_network_that_no_trunk_carries(shop: Shop) -> None:
    trunk = shop.call("GET", "trunks")["items"][0]["id"]
    shop.call("PATCH", f"trunks/{trunk}", {"networks": ["viettel"]})
    assert shop.only_status(shop.create({"phone": "0912345001"})) == 106
    shop.call("PATCH", f"trunks/{trunk}", {"networks": None})


def test_status_104_is_a_number_that_nobody_may_call(shop: Shop) -> None:
    shop.call("POST", "do-not-call", {"numbers": ["0912999001"]})
    campaign = shop.create({"phone": "0912999001"})
    assert shop.only_status(campaign) == 104
    progress = shop.call("GET", f"campaigns/{campaign}/progress")
    assert progress["blocked_by"] == {"dnc_account": 1}


def test_status_103_is_an_empty_wallet_and_105_a_plan_that_has_ended(shop: Shop) -> None:
    account = shop.call("GET", "me")["account_id"]
    # What calls that are up hold cannot be taken out.
    soon(lambda: float(shop.call("GET", "wallet")["reserved"]) == 0)
    wallet = shop.call("GET", "wallet")
    balance = int(wallet["available"])
    shop.call("POST", f"accounts/{account}/adjustments", {"amount": -balance, "reason": "103"}, admin=True)
    assert shop.only_status(shop.create({"phone": "0912345001"})) == 103
    shop.call("POST", f"accounts/{account}/top-ups", {"amount": balance, "reason": "103"}, admin=True)

    plan = f"accounts/{account}/subscriptions/{wallet['plan']['id']}"
    shop.call("PATCH", plan, {"valid_until": datetime.now(UTC).isoformat()}, admin=True)
    assert shop.only_status(shop.create({"phone": "0912345001"})) == 105
    shop.call("PATCH", plan, {"valid_until": None}, admin=True)


def test_status_minus_100_is_a_call_whose_carrier_died(shop: Shop) -> None:
    campaign = shop.create({"phone": "0966345001"})
    soon(lambda: shop.call("GET", f"campaigns/{campaign}/progress")["dialing"] == 1)
    shop.demo.child("sandbox-carrier").send_signal(signal.SIGKILL)
    assert shop.only_status(campaign) == -100
