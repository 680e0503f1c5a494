"""The scripts that the demo ships work for any contact, and do what the sandbox's numbers expect."""

from __future__ import annotations

import pytest

from tongdai.domain.scripts import Runner, demo_bodies, demo_scripts, parse_script, required_fields
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Command,
    Digit,
    HangUp,
    Play,
    PlaybackEnded,
    Speech,
    SpokenCode,
    StartTimer,
    TimerFired,
)


def answered() -> Answered:
    return Answered(1, 1, 5.0, 4.0, AnsweredBy.HUMAN)


def listened(runner: Runner) -> list[str]:
    """Everything that somebody hears who only listens. A code is heard as its digits."""
    heard: list[str] = []
    waiting: list[Command] = list(runner.on(answered()))
    while waiting:
        command = waiting.pop(0)
        if isinstance(command, Play):
            heard += [item.text for item in command.items if isinstance(item, Speech)]
            heard += [item.digits for item in command.items if isinstance(item, SpokenCode)]
            waiting += runner.on(PlaybackEnded(1, 1, 9.0, command.id, True))
        elif isinstance(command, StartTimer):
            waiting += runner.on(TimerFired(1, 1, 9.0, command.id))
    return heard


def test_the_demo_has_three_scripts_and_they_can_be_created_again() -> None:
    assert set(demo_scripts()) == {"order_reminder", "payment_notice", "voice_otp"}
    assert {name: parse_script(body) for name, body in demo_bodies().items()} == demo_scripts()


@pytest.mark.parametrize("name", ["order_reminder", "payment_notice", "voice_otp"])
def test_a_contact_without_fields_hears_whole_sentences(name: str) -> None:
    for sentence in listened(Runner(demo_scripts()[name], {}, "1234")):
        assert "{" not in sentence
        assert "  " not in sentence
        assert " ." not in sentence
        assert " ," not in sentence


def test_the_order_reminder_needs_no_field() -> None:
    assert required_fields(demo_scripts()["order_reminder"]) == frozenset()


@pytest.mark.parametrize(("key", "end"), [("1", "confirmed"), ("2", "change_requested")])
def test_the_order_reminder_takes_its_keys_at_once(key: str, end: str) -> None:
    runner = Runner(demo_scripts()["order_reminder"], {})
    runner.on(answered())
    commands = runner.on(Digit(1, 2, 5.2, key))
    play = commands[-1]
    assert isinstance(play, Play)
    assert runner.on(PlaybackEnded(1, 3, 12.0, play.id, True)) == (HangUp(),)
    assert runner.result == end


def test_the_order_reminder_says_goodbye_to_somebody_silent() -> None:
    runner = Runner(demo_scripts()["order_reminder"], {"danh_xung": "chị", "ten_khach": "Lan"})
    heard = listened(runner)
    assert heard[0].startswith("Xin chào chị Lan.")
    assert heard[-1] == "Chúng tôi sẽ liên hệ lại sau. Xin cảm ơn và chào chị."
    assert runner.result == "no_choice"


def test_the_payment_notice_says_what_is_due_and_when_and_says_it_again_on_request() -> None:
    script = demo_scripts()["payment_notice"]
    assert required_fields(script) == {"so_tien", "han_thanh_toan"}
    runner = Runner(script, {"so_tien": "250.000", "han_thanh_toan": "15 tháng 8"})
    (first,) = runner.on(answered())
    assert isinstance(first, Play)
    assert "250.000 đồng đến hạn vào ngày 15 tháng 8" in str(first.items)
    again = runner.on(Digit(1, 2, 8.0, "1"))[-1]
    assert isinstance(again, Play)
    assert again.items == first.items


def test_the_voice_otp_says_what_the_code_is_for_and_reads_it_twice() -> None:
    heard = listened(Runner(demo_scripts()["voice_otp"], {"muc_dich": "đăng nhập"}, "493817"))
    assert "dùng để đăng nhập" in heard[0]
    assert heard.count("493817") == 2
    assert heard[-1].startswith("Vui lòng không cung cấp mã này")
