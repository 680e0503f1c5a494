"""Any process killed at any moment: nobody rings twice, nothing is forgotten (promises 1 and 8).

The witness is the carrier's log, which none of the killed processes writes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.e2e.test_demo import running, soon

from tongdai.adapters.sandbox.log import invited_more_than_once, most_channels, read_log

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

SEED = 20261121
CALLS = 2000
LATER = 10
"""Contacts that are imported before each kill, while processes come and go."""

VICTIMS = ["dialer"] * 8 + ["supervisor"] * 4 + ["database"] * 4 + ["api"] * 2 + ["worker"] * 2
NETWORKS = "01234678"
"""Third digits of mobile numbers in use."""

CHANNELS = 100
PATIENCE_S = 240


@dataclass
class Platform:
    """`tongdai serve` over the demo's data, with a carrier that is nobody's child."""

    folder: Path
    credentials: dict[str, Any]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    token: str = ""

    @property
    def http(self) -> httpx.Client:
        key = self.credentials["native"]["api_key"]
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.credentials["base_url"], timeout=10, headers=headers)

    def start(self) -> None:
        with (self.folder / "serve.log").open("ab") as output:
            command = [sys.executable, "-m", "tongdai", "serve", "--role", "all"]
            self.process = subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)

    def find(self, victim: str) -> psutil.Process | None:
        """The process, or None while it is being started again."""
        assert self.process is not None
        supervisor = psutil.Process(self.process.pid)
        if victim == "supervisor":
            return supervisor
        for child in supervisor.children():
            with suppress(psutil.Error):
                words = child.cmdline()
                is_database = bool(words) and words[0].endswith("postgres")
                if is_database if victim == "database" else victim in words:
                    return child
        return None

    def kill(self, victim: str) -> None:
        soon(lambda: self.find(victim), every=0.02).kill()
        if victim == "supervisor":
            assert self.process is not None
            self.process.wait(30)
            self.start()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def get(self, path: str) -> dict[str, Any] | None:
        """None while nobody answers."""
        with suppress(httpx.TransportError), self.http as http:
            answer = http.get(path)
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
        return None

    def give(self, campaign: int, numbers: list[str]) -> list[str] | None:
        """The numbers that were accepted for certain; None: whether they were is unknown."""
        body = {"contacts": [{"phone_number": number} for number in numbers]}
        with suppress(httpx.TransportError), self.http as http:
            answer = http.post(f"/api/campaigns/{campaign}/import", json={**body, "access_token": self.token})
            if answer.status_code == 200:
                return [row["phone_number"] for row in answer.json()["results"]]
        return None

    def open(self) -> None:
        """Get the token that all requests use: it does not expire."""
        with self.http as http:
            secret = {"secret_key": self.credentials["aicallcenter"]["secret_key"]}
            answer = http.get("/api/users/generate-access-token", params=secret)
        self.token = str(answer.json()["results"]["access_token"])

    def results(self, campaign: int) -> list[dict[str, Any]]:
        with self.http as http:
            query: dict[str, Any] = {"access_token": self.token, "limit": 10_000}
            found: list[dict[str, Any]] = http.get(f"/api/campaigns/{campaign}/export", params=query).json()[
                "results"
            ]["calls"]
        return found


@contextmanager
def carrier(folder: Path) -> Iterator[tuple[str, Path]]:
    address, log = str(folder / "carrier.sock"), folder / "carrier.log"
    command = [
        sys.executable,
        "-m",
        "tongdai.adapters.sandbox.carrier",
        "--listen",
        address,
        "--log",
        str(log),
    ]
    process = subprocess.Popen([*command, "--speed", "20", "--seed", str(SEED)])
    try:
        soon(lambda: log.exists())
        yield address, log
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with served(tmp_path) as one:
        yield one


@contextmanager
def served(tmp_path: Path, **settings: str) -> Iterator[Platform]:
    """A platform over a new demo's data, with these variables besides its own."""
    folder = tmp_path / "data"
    with running(folder) as demo:
        credentials = json.loads(demo.file.read_text())
    port = credentials["base_url"].rsplit(":", 1)[1]
    with carrier(tmp_path) as (address, log):
        environment = {name: text for name, text in os.environ.items() if not name.startswith("TONGDAI_")}
        environment |= {
            "TONGDAI_DATA_DIR": str(folder),
            "TONGDAI_SECRET_KEY_FILE": str(folder / "secret.key"),
            "TONGDAI_PORT": port,
            "TONGDAI_SANDBOX_ADDRESS": address,
            "TONGDAI_DIALER_ENGINE_TIMEOUT_S": "1",
            **settings,
        }
        one = Platform(tmp_path, credentials, environment, log)
        one.start()
        try:
            soon(lambda: one.get("/readyz"))
            one.open()
            yield one
        finally:
            one.stop()


def test_whatever_is_killed_nobody_rings_twice_and_every_call_ends_once(platform: Platform) -> None:
    chance = random.Random(SEED)
    campaign = platform.credentials["aicallcenter"]["campaign_id"]
    tails = chance.sample(range(10**7), CALLS + len(VICTIMS) * LATER)
    numbers = [f"09{NETWORKS[tail % len(NETWORKS)]}{tail:07d}" for tail in tails]
    accepted = platform.give(campaign, numbers[:CALLS])
    assert accepted
    later = numbers[CALLS:]
    uncertain: set[str] = set()

    victims = chance.sample(VICTIMS, len(VICTIMS))
    for round_, victim in enumerate(victims):
        time.sleep(chance.uniform(0.2, 1.6))  # the moment is the point of the test
        batch = later[round_ * LATER : (round_ + 1) * LATER]
        told = platform.give(campaign, batch)
        accepted += told or []
        uncertain |= set() if told is not None else set(batch)
        platform.kill(victim)

    def all_done() -> dict[str, Any] | None:
        seen = platform.get(f"/v1/campaigns/{campaign}/progress")
        return seen if seen is not None and seen["queued"] == 0 and seen["dialing"] == 0 else None

    deadline = time.monotonic() + PATIENCE_S
    while (progress := all_done()) is None and time.monotonic() < deadline:
        time.sleep(0.5)
    assert progress is not None, platform.get(f"/v1/campaigns/{campaign}/progress")

    results = platform.results(campaign)
    ended = Counter(row["callee_id"] for row in results)
    assert set(accepted) <= set(ended), "a call was forgotten"
    assert set(ended) <= set(accepted) | uncertain
    assert set(ended.values()) == {1}
    assert {row["state"] for row in results} <= {40, 50}
    assert progress["done"] == len(results)

    lines = read_log(platform.log)
    assert invited_more_than_once(lines) == {}, "a leg was placed twice"
    rung = Counter(line.number for line in lines if line.event == "INVITE")
    assert set(rung.values()) == {1}, "a person was rung twice"
    assert "UNKNOWN" not in {row["note"] for row in results}, "the carrier lived, so every end is known"
    assert set(rung) == set(ended)
    assert max(most_channels(lines).values()) <= CHANNELS


def test_calls_that_a_dead_carrier_dropped_are_lost_at_once_and_not_dialled_again(tmp_path: Path) -> None:
    """Killed in the middle of a campaign: its calls are gone, and new ones flow once it is back."""
    with running(tmp_path / "data") as demo:
        campaign = demo.credentials["aicallcenter"]["campaign_id"]
        key = {"Authorization": f"Bearer {demo.credentials['native']['api_key']}"}
        demo.http.post(f"/v1/campaigns/{campaign}/pause", headers=key).raise_for_status()
        brief = {"config": {"ring_seconds": 60, "max_call_seconds": 60}}
        changed = demo.http.patch(f"/v1/campaigns/{campaign}", headers=key, json=brief)
        assert changed.status_code == 200, changed.text
        demo.http.post(f"/v1/campaigns/{campaign}/resume", headers=key).raise_for_status()
        contacts = [{"phone_number": f"09123{tail:02d}001"} for tail in range(30)]
        body = {"access_token": demo.token(), "contacts": contacts}
        assert demo.http.post(f"/api/campaigns/{campaign}/import", json=body).json()["status"] == 1
        log = tmp_path / "data" / "carrier.log"
        soon(lambda: sum(line.event == "ANSWER" for line in read_log(log)) >= 5)
        demo.child("sandbox-carrier").send_signal(signal.SIGKILL)
        soon(lambda: sum(line.event == "BOOT" for line in read_log(log)) == 2)
        more = {"access_token": demo.token(), "contacts": [{"phone_number": "0987654003"}]}
        demo.http.post(f"/api/campaigns/{campaign}/import", json=more)

        def told() -> bool:
            found = demo.http.get(f"/api/campaigns/{campaign}/export", params={"access_token": demo.token()})
            return any(row["callee_id"] == "0987654003" for row in found.json()["results"]["calls"])

        soon(told)
        rung = Counter(line.number for line in read_log(log) if line.event == "INVITE")
        assert set(rung.values()) == {1}

        def reconciled() -> bool:
            return bool(
                demo.http.get(f"/v1/campaigns/{campaign}/progress", headers=key).json()["dialing"] == 0
            )

        soon(reconciled)
        found = demo.http.get(
            f"/api/campaigns/{campaign}/export", params={"access_token": demo.token(), "limit": 99}
        )
        notes = Counter(row["note"] for row in found.json()["results"]["calls"])
        assert notes["UNKNOWN"] >= 5, "calls that were up when the carrier died"
        rung = Counter(line.number for line in read_log(log) if line.event == "INVITE")
        assert set(rung.values()) == {1}
