"""Ten thousand calls while dialers and workers are killed: the books agree to the đồng, the wallet is never
below zero, and the customer's server is told of every call (promises 8, 9 and 11)."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_crashes import Platform, served
from tests.e2e.test_demo import soon
from tests.fakes.listener import listening

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

CALLS = 10_000
FUNDS = 400_000
"""Đồng; enough for a part of the calls, so that the last of them find an empty wallet."""

VICTIMS = ["dialer"] * 6 + ["worker"] * 6
PATIENCE_S = 300


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with served(tmp_path, TONGDAI_WEBHOOKS_ALLOW_PRIVATE="true") as one:
        yield one


def asked(platform: Platform, method: str, path: str, body: Any = None, *, admin: bool = False) -> Any:
    key = platform.credentials["admin" if admin else "native"]["api_key"]
    with platform.http as http:
        answer = http.request(
            method, f"/v1/{path}", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60
        )
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def opened(platform: Platform) -> tuple[int, int]:
    """(account, campaign): wide lines, little money, and a campaign that refuses what cannot be paid."""
    account = asked(platform, "GET", "me")["account_id"]
    for trunk in asked(platform, "GET", "trunks")["items"]:
        asked(platform, "PATCH", f"trunks/{trunk['id']}", {"max_channels": 1000, "max_cps": 1000})
    held = Decimal(str(asked(platform, "GET", "wallet")["available"]))
    change = {"amount": int(FUNDS - held), "reason": "the test"}
    asked(platform, "POST", f"accounts/{account}/adjustments", change, admin=True)
    template = platform.credentials["vbot"]["template_campaign_id"]
    campaign = asked(platform, "POST", f"templates/{template}/campaigns", {"name": "10.000"})["id"]
    again = {"busy": {"times": 1, "after_seconds": 1}}
    config = {"on_unpaid": "refuse", "max_call_seconds": 60, "retries": again}
    asked(platform, "PATCH", f"campaigns/{campaign}", {"config": config})
    return account, campaign


def test_the_ledger_sums_to_the_balance_after_ten_thousand_calls_and_twelve_kills(platform: Platform) -> None:
    chance = random.Random(20261122)
    with listening() as listener:
        asked(platform, "POST", "webhook-endpoints", {"url": listener.url("/"), "format": "tongdai"})
        account, campaign = opened(platform)
        numbers = [f"09{n % 9}{n:07d}" for n in chance.sample(range(10**7), CALLS)]
        given = asked(
            platform,
            "POST",
            f"campaigns/{campaign}/contacts",
            {"contacts": [{"number": number} for number in numbers]},
        )
        calls = {one["call_id"] for one in given["accepted"]}
        asked(platform, "POST", f"campaigns/{campaign}/start")

        for victim in chance.sample(VICTIMS, len(VICTIMS)):
            time.sleep(chance.uniform(0.5, 2))  # the moment is the point of the test
            wallet = asked(platform, "GET", "wallet")
            assert 0 <= Decimal(str(wallet["reserved"])) <= Decimal(str(wallet["balance"])) <= FUNDS
            platform.kill(victim)

        def all_done() -> bool:
            seen = asked(platform, "GET", f"campaigns/{campaign}/progress")
            return bool(seen["done"] == len(calls))

        deadline = time.monotonic() + PATIENCE_S
        while not all_done() and time.monotonic() < deadline:
            time.sleep(0.5)
        progress = asked(platform, "GET", f"campaigns/{campaign}/progress")
        assert progress["done"] == len(calls), progress
        assert progress["outcomes"]["answered"] > 100
        assert progress["outcomes"]["no_funds"] > 100

        def told() -> set[int]:
            return {body["data"]["call_id"] for body in listener.at("/") if body["data"]["final"]}

        soon(lambda: told() == calls, every=0.5)
        check_books(platform, account)
        check_order(listener.got)


def check_books(platform: Platform, account: int) -> None:
    wallet = asked(platform, "GET", "wallet")
    assert Decimal(str(wallet["reserved"])) == 0
    total, after, lines = Decimal(0), None, 0
    while True:
        page = asked(platform, "GET", "ledger?limit=1000" + (f"&cursor={after}" if after else ""))
        for line in page["items"]:
            total += Decimal(str(line["amount"]))
            lines += 1
            assert Decimal(str(line["balance_after"])) >= 0
        after = page["next"]
        if after is None:
            break
    assert lines > 200
    assert total == Decimal(str(wallet["balance"])) >= 0
    told = subprocess.run(
        [sys.executable, "-m", "tongdai", "admin", "check-ledger"],
        env=platform.environment | {"TONGDAI_DATABASE_URL": database_url(platform)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def database_url(platform: Platform) -> str:
    """As the platform's own processes are told it."""
    process = platform.find("dialer")
    assert process is not None
    return str(process.environ()["TONGDAI_DATABASE_URL"])


def check_order(got: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Nothing is told out of its order, and nothing twice but by a repetition of one delivery."""
    first_heard: dict[int, list[int]] = defaultdict(list)
    seen: Counter[str] = Counter()
    for _, delivery, body in got:
        seen[delivery] += 1
        if seen[delivery] == 1:
            first_heard[body["data"]["call_id"]].append(body["sequence"])
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in first_heard.values())
