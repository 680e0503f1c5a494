"""Promise 10: a running campaign that does not dial says why, over our API, until the cause has ended.

A real dialer on the real database and clock; what it waits for is brought about, and ended, as customers and
administrators do it wherever the API lets them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import factories
from tests.api.conftest import Api
from tests.api.world import ATTESTATION, SCRIPT, campaign_body
from tests.fakes.dialling import dialing, eventually, rows
from tests.fakes.engine import PlayedEngine, answers_and_ends, silent
from tests.money import payer

from tongdai.adapters.files import FileStorage
from tongdai.app import create_app
from tongdai.domain import accounts, compliance, contacts
from tongdai.domain.compliance import PolicyBook
from tongdai.domain.dialer import Dialer
from tongdai.kit.clock import VIETNAM, SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services
from tongdai.ports.telephony import DialRequest, EndCause, Ended

pytestmark = pytest.mark.anyio

EVERY_DAY = list(range(1, 8))
NUMBER = "0912345678"


def congested(engine: PlayedEngine, request: DialRequest) -> None:
    """The carrier fails before anything rings."""
    engine.tell(Ended(request.leg_id, 1, 0.2, EndCause.CONGESTION, None))


@dataclass(frozen=True)
class Shop:
    """An account with a trunk, a hotline and a campaign, seen through the API; and a dialer for it."""

    services: Services
    owner: Api
    platform: Api
    engine: PlayedEngine
    trunk_id: int
    hotline_id: int
    script_id: int
    account_id: int

    @property
    def trunk(self) -> str:
        return f"/trunks/{self.trunk_id}"

    @property
    def hotline(self) -> str:
        return f"/hotlines/{self.hotline_id}"

    def dialing(self, policies: PolicyBook | None = None) -> AbstractAsyncContextManager[Dialer]:
        return dialing(self.services.db, self.services.keyring, {"sandbox": self.engine}, policies=policies)

    async def campaign(self, **more: Any) -> int:
        """A campaign that runs."""
        body = campaign_body(self.script_id, self.hotline_id, **more)
        made = await self.owner.made("/campaigns", body)
        await self.owner.made(f"/campaigns/{made['id']}/start", None)
        campaign_id: int = made["id"]
        return campaign_id

    async def give(self, campaign_id: int, *numbers: str) -> list[int]:
        given = [{"number": number} for number in numbers or (NUMBER,)]
        report = await self.owner.made(f"/campaigns/{campaign_id}/contacts", {"contacts": given})
        assert len(report["accepted"]) == len(given)
        return [one["call_id"] for one in report["accepted"]]

    async def change(self, path: str, **values: Any) -> None:
        answer = await self.owner.send("PATCH", path, values)
        assert answer.status_code == 200, answer.text

    async def change_campaign(self, campaign_id: int, **values: Any) -> None:
        """As its owner does while it runs: pause, change, resume."""
        await self.owner.made(f"/campaigns/{campaign_id}/pause", None)
        await self.change(f"/campaigns/{campaign_id}", **values)
        await self.owner.made(f"/campaigns/{campaign_id}/resume", None)

    async def says(self, campaign_id: int, reason: str) -> dict[str, Any]:
        """What the campaign and its progress say of their waiting, once that is for this reason."""

        async def look() -> dict[str, Any] | None:
            waiting: dict[str, Any] | None = (await self.owner.get(f"/campaigns/{campaign_id}")).json()[
                "waiting"
            ]
            # Two looks at two moments: a dialer may have looked around in between.
            progress = (await self.owner.get(f"/campaigns/{campaign_id}/progress")).json()
            same = waiting is not None and waiting == progress["waiting"]
            return waiting if same and waiting is not None and waiting["reason"] == reason else None

        waiting: dict[str, Any] = await eventually(look)
        return waiting

    async def call(self, call_id: int) -> dict[str, Any]:
        call: dict[str, Any] = (await self.owner.get(f"/calls/{call_id}")).json()
        return call

    async def ended(self, call_id: int) -> str:
        """The outcome of a call once it has one for good."""

        async def look() -> str | None:
            call = await self.call(call_id)
            return str(call["outcome"]) if call["state"] == "done" else None

        outcome: str = await eventually(look)
        return outcome

    async def is_kept(self, call_id: int) -> bool:
        """It waits untouched, and nobody was called for it."""
        call = await self.call(call_id)
        dialled = [request.number for request in self.engine.dialled]
        return (
            call["state"] == "queued"
            and call["attempts"] == 0
            and call["deferred_reason"] is None
            and "84912345678" not in dialled
        )


@pytest.fixture
async def shop(db: Database, keyring: Keyring, tmp_path: Path) -> AsyncIterator[Shop]:
    hinter = Hinter(db)
    await hinter.start()
    storage = FileStorage(tmp_path / "files")
    services = Services(db, keyring, SystemClock(), hinter, storage, engines=frozenset({"sandbox"}))
    people = await factories.cast(db, keyring)
    async with db.transaction() as tx:
        issued = await accounts.issue_platform_key(tx, "tests")
        await contacts.load_default_prefixes(tx)
    transport = httpx.ASGITransport(app=create_app(services))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://tests") as http:
        owner, platform = Api(http, people.owner, people.owner.api_key), Api(http, None, issued.key)
        trunk = await owner.made(
            "/trunks", {"name": "VNPT", "engine": "sandbox", "max_channels": 30, "max_cps": None}
        )
        line = await owner.made("/hotlines", {"number": "02473001234", "trunk_id": trunk["id"]})
        script = await owner.made("/scripts", {"name": "Nhắc đơn", "script": SCRIPT})
        yield Shop(
            services,
            owner,
            platform,
            PlayedEngine(),
            trunk["id"],
            line["id"],
            script["id"],
            people.owner.account_id,
        )
    await hinter.stop()


def today() -> int:
    """ISO weekday in Vietnam."""
    return datetime.now(VIETNAM).isoweekday()


def other_hours() -> tuple[str, str]:
    """An hour of the day that neither is now nor begins within the next one."""
    hour = (datetime.now(VIETNAM).hour + 2) % 23
    return f"{hour:02}:00", f"{hour + 1:02}:00"


def ruled(*rules: str) -> PolicyBook:
    """The shipped rules with an operator's changes: each is `id: TOML of what is different`."""
    shipped = resources.files("tongdai.domain.compliance").joinpath("policies.toml").read_text("utf-8")
    own = ['id = "own"', "valid_from = 2020-01-01"]
    for rule in rules:
        rule_id, _, changes = rule.partition(": ")
        own += ["[[rule]]", f'id = "{rule_id}"', *changes.split("; ")]
    return compliance.parse_policies(shipped, "\n".join(own))


# --------------------------------------------------------------------------- hours


async def test_a_campaign_outside_of_its_schedule_says_which_part_of_it_is_closed(shop: Shop) -> None:
    tomorrow = (datetime.now(VIETNAM) + timedelta(days=1)).date().isoformat()
    yesterday = (datetime.now(VIETNAM) - timedelta(days=1)).date().isoformat()
    always = {"weekdays": EVERY_DAY, "start": "00:00", "end": "24:00"}
    not_today = {"weekdays": [day for day in EVERY_DAY if day != today()], "start": "00:00", "end": "24:00"}
    schedules = {
        "window_closed": {"windows": [not_today]},
        "not_started": {"windows": [always], "start_date": tomorrow},
        "schedule_ended": {"windows": [always], "end_date": yesterday},
    }
    made = {detail: await shop.campaign(config={"schedule": one}) for detail, one in schedules.items()}
    calls = {detail: (await shop.give(campaign))[0] for detail, campaign in made.items()}
    async with shop.dialing():
        for detail, campaign in made.items():
            reason = "schedule_over" if detail == "schedule_ended" else "schedule_closed"
            waiting = await shop.says(campaign, reason)
            assert waiting["detail"] == detail
            # Midnight in Vietnam, when the next day's window opens; a schedule that is over opens never.
            opens = None if reason == "schedule_over" else f"{tomorrow}T00:00:00+07:00"
            assert waiting["until"] == opens
            assert await shop.is_kept(calls[detail])
        await shop.change_campaign(made["window_closed"], config={})
        assert await shop.ended(calls["window_closed"]) == "answered"


@pytest.mark.parametrize(
    ("purpose", "rule", "others"),
    [
        ("debt_reminder", "debt_window", ()),
        (
            "advertising",
            "advertising_window",
            tuple(
                f"advertising_{one}: on = false"
                for one in ("consent", "national_list", "brand_name", "frequency")
            ),
        ),
    ],
)
async def test_a_campaign_outside_of_its_purpose_s_hours_says_so_and_when_they_begin(
    shop: Shop, purpose: str, rule: str, others: tuple[str, ...]
) -> None:
    await shop.change(shop.hotline, brand_name="AN BINH", brand_until="2199-12-31")
    campaign = await shop.campaign(purpose=purpose)
    [call] = await shop.give(campaign)
    start, end = other_hours()
    async with shop.dialing(ruled(f'{rule}: start = "{start}"; end = "{end}"', *others)):
        waiting = await shop.says(campaign, "purpose_window")
        opens = datetime.fromisoformat(waiting["until"])
        assert opens.astimezone(VIETNAM).strftime("%H:%M") == start
        assert timedelta(0) < opens - datetime.now(UTC) <= timedelta(days=1)
        assert await shop.is_kept(call)
    async with shop.dialing(ruled(f'{rule}: start = "00:00"; end = "24:00"', *others)):
        assert await shop.ended(call) == "answered"


# --------------------------------------------------------------------------- money


async def test_a_campaign_with_an_empty_wallet_says_so_until_a_top_up(shop: Shop) -> None:
    await payer(shop.services.db, shop.account_id, balance=0)
    campaign = await shop.campaign()
    [call] = await shop.give(campaign)
    async with shop.dialing():
        await shop.says(campaign, "wallet_empty")
        assert await shop.is_kept(call)
        top_up = {"amount": 100_000, "reason": "Chuyển khoản"}
        await shop.platform.made(f"/accounts/{shop.account_id}/top-ups", top_up)
        assert await shop.ended(call) == "answered"


async def test_a_campaign_without_a_valid_plan_says_so_until_there_is_one(shop: Shop) -> None:
    pays = await payer(shop.services.db, shop.account_id)
    subscription = f"/accounts/{shop.account_id}/subscriptions/{pays.subscription_id}"
    ended = {"valid_until": (datetime.now(UTC) - timedelta(minutes=1)).isoformat()}
    assert (await shop.platform.send("PATCH", subscription, ended)).status_code == 200
    campaign = await shop.campaign()
    [call] = await shop.give(campaign)
    async with shop.dialing():
        await shop.says(campaign, "plan_expired")
        assert await shop.is_kept(call)
        again = f"/accounts/{shop.account_id}/subscriptions"
        await shop.platform.made(again, {"plan_id": pays.plan_id})
        assert await shop.ended(call) == "answered"


# --------------------------------------------------------------------------- lines


async def test_a_campaign_whose_trunk_is_full_says_so_until_a_call_ends(shop: Shop) -> None:
    await shop.change(shop.trunk, max_channels=1)
    shop.engine.behave = silent
    busy, waits = await shop.campaign(), await shop.campaign()
    async with shop.dialing():
        [up] = await shop.give(busy, "0987654321")

        async def is_up() -> bool:
            return shop.engine.dialled != []

        await eventually(is_up)
        [call] = await shop.give(waits)
        await shop.says(waits, "channels_full")
        assert await shop.is_kept(call)
        shop.engine.behave = answers_and_ends
        answers_and_ends(shop.engine, shop.engine.dialled[0])
        assert [await shop.ended(one) for one in (up, call)] == ["answered", "answered"]


async def test_a_campaign_whose_calls_may_take_a_full_line_alone_says_so_though_another_is_free(
    shop: Shop,
) -> None:
    """Both of its calls are to the network of the full line."""
    await shop.change(shop.hotline, network="vinaphone", max_channels=0)
    free = await shop.owner.made("/hotlines", {"number": "02473005678", "trunk_id": shop.trunk_id})
    await shop.change(f"/hotlines/{free['id']}", network="viettel")
    campaign = await shop.campaign()
    await shop.change_campaign(campaign, hotline_ids=[shop.hotline_id, free["id"]])
    async with shop.dialing():
        calls = await shop.give(campaign, NUMBER, "0942345678")
        await shop.says(campaign, "channels_full")
        assert await shop.is_kept(calls[0])
        await shop.change(shop.hotline, max_channels=1)
        assert [await shop.ended(call) for call in calls] == ["answered", "answered"]


async def test_a_campaign_whose_every_trunk_cools_down_says_so_until_one_is_used_again(shop: Shop) -> None:
    await shop.change(shop.trunk, cool_after=1, cool_seconds=600)
    shop.engine.behave = congested
    campaign = await shop.campaign()
    async with shop.dialing():
        [failed] = await shop.give(campaign, "0987654321")
        assert await shop.ended(failed) == "congestion"
        [call] = await shop.give(campaign)
        waiting = await shop.says(campaign, "trunks_cooling")
        until = datetime.fromisoformat(waiting["until"]) - datetime.now(UTC)
        assert timedelta(minutes=8) < until <= timedelta(minutes=10)
        assert await shop.is_kept(call)
        shop.engine.behave = answers_and_ends
        await shop.change(shop.trunk, cooling_until=None)
        assert await shop.ended(call) == "answered"


async def test_a_campaign_that_used_up_its_hotlines_day_says_so_until_there_is_more_of_it(shop: Shop) -> None:
    await shop.change(shop.hotline, daily_cap=1)
    campaign = await shop.campaign()
    async with shop.dialing():
        [first] = await shop.give(campaign, "0987654321")
        assert await shop.ended(first) == "answered"
        [call] = await shop.give(campaign)
        waiting = await shop.says(campaign, "daily_cap_reached")
        midnight = datetime.fromisoformat(waiting["until"]).astimezone(VIETNAM)
        assert midnight.strftime("%H:%M:%S") == "00:00:00"
        assert await shop.is_kept(call)
        await shop.change(shop.hotline, daily_cap=2)
        assert await shop.ended(call) == "answered"


async def test_a_campaign_whose_hotlines_are_out_of_contract_says_so_until_one_is_valid(shop: Shop) -> None:
    begins = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    await shop.change(shop.hotline, valid_from=begins.isoformat())
    campaign = await shop.campaign()
    [call] = await shop.give(campaign)
    async with shop.dialing():
        waiting = await shop.says(campaign, "hotlines_not_valid")
        assert datetime.fromisoformat(waiting["until"]) == begins
        ended = (datetime.now(UTC) - timedelta(days=3)).isoformat()
        await shop.change(shop.hotline, valid_from=None, valid_until=ended)

        async def is_over() -> bool:
            return (await shop.says(campaign, "hotlines_not_valid"))["until"] is None

        await eventually(is_over)
        assert await shop.is_kept(call)
        await shop.change(shop.hotline, valid_until=None)
        assert await shop.ended(call) == "answered"


@pytest.mark.parametrize("what", ["hotline", "trunk"])
async def test_a_campaign_whose_hotlines_or_trunks_are_disabled_says_so_until_they_are_not(
    shop: Shop, what: str
) -> None:
    path = shop.hotline if what == "hotline" else shop.trunk
    campaign = await shop.campaign()
    await shop.change(path, enabled=False)
    [call] = await shop.give(campaign)
    async with shop.dialing():
        await shop.says(campaign, "hotlines_disabled")
        assert await shop.is_kept(call)
        await shop.change(path, enabled=True)
        assert await shop.ended(call) == "answered"


async def test_a_campaign_without_any_hotline_says_so_until_it_has_one(shop: Shop) -> None:
    campaign = await shop.campaign()
    gone = "UPDATE campaigns SET hotline_ids = '{}' WHERE id = %s RETURNING 1"
    await rows(shop.services.db, gone, campaign)
    [call] = await shop.give(campaign)
    async with shop.dialing():
        await shop.says(campaign, "no_hotline")
        assert await shop.is_kept(call)
        await shop.change_campaign(campaign, hotline_ids=[shop.hotline_id])
        assert await shop.ended(call) == "answered"


async def test_a_campaign_without_a_hotline_for_its_networks_says_so_in_its_outcomes(shop: Shop) -> None:
    await shop.change(shop.hotline, network="viettel")
    campaign = await shop.campaign()
    async with shop.dialing():
        ends = [await shop.ended(call) for call in await shop.give(campaign, NUMBER, "0942345678")]
        await shop.says(campaign, "nothing_queued")
    progress = (await shop.owner.get(f"/campaigns/{campaign}/progress")).json()
    assert (ends, progress["outcomes"]) == (["no_hotline"] * 2, {"no_hotline": 2})
    assert shop.engine.dialled == []


async def test_a_campaign_whose_engine_is_away_says_so_until_it_is_back(shop: Shop) -> None:
    shop.engine.reachable = False
    campaign = await shop.campaign()
    [call] = await shop.give(campaign)
    async with shop.dialing():
        await shop.says(campaign, "engine_unreachable")
        assert await shop.is_kept(call)
        shop.engine.come_back()
        assert await shop.ended(call) == "answered"


# --------------------------------------------------------------------------- the rules of its purpose


async def test_advertising_whose_brand_name_has_ended_says_so_until_it_is_renewed(shop: Shop) -> None:
    rules = ruled(
        'advertising_window: start = "00:00"; end = "24:00"',
        "advertising_consent: on = false",
        "advertising_national_list: on = false",
    )
    await shop.change(shop.hotline, brand_name="AN BINH", brand_until="2199-12-31")
    campaign = await shop.campaign(purpose="advertising")
    await shop.change(shop.hotline, brand_until="2020-12-31")
    [call] = await shop.give(campaign)
    async with shop.dialing(rules):
        await shop.says(campaign, "brand_name_missing")
        assert await shop.is_kept(call)
        await shop.change(shop.hotline, brand_until="2199-12-31")
        assert await shop.ended(call) == "answered"


async def test_advertising_without_a_fresh_register_says_so_until_one_is_brought(shop: Shop) -> None:
    """With everything else that the law asks of it, and hours that its people agreed to."""
    await shop.change(shop.hotline, brand_name="AN BINH", brand_until="2199-12-31")
    agreed = ATTESTATION | {"window_start": "00:00", "window_end": "24:00"}
    attestation = await shop.owner.made("/attestations", agreed)
    campaign = await shop.campaign(purpose="advertising", attestation_id=attestation["id"])
    [call] = await shop.give(campaign)
    async with shop.dialing():
        await shop.says(campaign, "dnc_stale")
        assert await shop.is_kept(call)
        answer = await shop.platform.http.put(
            "/v1/platform/national-list",
            params={"as_of": datetime.now(UTC).isoformat()},
            content="0900000000,V\n",
            headers={"Authorization": f"Bearer {shop.platform.key}", "Content-Type": "text/csv"},
        )
        assert answer.status_code == 200, answer.text
        assert await shop.ended(call) == "answered"


async def test_a_campaign_without_a_policy_in_force_says_so_until_there_is_one(shop: Shop) -> None:
    campaign = await shop.campaign()
    [call] = await shop.give(campaign)
    async with shop.dialing(PolicyBook()):
        await shop.says(campaign, "no_policy")
        assert await shop.is_kept(call)
    async with shop.dialing():
        assert await shop.ended(call) == "answered"


async def test_a_campaign_whose_people_are_all_on_do_not_call_lists_says_by_which(shop: Shop) -> None:
    await shop.owner.post("/do-not-call", {"numbers": ["0912345671", "0912345672"]})
    await shop.platform.post("/platform/do-not-call", {"numbers": ["0912345673"]})
    campaign = await shop.campaign()
    async with shop.dialing():
        for call in await shop.give(campaign, "0912345671", "0912345672", "0912345673"):
            assert await shop.ended(call) == "blocked"
        await shop.says(campaign, "nothing_queued")
        progress = (await shop.owner.get(f"/campaigns/{campaign}/progress")).json()
        assert (progress["queued"], progress["outcomes"]) == (0, {"blocked": 3})
        assert progress["blocked_by"] == {"dnc_account": 2, "dnc_platform": 1}
        assert shop.engine.dialled == []
        entries = (await shop.owner.get("/do-not-call", number="0912345671")).json()["items"]
        await shop.owner.send("DELETE", f"/do-not-call/{entries[0]['id']}")
        [again] = await shop.give(campaign, "0912345671")
        assert await shop.ended(again) == "answered"


# --------------------------------------------------------------------------- its own doing


async def test_a_campaign_that_no_dialer_serves_says_so_until_one_does(shop: Shop) -> None:
    campaign = await shop.campaign()
    [call] = await shop.give(campaign)
    await shop.says(campaign, "no_dialer")
    async with shop.dialing():
        assert await shop.ended(call) == "answered"
        await shop.says(campaign, "nothing_queued")


async def test_a_campaign_whose_next_call_is_later_says_when(shop: Shop) -> None:
    shop.engine.behave = congested
    retries = {"congestion": {"times": 1, "after_seconds": 3600}}
    campaign = await shop.campaign(config={"retries": retries})
    async with shop.dialing():
        await shop.says(campaign, "nothing_queued")
        await shop.give(campaign)
        waiting = await shop.says(campaign, "next_call_later")
    until = datetime.fromisoformat(waiting["until"]) - datetime.now(UTC)
    assert timedelta(minutes=58) < until <= timedelta(minutes=60)
    assert waiting["detail"] is None


async def test_a_campaign_whose_calls_were_all_put_off_says_what_the_next_one_waits_for(shop: Shop) -> None:
    other = await shop.owner.made("/hotlines", {"number": "02473005678", "trunk_id": shop.trunk_id})
    await shop.change(shop.hotline, network="viettel")
    await shop.change(f"/hotlines/{other['id']}", network="vinaphone", valid_until="2020-01-01T00:00:00Z")
    campaign = await shop.campaign()
    await shop.change_campaign(campaign, hotline_ids=[shop.hotline_id, other["id"]])
    async with shop.dialing():
        await shop.give(campaign, "0942345678")
        waiting = await shop.says(campaign, "next_call_later")
        assert waiting["detail"] == "hotline_unavailable"
        later = await shop.campaign()
        contact = {"number": NUMBER, "call_after": (datetime.now(UTC) + timedelta(hours=2)).isoformat()}
        await shop.owner.made(f"/campaigns/{later}/contacts", {"contacts": [contact]})
        waiting = await shop.says(later, "next_call_later")
    assert waiting["detail"] == "contact_window"
    assert shop.engine.dialled == []
