"""What an endpoint may be, when a delivery is tried again, and how an endpoint fares: rules without I/O."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.webhooks import FORMATS, OF_CALLS, OF_INCOMING, OF_ZALO
from tongdai.domain.webhooks.model import endpoint_faults, parse_auth_header, url_faults, webhook_id
from tongdai.domain.webhooks.rules import HEALTHY, Health, SendingRules, asked_wait, refusal_of

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
RULES = SendingRules()


# ---------------------------------------------------------------- endpoints


@pytest.mark.parametrize(
    "url",
    [
        "https://example.vn",
        "http://example.vn:8080/webhook?token=a%20b",
        "https://xn--c-ahi.vn/x",
        "http://113.160.0.1/x",
        "https://[2405:4800::1]:8443/x",
    ],
)
def test_a_public_address_is_accepted(url: str) -> None:
    assert list(url_faults(url, allow_private=False)) == []


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1",
     "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[fd00::1]", "[64:ff9b::7f00:1]"],
)  # fmt: skip
def test_an_inner_address_needs_the_operator_to_allow_it(host: str) -> None:
    assert [field for field, _ in url_faults(f"http://{host}/x", allow_private=False)] == ["url"]
    assert list(url_faults(f"http://{host}/x", allow_private=True)) == []


@pytest.mark.parametrize(
    "url",
    ["", "example.vn", "ftp://example.vn", "file:///etc/passwd", "gopher://example.vn", "https://", "https:///x",
     "https://a:b@example.vn", "https://a@example.vn", "https://example.vn/#x", "https://example.vn:99999",
     "https://example.vn:0", "https://example.vn:x", "https://exa mple.vn", "https://example.vn/\n",
     "https://example.vn\\@127.0.0.1", "https://ví-dụ.vn", "https://[::1",
     "https://example.vn/" + "x" * 2000],
)  # fmt: skip
def test_what_cannot_be_posted_to_is_refused(url: str) -> None:
    assert [field for field, _ in url_faults(url, allow_private=True)] == ["url"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"format": "soap"}, "format"),
        ({"events": []}, "events"),
        ({"events": ["call.refused"], "format": "vbot_call_history"}, "events"),
        ({"events": ["attempt.ended", "attempt.ended"]}, "events"),
        ({"description": "x" * 256}, "description"),
        ({"description": "a\x00"}, "description"),
        ({"options": {"x": "y" * 4000}}, "options"),
        ({"options": {"x": "\x00"}}, "options"),
        ({"auth_header": "no colon"}, "auth_header"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_in_flight": 101}, "max_in_flight"),
    ],
)
def test_each_fault_names_its_field(change: dict[str, object], field: str) -> None:
    good: dict[str, object] = {
        "format": "tongdai",
        "events": ["attempt.ended"],
        "description": "",
        "options": {},
        "auth_header": None,
        "max_in_flight": 8,
    }
    assert list(endpoint_faults(**good)) == []  # type: ignore[arg-type]
    assert [name for name, _ in endpoint_faults(**{**good, **change})] == [field]  # type: ignore[arg-type]


def test_an_auth_header_has_a_name_and_a_value() -> None:
    assert parse_auth_header("Authorization: Bearer abc") == ("Authorization", "Bearer abc")
    assert parse_auth_header("X-Key:1") == ("X-Key", "1")


@pytest.mark.parametrize(
    "text",
    ["", "X", "X:", ": x", "X: a\r\nY: b", "X: a\nb", "Host: example.vn", "content-length: 3",
     "Webhook-Id: x", "X Y: z", "X: tiếng", "X: " + "a" * 4000],
)  # fmt: skip
def test_an_auth_header_can_neither_forge_nor_break_a_request(text: str) -> None:
    assert parse_auth_header(text) is None


def test_every_format_has_a_body_for_an_ended_attempt_but_zalos_own() -> None:
    assert [name for name, events in FORMATS.items() if "attempt.ended" not in events] == ["zalo"]


def test_vendors_of_calls_are_told_of_calls_alone() -> None:
    vendors = ("vbot_auto_call", "vbot_call_history", "aicallcenter")
    assert all(FORMATS[name] <= OF_CALLS | OF_INCOMING for name in vendors)


def test_calls_that_come_in_are_in_the_call_history_and_in_our_own_format() -> None:
    told = [name for name, events in FORMATS.items() if events >= OF_INCOMING]
    assert told == ["vbot_call_history", "tongdai"]


def test_our_own_format_tells_everything_but_what_is_passed_on_as_it_came() -> None:
    assert FORMATS["tongdai"] | FORMATS["zalo"] == OF_CALLS | OF_INCOMING | OF_ZALO
    assert FORMATS["tongdai"] & FORMATS["zalo"] == frozenset()


def test_a_receiver_knows_a_repetition_by_its_id() -> None:
    assert webhook_id(7, 3) == webhook_id(7, 3) != webhook_id(7, 4)


# ---------------------------------------------------------------- when it is tried again


def moments(luck: float, rules: SendingRules = RULES) -> list[datetime]:
    """When a delivery is tried that fails at once every time."""
    tried, now = [], NOW
    while True:
        tried.append(now)
        again = rules.next_try(len(tried), NOW, now, luck)
        if again is None:
            return tried
        now = again


@given(st.floats(0, 1))
def test_tries_grow_apart_and_the_last_one_falls_on_the_end_of_24_hours(luck: float) -> None:
    tried = moments(luck)
    assert tried[-1] == NOW + timedelta(hours=24)
    assert 10 <= len(tried) <= 20
    gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert gaps[:-1] == sorted(gaps[:-1])
    assert timedelta(seconds=4) <= gaps[0] <= timedelta(seconds=6)


def test_tries_of_many_do_not_come_back_together() -> None:
    assert len({moments(luck / 10)[1] for luck in range(11)}) == 11


def test_a_delivery_that_was_never_tried_in_24_hours_is_tried_once_and_then_parked() -> None:
    assert RULES.next_try(1, NOW, NOW + timedelta(hours=30), 0.5) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Mon, 23 Nov 2026 03:02:00 GMT", 120),
        ("Mon, 23 Nov 2026 03:02:00 -0000", 120),
        ("Mon, 23 Nov 2026 10:01:00 +0700", 60),
        ("Mon, 23 Nov 2026 02:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(header: str, seconds: int) -> None:
    assert asked_wait(header, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "soon",
        "-5",
        "1.5",
        "9" * 10,
        "Mon, 99 Nov 2026 03:02:00 GMT",
        "Mon, 23 Nov 99999999999999999999 03:02:00 GMT",
        "Mon, 23 Nov 2026 03:02:00 +99999999999999999999",
        "١٢",
    ],
)
def test_a_retry_after_that_says_nothing_is_ignored(header: str | None) -> None:
    assert asked_wait(header, NOW) is None


@pytest.mark.parametrize(
    ("status", "refusal"),
    [(200, None), (204, None), (299, None), (199, "status"), (301, "redirect"), (307, "redirect"),
     (400, "status"), (404, "status"), (410, "gone"), (429, "status"), (500, "status"), (999, "status")],
)  # fmt: skip
def test_2xx_alone_is_delivered(status: int, refusal: str | None) -> None:
    assert refusal_of(status) == refusal


# ---------------------------------------------------------------- how an endpoint fares


def failing(times: int, health: Health = HEALTHY) -> Health:
    for _ in range(times):
        health = health.after_failure(NOW, RULES, 0.5)
    return health


def test_some_failures_in_a_row_pause_an_endpoint_and_say_since_when_why_and_until_when() -> None:
    assert not failing(4).is_paused(NOW)
    paused = failing(5)
    assert paused.is_paused(NOW)
    assert (paused.failing_since, paused.paused_at, paused.pause_reason) == (NOW, NOW, "failures")
    assert paused.paused_until == NOW + timedelta(seconds=10)


def test_a_success_forgets_the_failures() -> None:
    assert failing(4).after_success() == HEALTHY
    assert failing(5).after_success() == HEALTHY


def test_requests_that_fail_together_pause_it_once() -> None:
    assert failing(8).paused_until == failing(5).paused_until
    assert failing(8).pauses == 1


def test_each_failed_probe_pauses_it_twice_as_long_up_to_five_minutes() -> None:
    health, now, lengths = failing(5), NOW, []
    for _ in range(8):
        assert health.paused_until is not None
        lengths.append((health.paused_until - now).total_seconds())
        now = health.paused_until
        assert not health.is_paused(now)
        health = health.after_failure(now, RULES, 0.5)
        assert health.paused_at == NOW
    assert lengths == [10, 20, 40, 80, 160, 300, 300, 300]


def test_what_it_asks_for_is_honoured_up_to_an_hour() -> None:
    asked = HEALTHY.after_failure(NOW, RULES, 0.5, wait=timedelta(minutes=3))
    assert (asked.paused_until, asked.pause_reason) == (NOW + timedelta(minutes=3), "retry_after")
    forever = HEALTHY.after_failure(NOW, RULES, 0.5, wait=timedelta(days=900))
    assert forever.paused_until == NOW + timedelta(hours=1)


def test_a_shorter_wish_does_not_shorten_a_pause() -> None:
    paused = failing(5)
    assert (
        paused.after_failure(NOW, RULES, 0.5, wait=timedelta(seconds=1)).paused_until == paused.paused_until
    )


def test_an_endpoint_that_is_gone_waits_until_somebody_resumes_it() -> None:
    gone = HEALTHY.after_failure(NOW, RULES, 0.5, gone=True)
    assert gone.is_paused(NOW + timedelta(days=365))
    assert gone.pause_reason == "gone"


def test_what_a_customer_paused_is_resumed_by_nobody_else() -> None:
    paused = Health(paused_at=NOW, pause_reason="customer")
    assert paused.after_success() == paused
    assert failing(9, paused) == paused
