"""What numbers do on the sandbox carrier, and what its log tells."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from pathlib import Path

import msgspec
import pytest

from tongdai.adapters.sandbox.behaviour import TEST_NUMBERS, Plan, plan_call
from tongdai.adapters.sandbox.engine import to_wire
from tongdai.adapters.sandbox.exchange import Exchange, Memory
from tongdai.adapters.sandbox.leg import Leg
from tongdai.adapters.sandbox.log import (
    CallLog,
    Line,
    busiest_second,
    invited_more_than_once,
    mean_channels,
    most_channels,
    read_log,
)
from tongdai.adapters.sandbox.pace import FreePace, pace_for
from tongdai.adapters.sandbox.protocol import (
    Adopt,
    Adopted,
    Dial,
    Do,
    FromCarrier,
    Taken,
    Told,
    encode,
    parse_address,
)
from tongdai.ports.telephony import EndCause, Play, Speech, SpokenCode

SEEDS = range(200)
FAR_FUTURE = 4e9


def _plans(ending: str) -> list[Plan]:
    return [plan_call(seed, f"0912345{ending}", 1) for seed in SEEDS]


def _within(value: float | None, low: float, high: float) -> bool:
    return value is not None and low <= value <= high


# ------------------------------------------------------------------ numbers


def test_the_same_leg_always_fares_the_same() -> None:
    assert plan_call(1, "0912345678", 9) == plan_call(1, "0912345678", 9)


def test_a_retry_may_fare_otherwise() -> None:
    assert len({plan_call(1, "0912345678", leg).refusal for leg in range(50)}) > 1


@pytest.mark.parametrize("number", ["0912345003", "84912345003", "+842838212003"])
def test_the_last_three_digits_decide_whatever_the_network(number: str) -> None:
    assert plan_call(1, number, 1).refusal is EndCause.BUSY


@pytest.mark.parametrize(
    ("ending", "cause", "low", "high"),
    [
        ("003", EndCause.BUSY, 1.0, 2.0),
        ("004", EndCause.REJECTED, 3.0, 10.0),
        ("005", EndCause.UNALLOCATED, 0.5, 1.0),
        ("010", EndCause.CONGESTION, 0.3, 1.0),
        ("012", EndCause.UNREACHABLE, 3.0, 6.0),
        ("013", EndCause.FAILURE, 0.3, 1.0),
    ],
)
def test_a_refusal_comes_as_quickly_as_on_a_real_network(
    ending: str, cause: EndCause, low: float, high: float
) -> None:
    for plan in _plans(ending):
        assert plan.answers_at is None
        assert plan.refusal is cause
        assert _within(plan.refused_at, low, high)


@pytest.mark.parametrize("ending", ["001", "006", "007", "008", "009", "011"])
def test_numbers_that_answer_do_so_within_an_ordinary_ring_time(ending: str) -> None:
    assert all(_within(plan.answers_at, 4.0, 30.0) for plan in _plans(ending))


def test_a_number_that_rings_out_outlasts_every_ring_time() -> None:
    assert all(plan.answers_at is None and (plan.refused_at or 0) > 60 for plan in _plans("002"))


def test_only_the_voicemail_number_is_a_machine() -> None:
    assert all(all(plan.machine is (ending == "006") for plan in _plans(ending)) for ending in TEST_NUMBERS)


def test_an_ordinary_evening_has_everything_in_it() -> None:
    plans = [plan_call(1, "0912345678", leg) for leg in range(4000)]
    refusals = Counter(plan.refusal for plan in plans if plan.answers_at is None)
    assert 0.45 < sum(plan.answers_at is not None for plan in plans) / 4000 < 0.65
    assert set(refusals) == set(EndCause) - {EndCause.NORMAL, EndCause.CANCELLED, EndCause.FAILURE}
    assert {press.digit for plan in plans for press in plan.presses} == {"1", "2", "3", "9"}
    assert any(plan.machine for plan in plans)


# ------------------------------------------------------------------ one leg


class Tape:
    """Records what a leg tells."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.logged: list[str] = []

    def log(
        self,
        leg: Leg,
        event: str,
        *,
        cause: str = "",
        by: str = "",
        digit: str = "",
        phone: Dial | None = None,
    ) -> None:
        self.logged.append(event)

    def tell(self, leg: Leg, told: Told) -> None:
        self.told.append(told)


def _dial(number: str, leg: int = 1, *, ring_s: float = 30.0, detect: bool = False) -> Dial:
    return Dial(1, leg, 1, number, "1900", ring_s, 300.0, detect, FAR_FUTURE)


def _answered_leg(number: str, leg_id: int = 1) -> tuple[Leg, Tape]:
    tape = Tape()
    leg = Leg(_dial(number, leg_id), 1, tape, least_patience=0.0)
    while leg.answered_at is None:
        leg.step()
    return leg, tape


def test_a_person_hangs_up_when_nothing_is_said_for_long() -> None:
    leg, tape = _answered_leg("0912345007")
    answered_at = leg.now
    leg.step()
    assert leg.ended
    assert 15.0 <= leg.now - answered_at <= 30.0
    assert tape.logged[-1] == "BYE"


def test_silence_counts_from_the_end_of_the_last_prompt() -> None:
    leg, _ = _answered_leg("0912345007")
    leg.do(Do(1, 1, "play", 1, 100.0))
    while not leg.ended:
        leg.step()
    assert leg.answered_at is not None
    assert leg.now > leg.answered_at + 115.0


def test_whoever_listens_to_the_end_never_hangs_up() -> None:
    leg, _ = _answered_leg("0912345001")
    leg.step()
    assert leg.ended
    assert leg.answered_at is not None
    assert leg.now == pytest.approx(leg.answered_at + 300.0)


def test_a_key_is_pressed_at_the_end_of_a_prompt_that_is_too_short() -> None:
    leg, tape = _answered_leg("0912345007")
    leg.do(Do(1, 1, "play", 1, 0.5))
    leg.step()
    leg.step()
    digit, played = tape.told[-2:]
    assert (digit.what, digit.text, played.what) == ("digit", "1", "played")
    assert digit.at == played.at


def test_somebody_who_corrects_themselves_presses_two_keys_in_a_row() -> None:
    leg_id = next(leg for leg in range(10_000) if len(plan_call(1, "0912345678", leg).presses) == 2)
    leg, tape = _answered_leg("0912345678", leg_id)
    for ordinal in (1, 2):
        leg.do(Do(leg_id, ordinal, "play", ordinal, 10.0))
    while not leg.ended:
        leg.step()
    first, second = (told for told in tape.told if told.what == "digit")
    assert [first.text, second.text] == ["3", "1"]
    assert second.at - first.at == pytest.approx(0.25)


def test_a_digit_stops_a_recording_that_was_to_be_stopped_so() -> None:
    leg, tape = _answered_leg("0912345007")
    leg.do(Do(1, 1, "play", 1, 10.0))
    leg.do(Do(1, 2, "record", 2, 60.0, flag=True))
    while not any(told.what == "recorded" for told in tape.told):
        leg.step()
    digit, recorded = tape.told[-2:]
    assert (digit.what, recorded.what, recorded.at) == ("digit", "recorded", digit.at)


def test_ringing_stops_at_the_ring_time_even_if_they_would_have_answered_later() -> None:
    tape = Tape()
    leg = Leg(_dial("0912345011", ring_s=10.0), 1, tape, least_patience=0.0)
    while not leg.ended:
        leg.step()
    assert (tape.told[-1].text, leg.now) == (EndCause.NO_ANSWER, 10.0)


# ------------------------------------------------------------------ the exchange


class Client:
    """A listener that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent = 0
        self.acked = 0
        self.waiting: deque[tuple[int, float, Leg]] = deque()
        self.messages: list[FromCarrier] = []

    def send(self, encoded: bytes) -> None:
        self.messages.append(msgspec.msgpack.decode(encoded, type=FromCarrier))


def test_a_free_leg_waits_until_its_client_has_dealt_with_an_event(tmp_path: Path) -> None:
    exchange, client = Exchange(CallLog(tmp_path / "log"), FreePace(), seed=1), Client()
    exchange.dial(client, _dial("0912345009"))
    assert [message.what for message in client.messages if isinstance(message, Told)] == [
        "ringing",
        "answered",
    ]
    exchange.do(client, Do(1, 1, "play", 1, 0.1))
    exchange.ack(client, 2)
    assert isinstance(client.messages[-1], Told)
    assert client.messages[-1].what == "played"
    exchange.ack(client, 3)
    assert len(client.messages) == 4


def test_what_may_have_been_forgotten_is_never_called_unseen(tmp_path: Path) -> None:
    exchange = Exchange(CallLog(tmp_path / "log"), FreePace(), seed=1, memory=Memory(legs=1))
    client = Client()
    for leg in (1, 2):
        exchange.dial(client, _dial("0912345003", leg))
    slot = exchange.booted_at + 1e-6
    exchange.adopt(client, Adopt(9, [(1, slot), (2, slot), (3, FAR_FUTURE)]))
    answer = next(message for message in client.messages if isinstance(message, Adopted))
    assert answer.legs == [(1, "forgotten"), (2, "replayed"), (3, "never_seen")]


def test_a_refused_request_is_answered_and_logged_without_an_invite(tmp_path: Path) -> None:
    exchange, client = Exchange(CallLog(tmp_path / "log"), FreePace(), seed=1), Client()
    exchange.dial(client, Dial(5, 1, 1, "0912345001", "1900", 30.0, 300.0, False, 1.0))
    assert client.messages == [Taken(5, "too late")]
    assert [line.event for line in read_log(tmp_path / "log")] == ["BOOT", "REFUSE"]


@pytest.mark.anyio
async def test_a_speed_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        pace_for(0.0, asyncio.get_running_loop())


# ------------------------------------------------------------------ the log


def _line(event: str, at: float, leg: int, trunk: int = 1) -> Line:
    return Line(at, at, event, leg, trunk)


def test_a_line_that_was_cut_off_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = CallLog(path)
    log.write("INVITE", 1, 2, "0912345001", "1900")
    log.close()
    with path.open("ab") as file:
        file.write(b'{"ts":1.0,"mon')
    assert [(line.event, line.leg, line.number) for line in read_log(path)] == [("INVITE", 1, "0912345001")]


def test_the_busiest_second_is_found_wherever_it_begins() -> None:
    lines = [_line("INVITE", at, leg) for leg, at in enumerate([0.0, 0.6, 0.9, 1.2, 1.6, 3.0])]
    assert busiest_second(lines) == {1: 3}


def test_channels_are_counted_from_the_invite_to_the_end() -> None:
    lines = [_line("INVITE", 0, 1), _line("INVITE", 1, 2), _line("BYE", 2, 1), _line("INVITE", 3, 3)]
    lines += [_line("REJECT", 4, 2), _line("CANCEL", 5, 3), _line("INVITE", 5, 4, trunk=2)]
    assert most_channels(lines) == {1: 2, 2: 1}
    assert mean_channels(lines, 0.0, 4.0) == {1: pytest.approx(6 / 4), 2: 0.0}
    assert invited_more_than_once([*lines, _line("INVITE", 9, 3)]) == {3: 2}


def test_a_carrier_that_boots_has_dropped_every_call() -> None:
    lines = [_line("INVITE", 0, 1), _line("BOOT", 1, 0), _line("INVITE", 2, 2)]
    assert most_channels(lines) == {1: 1}


# ------------------------------------------------------------------ the wire


def test_what_is_said_never_leaves_the_process_but_its_length_does() -> None:
    command = to_wire(1, 1, Play(1, (Speech("x" * 14), SpokenCode("739154"))))
    assert (command.verb, command.flag) == ("play", True)
    assert command.seconds == pytest.approx(1.3 + 5.4)
    sent = encode(to_wire(1, 1, Play(1, (Speech("bí mật"), SpokenCode("739154")))))
    assert b"739154" not in sent
    assert "bí mật".encode() not in sent


@pytest.mark.parametrize("text", ["0.0.0.0:5000", "192.168.1.9:5000", "carrier.example:5000"])
def test_the_carrier_is_not_offered_to_the_network(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


def test_patience_of_whoever_listens_to_the_end_is_endless() -> None:
    assert all(plan.patience == math.inf for plan in _plans("001"))
