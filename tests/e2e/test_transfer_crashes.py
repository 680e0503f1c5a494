"""Dialers killed while calls are transferred: no phone rings twice, no cap is exceeded, nothing stays held
(promises 1, 4, 8 and 11)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from tests.e2e.test_crashes import Platform, served
from tests.e2e.test_demo import soon
from tests.e2e.test_ledger import asked, check_books, database_url

from tongdai.adapters.sandbox.log import invited_more_than_once, most_channels, read_log

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

CALLS = 60
CHANNELS = 40
OF_CAMPAIGN = 20
KILLS = 4
"""Each comes when the one before has been got over, and before dialers that die are given long pauses."""
PATIENCE_S = 240

TALK = {
    "start": "hello",
    "steps": {
        "hello": {"kind": "say", "text": "Xin chào", "next": "talk"},
        "talk": {
            "kind": "transfer",
            "targets": ["0912345003", "0912345002", "0912345001"],
            "strategy": "in_turn",
            "ring_s": 14,
            "next": "again",
            "on_failed": "again",
        },
        "again": {
            "kind": "transfer",
            "targets": ["0912345001", "0912345008", "0912345011"],
            "ring_s": 14,
            "on_failed": "bye",
        },
        "bye": {"kind": "say", "text": "Xin quý khách gọi lại sau"},
    },
}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with served(tmp_path) as one:
        yield one


def opened(platform: Platform) -> tuple[int, int]:
    """(account, campaign): one trunk that everything goes over, and more money than it can cost."""
    account = asked(platform, "GET", "me")["account_id"]
    change = {"amount": 10_000_000, "reason": "the test"}
    asked(platform, "POST", f"accounts/{account}/adjustments", change, admin=True)
    for trunk in asked(platform, "GET", "trunks")["items"]:
        asked(platform, "PATCH", f"trunks/{trunk['id']}", {"max_channels": CHANNELS, "max_cps": 50})
    hotlines = [one["id"] for one in asked(platform, "GET", "hotlines")["items"]]
    script = asked(platform, "POST", "scripts", {"name": "Chuyển máy", "script": TALK})["id"]
    body = {
        "name": "Chuyển máy",
        "purpose": "customer_care",
        "script_id": script,
        "hotline_ids": hotlines,
        "max_channels": OF_CAMPAIGN,
        "config": {"max_call_seconds": 1200},
    }
    return account, asked(platform, "POST", "campaigns", body)["id"]


def wait_for_rings(platform: Platform, more: int) -> None:
    """Until so many more phones were rung, by calls and by transfers."""

    def rung() -> int:
        return sum(line.event == "INVITE" for line in read_log(platform.log))

    enough = rung() + more
    soon(lambda: rung() >= enough, every=0.02)


def test_dialers_killed_in_the_midst_of_transfers_ring_nobody_twice_and_leave_nothing_held(
    platform: Platform,
) -> None:
    chance = random.Random(20261123)
    account, campaign = opened(platform)
    # Everybody answers, and listens for as long as it takes.
    numbers = [f"09{n % 9}{n:04d}001" for n in range(CALLS)]
    given = asked(
        platform,
        "POST",
        f"campaigns/{campaign}/contacts",
        {"contacts": [{"number": number} for number in numbers]},
    )
    assert len(given["accepted"]) == CALLS
    asked(platform, "POST", f"campaigns/{campaign}/start")
    for _ in range(KILLS):
        # The moment is the point of the test: among so many things that a dialer is in the midst of.
        wait_for_rings(platform, chance.randint(3, 20))
        platform.kill("dialer")

    def all_done() -> bool:
        return bool(asked(platform, "GET", f"campaigns/{campaign}/progress")["done"] == CALLS)

    deadline = time.monotonic() + PATIENCE_S
    while not all_done() and time.monotonic() < deadline:
        time.sleep(0.5)
    progress = asked(platform, "GET", f"campaigns/{campaign}/progress")
    assert progress["done"] == CALLS, progress
    assert set(progress["outcomes"]) == {"answered"}

    lines = read_log(platform.log)
    assert invited_more_than_once(lines) == {}, "a phone was rung twice for one leg"
    assert max(most_channels(lines).values()) <= CHANNELS
    soon(lambda: platform.find("dialer"))
    with psycopg.connect(database_url(platform), autocommit=True) as connection:
        still_open = "SELECT count(*) FROM legs WHERE state <> 'ended'"
        soon(lambda: connection.execute(still_open).fetchone() == (0,))
        assert connection.execute("SELECT sum(live) FROM limits").fetchone() == (0,)
        phones: dict[int, str] = dict(
            connection.execute("SELECT id, outcome FROM legs WHERE kind = 'transfer'").fetchall()
        )
        charged = {
            leg for (leg,) in connection.execute("SELECT DISTINCT leg_id FROM ledger WHERE kind = 'postage'")
        }
        per_command = connection.execute(
            "SELECT max(phones) FROM (SELECT count(*) AS phones FROM legs WHERE kind = 'transfer'"
            " GROUP BY parent_leg_id, transfer_id) taken"
        ).fetchone()
    assert per_command == (3,), "each command took its phones once"
    talked = {line.leg for line in lines if line.event == "ANSWER"} & phones.keys()
    assert {leg for leg, outcome in phones.items() if outcome == "answered"} == talked
    assert charged & phones.keys() == talked
    assert len(talked) > CALLS / 2
    assert Decimal(str(asked(platform, "GET", "wallet")["reserved"])) == 0
    check_books(platform, account)
