"""`tongdai demo`: one command, everything runs; one signal, nothing is left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PATIENCE_S = 90.0
Found = TypeVar("Found")

# The sandbox carrier's fixed numbers, and what AICallCenter's customer reads about each.
EXPECTED = {
    "0912345001": (40, "NORMAL CLEARING", ""),
    "0912345002": (50, "NO ANSWER", ""),
    "0912345003": (50, "USER BUSY", ""),
    "0912345004": (50, "CALL REJECTED", ""),
    "0912345005": (50, "UNALLOCATED NUMBER", ""),
    "0912345006": (40, "VOICEMAIL_DETECTION", ""),
    "0912345007": (40, "NORMAL CLEARING", "1"),
    "0912345008": (40, "NORMAL CLEARING", "2"),
    "0912345009": (40, "NORMAL CLEARING", ""),
    "0912345010": (50, "NETWORK CONGESTION", ""),
    "0912345011": (40, "NORMAL CLEARING", ""),
    "0912345012": (50, "SUBSCRIBER ABSENT", ""),
}


COMMAND = re.compile(r"TONGDAI_SANDBOX_ADDRESS=.*? --from \d+", re.DOTALL)
"""As the guide prints it."""

# And what VBot's customer reads.
DISPOSITIONS = {
    "001": "ANSWER",
    "002": "NOANSWER",
    "003": "BUSY",
    "004": "BUSY",
    "005": "INVALIDARGS",
    "006": "ANSWER",
    "007": "ANSWER",
    "008": "ANSWER",
    "009": "ANSWER",
    "010": "CONGESTION",
    "011": "ANSWER",
    "012": "NOANSWER",
}


@dataclass
class Demo:
    """A running `tongdai demo`."""

    process: subprocess.Popen[str]
    credentials: dict[str, Any]
    file: Path
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.credentials["base_url"], timeout=20)

    def family(self) -> list[psutil.Process]:
        """Every process of it, the database's too."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, word: str) -> psutil.Process:
        """The one child with this word on its command line."""
        found = [one for one in psutil.Process(self.process.pid).children() if word in one.cmdline()]
        assert len(found) == 1, (word, found)
        return found[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def token(self) -> str:
        answer = self.http.get(
            "/api/users/generate-access-token",
            params={"secret_key": self.credentials["aicallcenter"]["secret_key"]},
        )
        return str(answer.json()["results"]["access_token"])


def soon(what: Callable[[], Found | None], *, every: float = 0.1) -> Found:
    """What `what` returns once it is not None, False or empty."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(every)
    raise AssertionError("it did not come about in time")


def ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(folder: Path) -> Iterator[Demo]:
    """A demo over this folder, on a free port and a fast carrier; stopped at the end whatever happens."""
    file = folder.parent / "credentials.json"
    environment = {name: text for name, text in os.environ.items() if not name.startswith("TONGDAI_")}
    command = [sys.executable, "-m", "tongdai", "demo", "--port", "0"]
    started = time.time_ns()
    with (folder.parent / "output").open("a") as output:
        process = subprocess.Popen(
            [*command, "--data", str(folder), "--credentials", str(file)],
            env={**environment, "TONGDAI_SANDBOX_SPEED": "20"},
            stdout=output,
            stderr=output,
            text=True,
        )
    try:
        # An earlier run's file may lie there until the new one has begun.
        soon(lambda: process.poll() is not None or (file.exists() and file.stat().st_mtime_ns > started))
        assert process.poll() is None, (folder.parent / "output").read_text()
        demo = Demo(process, json.loads(file.read_text()), file)
        with demo.http:
            yield demo
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE_S)
        file.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Demo]:
    with running(folder) as one:
        yield one


def test_the_credentials_are_for_their_owner_alone_and_complete(demo: Demo, folder: Path) -> None:
    assert stat.S_IMODE(demo.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for secret in (folder / "secret.key", folder / "tenants.json", folder / "zalo-fixtures.json"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    doors = {"native", "interits", "sencloud", "vbot", "aicallcenter", "zalo"}
    assert demo.credentials.keys() == {"base_url", "admin", "other_tenant", *doors}
    assert demo.credentials["other_tenant"].keys() == doors
    for vendor in doors:
        ours, theirs = demo.credentials[vendor], demo.credentials["other_tenant"][vendor]
        assert ours.keys() == theirs.keys()
        alike = {name for name in ours if ours[name] == theirs[name]}
        assert alike == {"sencloud": {"redirect_uri"}, "zalo": {"emulator_url"}}.get(vendor, set())


def test_the_terminal_shows_the_guide_and_no_log(demo: Demo, folder: Path) -> None:
    def guide() -> str | None:
        text = (folder.parent / "output").read_text()
        return text if "Ctrl-C" in text else None

    shown = soon(guide)
    assert "INFO" not in shown
    for campaign in ("campaign_id", "otp_campaign_id"):
        assert f"/api/campaigns/{demo.credentials['aicallcenter'][campaign]}/import" in shown


def test_somebody_calls_a_hotline_by_the_command_that_is_printed(demo: Demo, folder: Path) -> None:
    shown = soon(
        lambda: found.group(0) if (found := COMMAND.search((folder.parent / "output").read_text())) else None
    )
    python = Path(sys.executable).parent
    path = {"PATH": f"{python}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", shown], env={**os.environ, **path}, capture_output=True, text=True)
    assert done.stdout.startswith("It rings: "), done.stderr
    key = {"Authorization": f"Bearer {demo.credentials['native']['api_key']}"}

    def ended() -> Any:
        return demo.http.get("/v1/incoming-calls", params={"state": "ended"}, headers=key).json()["items"]

    [call] = soon(ended)
    assert (call["kind"], call["caller"], call["answers"]) == ("CALLIN", "0912345007", {"menu": "1"})


def test_it_is_healthy_ready_measured_and_described(demo: Demo) -> None:
    assert demo.http.get("/healthz").json()["status"] == "ok"
    assert demo.http.get("/readyz").status_code == 200
    page = demo.http.get("/schema")
    assert page.headers["content-type"].startswith("text/html")
    assert "/v1/campaigns" in page.text
    assert "<script" not in page.text
    assert demo.http.get("/schema/openapi.json").json()["openapi"].startswith("3.1")
    metrics = demo.http.get("/metrics").text
    assert 'tongdai_http_requests_total{method="GET",route="/readyz",status="200"}' in metrics


def test_an_unknown_path_is_a_problem_document_and_counted_without_its_name(demo: Demo) -> None:
    answer = demo.http.get("/no/such/0912345678")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    metrics = demo.http.get("/metrics").text
    assert 'route="(none)",status="404"' in metrics
    assert "0912345678" not in metrics


def test_every_key_opens_its_own_door(demo: Demo) -> None:
    credentials = demo.credentials
    for key in (credentials["native"], credentials["other_tenant"]["native"], credentials["admin"]):
        answer = demo.http.get("/v1/me", headers={"Authorization": f"Bearer {key['api_key']}"})
        assert answer.status_code == 200, answer.text


def test_every_sandbox_number_ends_as_documented(demo: Demo) -> None:
    token, campaign = demo.token(), demo.credentials["aicallcenter"]["campaign_id"]
    answer = demo.http.post(
        f"/api/campaigns/{campaign}/import",
        json={"access_token": token, "contacts": [{"phone_number": number} for number in EXPECTED]},
    )
    assert answer.json()["status"] == 1, answer.text
    assert len(answer.json()["results"]) == len(EXPECTED)

    def finished() -> dict[str, dict[str, Any]] | None:
        page = demo.http.get(
            f"/api/campaigns/{campaign}/export", params={"access_token": token, "limit": 100}
        ).json()
        rows = {row["callee_id"]: row for row in page["results"]["calls"]}
        return rows if len(rows) == len(EXPECTED) else None

    for number, row in soon(finished).items():
        state, note, digit = EXPECTED[number]
        assert (row["state"], row["note"]) == (state, note), row
        assert row["key_press"].partition(" ")[0] == digit, row
    log = demo.http.get("/api/users/call-log", params={"access_token": token, "limit": 100}).json()
    assert {row["callee_id"] for row in log["results"]["calls"]} == EXPECTED.keys()


def test_a_vbot_client_logs_in_and_creates_a_campaign_that_is_dialled_charged_and_finished(
    demo: Demo,
) -> None:
    vbot, http = demo.credentials["vbot"], demo.http
    form = {"grant_type": "password", "username": vbot["username"], "password": vbot["password"]}
    token = http.post("/token", data=form).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    full = http.get("/api/account/balance", headers=headers).json()["data"]
    numbers = [f"0387{number[-6:]}" for number in EXPECTED]
    answer = http.post(
        "/api/campaign/create",
        headers=headers,
        json={
            "vbotId": vbot["vbot_id"],
            "groupCode": vbot["project_code"],
            "campaignId": vbot["template_campaign_id"],
            "name": "Nhắc đơn hàng",
            "phones": [
                *({"fields": [{"key": "phone", "value": number}]} for number in numbers),
                {"fields": [{"key": "phone", "value": "12345"}]},
            ],
        },
    ).json()
    assert (answer["status"], answer["error"]) == (1, 0), answer
    own = {"Authorization": f"Bearer {demo.credentials['native']['api_key']}"}

    def finished() -> bool:
        campaign = http.get(f"/v1/campaigns/{answer['data']}", headers=own).json()
        return bool(campaign["state"] == "finished")

    assert soon(finished)
    page = http.get("/api/crm/historycall/getAll", headers=headers, params={"size": 100}).json()
    rows = {row["callee"][0]["phone"]: row for row in page["data"]}
    assert {number: rows[number]["disposition"] for number in numbers} == {
        number: DISPOSITIONS[number[-3:]] for number in numbers
    }
    left = http.get("/api/account/balance", headers=headers).json()["data"]
    assert left < full


@pytest.mark.parametrize("word", ["api", "dialer", "worker", "sandbox-carrier", "zalo-emulator"])
def test_a_process_that_is_killed_comes_back(demo: Demo, word: str) -> None:
    before = demo.child(word)
    before.kill()

    def back() -> bool:
        children = psutil.Process(demo.process.pid).children()
        return any(one.pid != before.pid and word in one.cmdline() for one in children)

    soon(back)
    assert soon(lambda: ready(demo.http))


def test_the_database_comes_back_when_it_is_killed(demo: Demo) -> None:
    postgres = next(one for one in demo.family() if one.name() == "postgres" and "-D" in one.cmdline())
    postgres.kill()
    soon(lambda: not psutil.pid_exists(postgres.pid))
    assert soon(lambda: ready(demo.http))
    soon(
        lambda: (
            demo.http.get(
                "/v1/me", headers={"Authorization": f"Bearer {demo.credentials['native']['api_key']}"}
            ).status_code
            == 200
        )
    )


def without_addresses(credentials: dict[str, Any]) -> dict[str, Any]:
    """What stays when everything listens elsewhere."""
    own = ("base_url", "redirect_uri", "emulator_url")
    return {
        name: without_addresses(value) if isinstance(value, dict) else value
        for name, value in credentials.items()
        if name not in own
    }


def test_it_stops_cleanly_and_a_second_start_goes_on_with_a_secret_rotated_meanwhile(
    demo: Demo, folder: Path
) -> None:
    family = demo.family()
    assert len(family) >= 5
    before = demo.credentials
    command = [sys.executable, "-m", "tongdai", "admin", "--data", str(folder), "secret", "rotate", "1", "1"]
    rotated = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert "credentials file" in rotated.stderr
    before["aicallcenter"]["secret_key"] = rotated.stdout.strip()
    assert demo.stop() == 0
    assert [one for one in family if one.is_running()] == []

    with running(folder) as again:
        assert without_addresses(again.credentials) == without_addresses(before)
        campaign = again.credentials["aicallcenter"]["campaign_id"]
        page = again.http.get(
            f"/api/campaigns/{campaign}/export", params={"access_token": again.token()}
        ).json()
        assert page["results"]["total"] == len(EXPECTED)
        family = again.family()
        assert again.stop(signal.SIGINT) == 0
        assert [one for one in family if one.is_running()] == []


def test_one_folder_has_one_demo(folder: Path) -> None:
    with running(folder) as one:
        command = [sys.executable, "-m", "tongdai", "demo", "--port", "0", "--data", str(folder)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert second.returncode == 1
        assert "already" in second.stderr
        assert one.file.exists()
        assert ready(one.http)


def test_a_port_that_is_taken_is_told_at_once(folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "tongdai", "demo", "--port", port, "--data", str(tmp_path / "data")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert f"port {port} is not free" in done.stderr
    assert "PORT=" in done.stderr


def test_nothing_outlives_a_demo_that_is_killed(folder: Path) -> None:
    with running(folder) as one:
        family = one.family()
        one.process.kill()
        one.process.wait(PATIENCE_S)
        soon(lambda: not any(other.is_running() for other in family))
