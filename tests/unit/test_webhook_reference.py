"""What the reference page of webhooks shows is what is sent, and its receiver receives it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook
from tests import zalo_events
from tests.call_events import ANSWERED, INCOMING

from tongdai.api import webhook_bodies
from tongdai.domain.calls import Outcome
from tongdai.domain.webhooks import FORMATS, OF_CALLS, OF_INCOMING, OF_ZALO, PauseReason, Renderers, ZaloEvent
from tongdai.facades.aicallcenter import callbacks as aicallcenter
from tongdai.facades.aicallcenter.responses import note_of, state_of
from tongdai.facades.vbot import callbacks as vbot
from tongdai.ports.posting import PostFailure

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "webhooks.md").read_text()
RENDERERS: Renderers = {
    "vbot_auto_call": vbot.render_auto_call,
    "vbot_call_history": vbot.render_call_history,
    "aicallcenter": aicallcenter.render,
    "tongdai": webhook_bodies.render,
    "zalo": webhook_bodies.render_zalo,
}
EXAMPLES = dict.fromkeys(FORMATS, replace(ANSWERED, record_files=[], recording_ids=[])) | {
    "zalo": zalo_events.RECEIVED
}
SECRET = "whsec_dG9uZ2RhaS1yZWNlaXZlci1vZi10aGUtcGFnZQ=="


def section(title: str) -> str:
    """From a heading to the next of any level."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def code(text: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def first_columns(text: str) -> list[str]:
    """The code words of the first column of a section's one table, without its head."""
    return re.findall(r"^\| `([^`]+)` \|", text.partition("\n| ---")[2], re.MULTILINE)


# ---------------------------------------------------------------- formats and words


@pytest.mark.parametrize("name", FORMATS)
def test_the_example_of_a_format_is_what_it_renders(name: str) -> None:
    rendered = RENDERERS[name](EXAMPLES[name], {})

    # Compared as text, so that the order of the fields and the digits of amounts count too.
    shown = json.loads(code(section(name), "json"), parse_float=str)
    assert json.dumps(shown) == json.dumps(json.loads(rendered, parse_float=str))


@pytest.mark.parametrize(
    ("title", "event"),
    [
        ("Of Official Accounts", zalo_events.OF_OA),
        ("Of journeys", zalo_events.OF_JOURNEY),
        ("Of messages", zalo_events.OF_MESSAGE),
        ("Of templates", zalo_events.OF_TEMPLATE),
    ],
)
def test_the_example_of_each_thing_of_zalos_is_what_is_sent(title: str, event: ZaloEvent) -> None:
    rendered = webhook_bodies.render(event, {})

    shown = json.loads(code(section(title), "json"), parse_float=str)
    assert json.dumps(shown) == json.dumps(json.loads(rendered, parse_float=str))


@pytest.mark.parametrize("name", ["vbot_call_history", "tongdai"])
def test_the_example_of_a_call_that_came_in_is_what_is_sent(name: str) -> None:
    rendered = RENDERERS[name](replace(INCOMING, record_files=[]), {})

    shown = [
        json.loads(block, parse_float=str) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    ]
    assert json.dumps(json.loads(rendered, parse_float=str)) in map(json.dumps, shown)


def test_every_event_is_in_the_table_of_events() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("What is sent, and when"), re.MULTILINE)

    assert set(re.findall(r"`([^`]+)`", " ".join(rows))) == OF_CALLS | OF_INCOMING | OF_ZALO


def test_the_table_of_outcomes_is_the_one_that_is_followed() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section("Outcomes").splitlines()
        if line.startswith("| `")
    ]

    told = {row[0].strip("`"): tuple(row[2:]) for row in rows}

    assert told == {
        outcome.value: (
            str(vbot.AUTO_STATUS[outcome]),
            vbot.DISPOSITIONS[outcome],
            f"{state_of(outcome)} {note_of(outcome, None)}"
            + (" and the rule" if outcome is Outcome.BLOCKED else ""),
        )
        for outcome in Outcome
    }


def test_every_field_of_vbots_body_is_explained() -> None:
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", section("vbot_auto_call"), re.M)))

    assert named == list(vbot.AutoCallBody.__struct_fields__)


def test_every_reason_of_a_failure_and_of_a_pause_is_explained() -> None:
    by_answers = {"status", "redirect", "gone", "unrendered"}

    assert set(first_columns(section("Retries"))) == by_answers | set(PostFailure)
    assert set(first_columns(section("Pausing"))) == set(get_args(PauseReason))


# ---------------------------------------------------------------- the receiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The page's receiver on a free port, as a reader would run it."""
    file = tmp_path / "receiver.py"
    file.write_text(code(section("A receiver"), "python"))
    command = [sys.executable, str(file), SECRET, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline().split()[-1]), process
        process.terminate()


def posted(port: int, body: bytes, headers: dict[str, str]) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def signed(body: bytes, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    moment = at or datetime.now(UTC)
    return {
        "webhook-id": "evt_1_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1_1", moment, body.decode()),
    }


def test_the_receiver_of_the_page_is_some_twenty_lines() -> None:
    assert len([line for line in code(section("A receiver"), "python").splitlines() if line]) <= 20


def test_the_receiver_of_the_page_takes_what_is_signed_and_nothing_else(
    receiver: tuple[int, subprocess.Popen[str]],
) -> None:
    port, process = receiver
    body = vbot.render_auto_call(ANSWERED, {})
    good = signed(body)
    rotated = {**good, "webhook-signature": "v1,bm90IHRoaXMgb25l " + good["webhook-signature"]}
    old = signed(body, at=datetime(2026, 1, 1, tzinfo=UTC))
    other: Any = signed(body, "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldA==")

    assert posted(port, body, good) == 204
    assert posted(port, body, rotated) == 204
    assert posted(port, body.replace(b"200", b"100"), good) == 401
    assert posted(port, body, old) == 401
    assert posted(port, body, other) == 401
    assert posted(port, body, {}) == 401
    assert process.stdout is not None
    assert process.stdout.readline() == f"evt_1_1 {body.decode()}\n"


def test_the_receiver_of_the_page_prints_whole_lines_whatever_comes_at_once(
    receiver: tuple[int, subprocess.Popen[str]],
) -> None:
    port, process = receiver
    body = vbot.render_auto_call(ANSWERED, {})
    with ThreadPoolExecutor(4) as senders:
        answers = list(senders.map(lambda _: posted(port, body, signed(body)), range(400)))
    assert process.stdout is not None
    lines = {process.stdout.readline() for _ in answers}

    assert set(answers) == {204}
    assert lines == {f"evt_1_1 {body.decode()}\n"}
