"""The runner: what a person hears, which keys count, and that it always ends and always says the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tongdai.domain.scripts import Result, Runner, Script, VoicemailAction, demo_scripts, parse_script
from tongdai.domain.scripts.keypad import Keypad
from tongdai.domain.scripts.model import Clip, GatherStep, with_clips
from tongdai.domain.scripts.runner import MAX_STEPS_PER_CALL
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    AudioClip,
    CancelTimer,
    Command,
    Digit,
    EndCause,
    Ended,
    HangUp,
    LegEvent,
    Play,
    PlaybackEnded,
    RecordingEnded,
    Ringing,
    Speech,
    SpokenCode,
    StartRecording,
    StartTimer,
    StopPlay,
    TimerFired,
    Transfer,
    TransferEnded,
)

Body = dict[str, object]

CODE = "493817"
ACTIONS: list[VoicemailAction] = ["hang_up", "leave_message", "retry"]


def script(steps: Body, **more: object) -> Script:
    return parse_script({"start": next(iter(steps)), "steps": steps, **more})


def menu(**more: object) -> Body:
    """A menu in which 1 and 2 end the call with an end code of their own."""
    return {
        "menu": {"kind": "gather", "prompt": "Mời chọn", "on": {"1": "one", "2": "two"}, **more},
        "one": {"kind": "hang_up", "end_code": "one"},
        "two": {"kind": "hang_up", "end_code": "two"},
    }


class Call:
    """A leg as an engine would tell of it: counts events, and moves its clock."""

    def __init__(
        self,
        script: Script,
        fields: dict[str, object] | None = None,
        code: str | None = None,
        voicemail_action: VoicemailAction = "hang_up",
        announcement: str = "",
        recorded: bool = False,
    ) -> None:
        self.runner = Runner(
            script,
            fields or {},
            code,
            voicemail_action=voicemail_action,
            announcement=announcement,
            recorded=recorded,
        )
        self.at = 0.0
        self.commands: list[Command] = []
        self._seq = 0

    def _tell(self, event: LegEvent) -> list[Command]:
        commands = list(self.runner.on(event))
        self.commands += commands
        return commands

    def _next(self) -> tuple[int, int, float]:
        self._seq += 1
        return 1, self._seq, self.at

    def answer(self, by: AnsweredBy = AnsweredBy.HUMAN, answered_at: float = 0.0) -> list[Command]:
        return self._tell(Answered(*self._next(), answered_at, by))

    def press(self, keys: str, at: float | None = None) -> list[Command]:
        self.at = self.at if at is None else at
        return [command for key in keys for command in self._tell(Digit(*self._next(), key))]

    def played(self, id: int, completed: bool = True) -> list[Command]:
        return self._tell(PlaybackEnded(*self._next(), id, completed))

    def fired(self, id: int) -> list[Command]:
        return self._tell(TimerFired(*self._next(), id))

    def recorded(self, id: int, key: str | None = "rec/1.wav") -> list[Command]:
        return self._tell(RecordingEnded(*self._next(), id, 4.5, key))

    def transferred(self, id: int, connected: bool) -> list[Command]:
        return self._tell(TransferEnded(*self._next(), id, connected, 9.0))

    def end(self, answered_at: float | None = 0.0) -> list[Command]:
        return self._tell(Ended(*self._next(), EndCause.NORMAL, answered_at))


def say(id: int, *texts: str) -> Play:
    return Play(id, tuple(Speech(text) for text in texts))


# ---------------------------------------------------------------- saying


def test_a_scripts_voice_speaks_its_texts_and_its_code() -> None:
    body = script({"a": {"kind": "read_code", "purpose": "Mã là"}}, kind="otp", voice="piper:vais1000")
    call = Call(body, {}, code=CODE)
    assert call.answer() == [
        Play(1, (Speech("Mã là", voice="piper:vais1000"), SpokenCode(CODE, "piper:vais1000")))
    ]


def test_nothing_is_said_before_the_answer() -> None:
    runner = Runner(script(menu()), {})
    assert runner.on(Ringing(1, 1, 2.0)) == ()
    assert runner.on(Digit(1, 2, 2.5, "1")) == ()


def test_sentences_follow_one_another_and_the_call_is_hung_up() -> None:
    call = Call(
        script(
            {
                "a": {"kind": "say", "text": "Xin chào {ten_khach|quý khách}", "next": "b"},
                "b": {"kind": "say", "text": "Tạm biệt"},
            }
        ),
        {"ten_khach": "Lan"},
    )
    assert call.answer() == [Play(1, (Speech("Xin chào Lan", ("Xin chào ", "Lan")),))]
    assert call.played(1) == [say(2, "Tạm biệt")]
    assert call.played(2) == [HangUp()]
    assert (call.runner.result, call.runner.finished) == (Result.COMPLETED, True)


def test_a_sentence_of_which_nothing_is_left_is_passed_over() -> None:
    steps: Body = {
        "a": {"kind": "say", "text": "{x}", "next": "b"},
        "b": {"kind": "say", "text": "Tạm biệt"},
    }
    assert Call(script(steps)).answer() == [say(1, "Tạm biệt")]


def test_an_audio_file_is_played_from_where_it_was_stored() -> None:
    flow = script(
        {"a": {"kind": "play", "audio_file_id": 7, "next": "b"}, "b": {"kind": "say", "text": "Tạm biệt"}}
    )
    stored = with_clips(flow, {7: Clip("1/abc.wav", 2.5)})
    assert Call(stored).answer() == [Play(1, (AudioClip("1/abc.wav", 2.5),))]


def test_a_prompt_that_could_not_be_played_does_not_stop_the_call() -> None:
    call = Call(script(menu()))
    call.answer()
    assert call.played(1, completed=False) == [StartTimer(2, 5)]


def test_only_the_first_answer_counts() -> None:
    call = Call(script(menu()))
    assert call.answer()
    assert call.answer() == []
    assert call.runner.start(AnsweredBy.MACHINE) == ()


# ---------------------------------------------------------------- no digit is lost


def test_a_key_stops_the_prompt_and_counts() -> None:
    call = Call(script(menu()))
    assert call.answer() == [say(1, "Mời chọn")]
    assert call.press("2") == [StopPlay(1), HangUp()]
    assert call.runner.result == "two"


def test_a_prompt_without_barge_in_is_heard_to_its_end_and_then_the_key_counts() -> None:
    call = Call(script(menu(barge_in=False)))
    call.answer()
    assert call.press("2") == []
    assert call.played(1) == [HangUp()]
    assert call.runner.result == "two"


def test_a_key_pressed_before_the_menu_reaches_it() -> None:
    call = Call(script({"hello": {"kind": "say", "text": "Xin chào", "next": "menu"}, **menu()}))
    call.answer()
    assert call.press("1") == []
    assert call.played(1) == [HangUp()]
    assert call.runner.result == "one"


def test_a_key_pressed_before_a_machine_was_ruled_out_reaches_the_menu() -> None:
    call = Call(script(menu()))
    call.press("2", at=7.2)
    assert call.answer(answered_at=6.0) == [HangUp()]
    assert call.runner.key_presses == [("2", 1)]


def test_a_key_pressed_after_the_prompt_reaches_the_menu() -> None:
    call = Call(script(menu()))
    call.answer()
    call.played(1)
    assert call.press("1") == [CancelTimer(2), HangUp()]


def test_keys_pressed_fast_go_to_one_menu_after_the_other() -> None:
    call = Call(
        script(
            {
                "first": {"kind": "gather", "prompt": "Một", "on": {"1": "menu"}},
                **menu(),
            }
        )
    )
    call.answer()
    assert call.press("12") == [StopPlay(1), say(2, "Mời chọn"), StopPlay(2), HangUp()]
    assert call.runner.result == "two"


def test_a_menu_may_forget_what_was_pressed_before_it() -> None:
    call = Call(
        script({"hello": {"kind": "say", "text": "Xin chào", "next": "menu"}, **menu(clear_before=True)})
    )
    call.answer()
    call.press("1")
    assert call.played(1) == [say(2, "Mời chọn")]
    assert call.runner.key_presses == [("1", 0)]


def test_a_key_pressed_late_in_a_repeated_prompt_counts() -> None:
    call = Call(script(menu(retry_prompt="Chưa rõ")))
    call.answer()
    call.played(1)
    assert call.fired(2) == [say(3, "Chưa rõ", "Mời chọn")]
    assert call.press("1") == [StopPlay(3), HangUp()]


def test_the_end_of_a_prompt_that_was_stopped_comes_late_and_changes_nothing() -> None:
    call = Call(script(menu(max_digits=2, on={"12": "one", "21": "two"})))
    call.answer()
    assert call.press("1") == [StopPlay(1), StartTimer(2, 5)]
    assert call.played(1, completed=False) == []
    assert call.press("2") == [CancelTimer(2), HangUp()]
    assert call.fired(2) == []


def test_every_press_is_kept_with_its_second() -> None:
    call = Call(script(menu(on={"1": "one", "2": "menu", "3": "two"}, tries=5)))
    call.answer(answered_at=4.3)
    call.press("2", at=9.3)
    call.press("9", at=33.29)
    call.press("#", at=33.3)
    call.press("1", at=33.9)
    call.press("5", at=35.0)
    call.press("A", at=36.0)
    call.press("12", at=36.0)
    call.end()
    call.press("7", at=40.0)
    assert call.runner.key_presses == [
        ("2", 5),
        ("9", 28),
        ("#", 29),
        ("1", 29),
        ("5", 30),
        ("1", 31),
        ("2", 31),
    ]


def test_a_press_counts_from_the_answer_even_when_nobody_told_of_it() -> None:
    call = Call(script(menu()))
    call.press("1", at=12.5)
    call.end(answered_at=10.0)
    assert call.runner.key_presses == [("1", 2)]


# ---------------------------------------------------------------- tries


def test_silence_repeats_the_prompt_until_the_tries_are_used() -> None:
    call = Call(script({**menu(tries=2, on_timeout="late"), "late": {"kind": "hang_up", "end_code": "late"}}))
    call.answer()
    assert call.played(1) == [StartTimer(2, 5)]
    assert call.fired(2) == [say(3, "Mời chọn")]
    assert call.played(3) == [StartTimer(4, 5)]
    assert call.fired(4) == [HangUp()]
    assert call.runner.result == "late"


def test_a_wrong_key_repeats_the_prompt_until_the_tries_are_used() -> None:
    call = Call(script({**menu(on_invalid="wrong"), "wrong": {"kind": "hang_up", "end_code": "wrong"}}))
    call.answer()
    assert call.press("7") == [StopPlay(1), say(2, "Mời chọn")]
    assert call.press("8") == [StopPlay(2), HangUp()]
    assert call.runner.result == "wrong"


@pytest.mark.parametrize(("keys", "result"), [("", Result.NO_INPUT), ("9", Result.INVALID_INPUT)])
def test_without_a_way_out_a_menu_hangs_up_and_says_why(keys: str, result: str) -> None:
    call = Call(script(menu(tries=1)))
    call.answer()
    call.press(keys)
    call.played(1)
    call.fired(2)
    assert call.commands[-1] == HangUp()
    assert call.runner.result == result


def test_a_menu_without_a_prompt_listens_at_once() -> None:
    assert Call(script(menu(prompt=[]))).answer() == [StartTimer(1, 5)]


# ---------------------------------------------------------------- several digits


def entry(**more: object) -> Script:
    """Takes two to four digits, then a branch on them."""
    return script(
        {
            "ask": {"kind": "gather", "prompt": "Mời nhập", "next": "check", "min_digits": 2, "max_digits": 4}
            | more,
            "check": {
                "kind": "branch",
                "cases": [{"equals": "1234", "next": "right"}, {"in": ["12", "34"], "next": "half"}],
                "else": "menu",
            },
            "right": {"kind": "hang_up", "end_code": "right"},
            "half": {"kind": "hang_up", "end_code": "half"},
            **menu(),
        }
    )


def test_an_entry_ends_with_its_last_digit() -> None:
    call = Call(entry())
    call.answer()
    assert call.press("1234") == [
        StopPlay(1),
        StartTimer(2, 5),
        CancelTimer(2),
        StartTimer(3, 5),
        CancelTimer(3),
        StartTimer(4, 5),
        CancelTimer(4),
        HangUp(),
    ]
    assert (call.runner.result, call.runner.answers) == ("right", {"ask": "1234"})


def test_an_entry_ends_with_its_terminator() -> None:
    call = Call(entry())
    call.answer()
    call.press("12#")
    assert (call.runner.result, call.runner.answers) == ("half", {"ask": "12"})


def test_an_entry_ends_with_silence() -> None:
    call = Call(entry())
    call.answer()
    call.press("34")
    call.fired(3)
    assert call.runner.result == "half"


def test_an_entry_that_is_too_short_is_asked_for_again() -> None:
    call = Call(entry())
    call.answer()
    assert call.press("1#")[-1] == say(3, "Mời nhập")
    assert call.runner.answers == {}


def test_an_entry_without_a_terminator_takes_every_key() -> None:
    call = Call(entry(terminator=None))
    call.answer()
    call.press("1#2*")
    assert call.runner.answers == {"ask": "1#2*"}


def test_a_terminator_after_a_full_entry_does_not_reach_the_next_menu() -> None:
    call = Call(entry())
    call.answer()
    assert call.press("9999", at=3.0)[-1] == say(5, "Mời chọn")
    assert call.press("#", at=3.4) == []
    assert call.press("1", at=5.0) == [StopPlay(5), HangUp()]
    assert call.runner.result == "one"
    assert [key for key, _ in call.runner.key_presses] == list("9999#1")


def test_a_terminator_typed_ahead_with_a_full_entry_does_not_reach_the_next_menu() -> None:
    call = Call(entry())
    call.press("9999#1", at=3.0)
    assert call.answer() == [HangUp()]
    assert call.runner.result == "one"


def test_a_second_terminator_is_a_key_of_the_next_menu() -> None:
    call = Call(entry())
    call.answer()
    call.press("9999#", at=3.0)
    assert call.press("#", at=3.4) == [StopPlay(5), say(6, "Mời chọn")]


def test_a_hash_long_after_a_full_entry_is_a_key_of_the_next_menu() -> None:
    call = Call(entry())
    call.answer()
    call.press("9999", at=3.0)
    assert call.press("#", at=9.0)[-1] == say(6, "Mời chọn")


# ---------------------------------------------------------------- deciding


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"hang": "vàng"}, "gold"),
        ({"hang": "va\u0300ng "}, "gold"),
        ({"hang": "bạc"}, "metal"),
        ({"hang": "chì"}, "other"),
        ({"hang": ""}, "none"),
        ({}, "none"),
    ],
)
def test_a_branch_follows_a_field(fields: dict[str, object], result: str) -> None:
    flow = script(
        {
            "b": {
                "kind": "branch",
                "field": "hang",
                "cases": [
                    {"present": False, "next": "none"},
                    {"equals": "vàng", "next": "gold"},
                    {"in": ["bạc", "đồng"], "next": "metal"},
                    {"present": True, "next": "other"},
                ],
            },
            **{name: {"kind": "hang_up", "end_code": name} for name in ("none", "gold", "metal", "other")},
        }
    )
    call = Call(flow, fields)
    assert call.answer() == [HangUp()]
    assert call.runner.result == result


def test_a_branch_that_matches_nothing_ends_the_call() -> None:
    call = Call(script({"b": {"kind": "branch", "cases": [{"equals": "1"}]}}))
    assert call.answer() == [HangUp()]


# ---------------------------------------------------------------- one-time codes


def otp(**more: object) -> Script:
    step = {"kind": "read_code", "purpose": "Mã để đăng nhập là", "again": "Xin nhắc lại", "next": "bye"}
    bye = {"kind": "say", "text": "Tạm biệt"}
    return script({"code": step, "bye": bye}, kind="otp", **more)


def readings(commands: Sequence[Command]) -> list[str]:
    items = [item for command in commands if isinstance(command, Play) for item in command.items]
    return [item.digits for item in items if isinstance(item, SpokenCode)]


def test_a_code_is_read_twice_after_its_purpose() -> None:
    call = Call(otp(), code=CODE)
    assert call.answer() == [Play(1, (Speech("Mã để đăng nhập là"), SpokenCode(CODE)))]
    assert call.played(1) == [StartTimer(2, 1)]
    assert call.fired(2) == [Play(3, (Speech("Xin nhắc lại"), SpokenCode(CODE)))]
    assert call.played(3) == [say(4, "Tạm biệt")]


def test_a_code_may_be_read_without_a_pause() -> None:
    step = {"kind": "read_code", "purpose": "Mã là", "pause_s": 0, "repeats": 3}
    call = Call(script({"code": step}, kind="otp"), code=CODE)
    call.answer()
    call.played(1)
    call.played(2)
    assert call.played(3) == [HangUp()]
    assert readings(call.commands) == [CODE, CODE, CODE]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_code_is_never_read_to_a_machine(action: VoicemailAction) -> None:
    call = Call(otp(), code=CODE, voicemail_action=action)
    assert call.answer(AnsweredBy.MACHINE) == [HangUp()]
    assert call.runner.result == Result.VOICEMAIL


def test_a_code_is_read_when_nobody_knows_who_answered() -> None:
    call = Call(otp(), code=CODE)
    assert readings(call.answer(AnsweredBy.UNKNOWN)) == [CODE]


def test_a_code_that_needs_a_person_waits_for_a_key() -> None:
    call = Call(otp(confirm_human=True, confirm_text="Nhấn phím bất kỳ"), code=CODE)
    assert call.answer(AnsweredBy.UNKNOWN) == [say(1, "Nhấn phím bất kỳ")]
    assert readings(call.press("*")) == [CODE]


def test_a_code_that_needs_a_person_is_not_read_into_silence() -> None:
    call = Call(otp(confirm_human=True), code=CODE)
    call.answer(AnsweredBy.UNKNOWN)
    for play in (1, 3, 5):
        call.played(play)
        call.fired(play + 1)
    assert (call.commands[-1], call.runner.result) == (HangUp(), Result.NOT_CONFIRMED)
    assert readings(call.commands) == []


def test_a_person_who_was_recognised_need_not_press_a_key() -> None:
    assert readings(Call(otp(confirm_human=True), code=CODE).answer(AnsweredBy.HUMAN)) == [CODE]


def test_a_call_without_a_code_reads_nothing() -> None:
    call = Call(otp())
    assert call.answer() == [HangUp()]
    assert call.runner.result == Result.NO_CODE


def test_a_code_is_not_shown_by_the_runner_nor_by_its_commands(caplog: pytest.LogCaptureFixture) -> None:
    call = Call(otp(), code=CODE)
    call.answer()
    call.played(1)
    call.fired(2)
    shown = repr(call.runner) + repr(call.commands) + str(call.commands) + caplog.text
    assert CODE not in shown


# ---------------------------------------------------------------- machines


@pytest.mark.parametrize("action", ["hang_up", "retry"])
def test_a_machine_is_hung_up_on_unless_it_is_to_have_a_message(action: VoicemailAction) -> None:
    call = Call(script(menu()), voicemail_action=action, announcement="Được ghi âm", recorded=True)
    assert call.answer(AnsweredBy.MACHINE) == [HangUp()]
    assert call.runner.result == Result.VOICEMAIL


def test_a_message_is_left_at_the_step_for_machines() -> None:
    flow = script({**menu(), "message": {"kind": "say", "text": "Xin gọi lại"}}, voicemail="message")
    call = Call(flow, voicemail_action="leave_message")
    assert call.answer(AnsweredBy.MACHINE) == [say(1, "Xin gọi lại")]
    assert call.played(1) == [HangUp()]
    assert call.runner.result == Result.MESSAGE_LEFT


def test_a_machine_hears_a_prompt_once_and_is_asked_nothing() -> None:
    call = Call(script(menu()), voicemail_action="leave_message")
    assert call.answer(AnsweredBy.MACHINE) == [say(1, "Mời chọn")]
    assert call.played(1) == [HangUp()]


@pytest.mark.parametrize("step", [{"kind": "record"}, {"kind": "transfer", "target": "0901234567"}])
def test_a_machine_is_neither_recorded_nor_transferred(step: Body) -> None:
    call = Call(script({"a": step}), voicemail_action="leave_message")
    assert call.answer(AnsweredBy.MACHINE) == [HangUp()]


# ---------------------------------------------------------------- opting out

OFFER: Body = {
    "offer": {"kind": "gather", "prompt": "Nhấn 9 để từ chối", "on": {"1": "thanks", "9": "stop"}},
    "thanks": {"kind": "hang_up", "end_code": "thanks"},
    "stop": {"kind": "opt_out", "next": "sorry"},
    "sorry": {"kind": "say", "text": "Chúng tôi sẽ không gọi nữa"},
}


def test_a_person_has_opted_out_as_soon_as_their_key_leads_there() -> None:
    call = Call(script(OFFER))
    call.answer()
    before = call.runner.opted_out
    assert call.press("9") == [StopPlay(1), say(2, "Chúng tôi sẽ không gọi nữa")]
    assert (before, call.runner.opted_out, call.runner.finished) == (False, True, False)


def test_who_hangs_up_on_the_key_has_opted_out_all_the_same() -> None:
    call = Call(script(OFFER))
    call.answer()
    call.press("9")
    call.end()
    assert (call.runner.opted_out, call.runner.result) == (True, Result.HUNG_UP)


def test_another_key_or_none_opts_nobody_out() -> None:
    pressing, silent = Call(script(OFFER)), Call(script(OFFER))
    for call in (pressing, silent):
        call.answer()
    pressing.press("1")
    silent.end()
    assert (pressing.runner.opted_out, silent.runner.opted_out) == (False, False)


def test_a_machine_opts_nobody_out() -> None:
    flow: Body = {"hello": {"kind": "say", "text": "Xin chào", "next": "stop"}, "stop": {"kind": "opt_out"}}
    call = Call(script(flow), voicemail_action="leave_message")
    call.answer(AnsweredBy.MACHINE)
    assert call.played(1) == [HangUp()]
    assert (call.runner.opted_out, call.runner.result) == (False, Result.MESSAGE_LEFT)


# ---------------------------------------------------------------- recording and transfer


def recording(**more: object) -> Script:
    return script({"note": {"kind": "record", "max_s": 20, "next": "menu", **more}, **menu()})


def test_what_was_recorded_is_told_with_its_step() -> None:
    call = Call(recording())
    assert call.answer() == [StartRecording(1, 20, True)]
    assert call.recorded(1) == [say(2, "Mời chọn")]
    assert [(kept.step, kept.storage_key) for kept in call.runner.recordings] == [("note", "rec/1.wav")]


def test_a_recording_that_failed_goes_on_without_one() -> None:
    call = Call(recording())
    call.answer()
    assert call.recorded(1, key=None) == [say(2, "Mời chọn")]
    assert call.runner.recordings == []


def test_the_key_that_stops_a_recording_is_not_an_answer_but_the_next_one_is() -> None:
    call = Call(recording())
    call.answer()
    call.press("#1")
    assert call.recorded(1) == [HangUp()]
    assert call.runner.result == "one"
    assert [key for key, _ in call.runner.key_presses] == ["#", "1"]


def test_a_key_during_a_recording_that_none_stops_is_kept_for_the_menu() -> None:
    call = Call(recording(stop_on_digit=False))
    call.answer()
    call.press("2")
    call.recorded(1)
    assert call.runner.result == "two"


@pytest.mark.parametrize("announce", [True, False])
def test_a_step_that_records_is_announced_unless_the_script_does_it(announce: bool) -> None:
    call = Call(recording(announce=announce), announcement="Sẽ được ghi âm")
    if announce:
        assert call.answer() == [say(1, "Sẽ được ghi âm")]
        assert call.played(1) == [StartRecording(2, 20, True)]
    else:
        assert call.answer() == [StartRecording(1, 20, True)]


def test_a_recorded_call_begins_with_its_announcement_and_has_it_once() -> None:
    call = Call(recording(), announcement="Sẽ được ghi âm", recorded=True)
    assert call.answer() == [say(1, "Sẽ được ghi âm")]
    assert call.played(1) == [StartRecording(2, 20, True)]
    assert call.recorded(2) == [say(3, "Mời chọn")]


def test_two_steps_that_record_are_announced_once() -> None:
    twice = script({"a": {"kind": "record", "next": "b"}, "b": {"kind": "record"}})
    call = Call(twice, announcement="Sẽ được ghi âm")
    call.answer()
    call.played(1)
    assert call.recorded(2) == [StartRecording(3, 60, True)]


def test_a_call_without_a_recording_is_not_announced() -> None:
    assert Call(script(menu()), announcement="Sẽ được ghi âm").answer() == [say(1, "Mời chọn")]


def test_a_recording_may_have_no_announcement() -> None:
    assert Call(recording(), announcement="", recorded=True).answer() == [StartRecording(1, 20, True)]


def test_a_key_pressed_while_a_recording_is_announced_reaches_the_menu_after_it() -> None:
    call = Call(script(menu()), announcement="Sẽ được ghi âm", recorded=True)
    call.answer()
    assert call.press("2") == []
    assert call.played(1) == [HangUp()]
    assert call.runner.result == "two"


def test_a_machine_is_told_of_no_recording() -> None:
    call = Call(
        script(menu()), voicemail_action="leave_message", announcement="Sẽ được ghi âm", recorded=True
    )
    assert call.answer(AnsweredBy.MACHINE) == [say(1, "Mời chọn")]


def group(**more: object) -> Script:
    targets = ["0901234567", "+842412345678", "sip:an@pbx.vn"]
    talk: Body = {"kind": "transfer", "targets": targets, "ring_s": 15, "on_failed": "alone", **more}
    return script({"talk": talk, "alone": {"kind": "hang_up", "end_code": "alone"}})


def test_a_ring_group_rings_at_the_same_time() -> None:
    call = Call(group())
    assert call.answer() == [Transfer(1, "84901234567", 15, ("842412345678", "sip:an@pbx.vn"))]
    assert call.transferred(1, connected=False) == [HangUp()]
    assert call.runner.result == "alone"


def test_a_ring_group_rings_one_after_the_other_until_somebody_answers() -> None:
    call = Call(group(strategy="in_turn"))
    assert call.answer() == [Transfer(1, "84901234567", 15)]
    assert call.transferred(1, connected=False) == [Transfer(2, "842412345678", 15)]
    assert call.transferred(2, connected=True) == [HangUp()]
    assert call.runner.result == Result.COMPLETED


def test_a_ring_group_of_which_nobody_answers_in_turn_falls_back() -> None:
    call = Call(group(strategy="in_turn"))
    call.answer()
    call.transferred(1, connected=False)
    assert call.transferred(2, connected=False) == [Transfer(3, "sip:an@pbx.vn", 15)]
    call.transferred(3, connected=False)
    assert call.runner.result == "alone"


@pytest.mark.parametrize(("connected", "result"), [(True, Result.COMPLETED), (False, "alone")])
def test_a_transfer_leads_on_by_how_it_ended(connected: bool, result: str) -> None:
    flow = script(
        {
            "talk": {"kind": "transfer", "target": "0901234567", "ring_s": 15, "on_failed": "alone"},
            "alone": {"kind": "hang_up", "end_code": "alone"},
        }
    )
    call = Call(flow)
    assert call.answer() == [Transfer(1, "84901234567", 15)]
    assert call.transferred(1, connected) == [HangUp()]
    assert call.runner.result == result


# ---------------------------------------------------------------- ending


def test_nothing_is_asked_of_a_call_that_ended() -> None:
    call = Call(script(menu()))
    call.answer()
    assert call.end() == []
    assert call.press("1") == call.played(1) == call.answer() == []
    assert call.runner.result == Result.HUNG_UP


def test_nothing_is_asked_after_the_script_hung_up() -> None:
    call = Call(script(menu()))
    call.answer()
    call.press("1")
    assert call.press("2") == call.played(1) == call.end() == []
    assert call.runner.result == "one"


def test_a_call_that_nobody_answered_asks_for_nothing() -> None:
    call = Call(script(menu()))
    assert call.end(answered_at=None) == []
    assert call.answer() == []


def test_somebody_who_never_tires_is_hung_up_on() -> None:
    call = Call(script(menu(on={"1": "menu", "2": "one", "3": "two"})))
    call.answer()
    call.press("1" * (MAX_STEPS_PER_CALL - 1))
    assert not call.runner.finished
    assert call.press("1")[-1] == HangUp()
    assert call.runner.result == Result.STEP_LIMIT


def test_keys_mashed_before_an_answer_end_a_loop_without_exhausting_the_stack() -> None:
    call = Call(script(menu(on={"1": "menu", "2": "one", "3": "two"})))
    call.press("1" * 10_000)
    assert call.answer() == [HangUp()]


# ---------------------------------------------------------------- for any call at all

ROUND_TRIP = script(
    {
        "menu": {
            "kind": "gather",
            "prompt": "Mời chọn {x}",
            "on": {"1": "ask", "2": "note", "3": "talk", "4": "menu", "5": "decide"},
            "on_timeout": "ask",
        },
        "ask": {"kind": "gather", "max_digits": 3, "next": "decide", "barge_in": False, "prompt": "Nhập số"},
        "decide": {"kind": "branch", "cases": [{"equals": "12", "next": "talk"}], "else": "note"},
        "note": {"kind": "record", "next": "bye"},
        "talk": {"kind": "transfer", "target": "sip:an@pbx.vn", "next": "bye", "on_failed": "note"},
        "bye": {"kind": "say", "text": "Tạm biệt"},
    }
)
SCRIPTS = [*demo_scripts().values(), ROUND_TRIP, otp(confirm_human=True), entry()]

_ids = st.integers(1, 12)
_times = st.floats(0, 100)
EVENTS = st.one_of(
    st.builds(Ringing, st.just(1), st.just(1), _times),
    st.builds(Answered, st.just(1), st.just(1), _times, _times, st.sampled_from(AnsweredBy)),
    st.builds(Digit, st.just(1), st.just(1), _times, st.sampled_from("0123456789*#A")),
    st.builds(PlaybackEnded, st.just(1), st.just(1), _times, _ids, st.booleans()),
    st.builds(TimerFired, st.just(1), st.just(1), _times, _ids),
    st.builds(RecordingEnded, st.just(1), st.just(1), _times, _ids, _times, st.none() | st.text()),
    st.builds(TransferEnded, st.just(1), st.just(1), _times, _ids, st.booleans(), _times),
    st.builds(Ended, st.just(1), st.just(1), _times, st.sampled_from(EndCause), st.none() | _times),
)


@given(st.sampled_from(SCRIPTS), st.lists(EVENTS, max_size=60), st.sampled_from(ACTIONS))
def test_any_events_in_any_order_are_survived_and_replayed_alike(
    flow: Script, events: list[LegEvent], action: VoicemailAction
) -> None:
    first = Runner(flow, {"x": "1"}, CODE, voicemail_action=action)
    second = Runner(flow, {"x": "1"}, CODE, voicemail_action=action)
    commands = [first.on(event) for event in events]
    assert commands == [second.on(event) for event in events]
    sent = [command for batch in commands for command in batch]
    assert sum(isinstance(command, HangUp) for command in sent) <= 1
    assert not any(isinstance(command, HangUp) for command in sent[:-1])
    answer = next((event for event in events if isinstance(event, Answered)), None)
    if answer is not None and answer.by is AnsweredBy.MACHINE:
        assert readings(sent) == []


def reports(commands: Sequence[Command], keys: str) -> list[LegEvent]:
    """What an engine tells in the end of each command, with a key pressed before the report of a prompt."""
    told: list[LegEvent] = []
    for command in commands:
        if isinstance(command, Play):
            told += [Digit(1, 1, 1.0, key) for key in keys]
            told.append(PlaybackEnded(1, 1, 1.0, command.id, True))
        elif isinstance(command, StartTimer):
            told.append(TimerFired(1, 1, 1.0, command.id))
        elif isinstance(command, StartRecording):
            told.append(RecordingEnded(1, 1, 1.0, command.id, 1.0, None))
        elif isinstance(command, Transfer):
            told.append(TransferEnded(1, 1, 1.0, command.id, False, 1.0))
    return told


@settings(deadline=None)
@given(st.sampled_from(SCRIPTS), st.text("0123456789*#", max_size=3), st.sampled_from(AnsweredBy))
def test_every_call_with_a_working_engine_comes_to_its_end(flow: Script, keys: str, by: AnsweredBy) -> None:
    runner = Runner(flow, {}, CODE, voicemail_action="leave_message")
    waiting = reports(runner.on(Answered(1, 1, 0.0, 0.0, by)), keys)
    told = 0
    while not runner.finished:
        assert waiting, "the runner waits for something that nobody will tell"
        waiting += reports(runner.on(waiting.pop(0)), keys)
        told += 1
        assert told < 20 * MAX_STEPS_PER_CALL
    assert runner.result


@given(st.booleans(), st.integers(0, 6), st.sampled_from("12"))
def test_a_key_at_any_moment_of_a_call_reaches_the_menu(barge_in: bool, moment: int, key: str) -> None:
    """`moment` is how much of the call has passed when the key is pressed, from before the answer on."""
    call = Call(
        script(
            {"hello": {"kind": "say", "text": "Xin chào", "next": "menu"}, **menu(barge_in=barge_in, tries=3)}
        )
    )
    passing: list[Callable[[], object]] = [
        lambda: call.answer(),
        lambda: call.played(1),
        lambda: call.played(2),
        lambda: call.fired(3),
        lambda: call.played(4),
        lambda: call.fired(5),
        lambda: call.played(6),
    ]
    for step in passing[:moment]:
        step()
    call.press(key)
    for step in passing[moment:]:
        step()
    assert call.runner.result == {"1": "one", "2": "two"}[key]


# ---------------------------------------------------------------- digits, fast and long

FAST_S = 0.05
"""Between two presses: twenty in a second, which is as fast as tones can be told apart."""

KEYS = st.text("0123456789*#", max_size=40)


def form(terminator: str | None, barge_in: bool, first: int, second: int) -> Script:
    """Two entries of so many digits, then a menu that asks until it has a 1."""
    entry: Body = {"kind": "gather", "terminator": terminator, "barge_in": barge_in, "tries": 5}
    return script(
        {
            "hello": {"kind": "say", "text": "Xin chào", "next": "first"},
            "first": {**entry, "prompt": "Nhập số", "max_digits": first, "next": "second"},
            "second": {**entry, "prompt": "Nhập mã", "max_digits": second, "next": "end"},
            "end": {"kind": "hang_up"},
        }
    )


def run(call: Call, keys: str, moments: Sequence[int]) -> None:
    """Press the keys fast, each after so many reports of the engine have come; then let it run to its end."""
    due = sorted(zip(moments, keys, strict=False), key=lambda pair: pair[0])
    reported = 0
    waiting: list[LegEvent] = []

    def carry_on(commands: Sequence[Command]) -> None:
        """What an engine reports of these commands: nothing of what was stopped or cancelled."""
        for command in commands:
            match command:
                case StopPlay(id) | CancelTimer(id):
                    waiting[:] = [told for told in waiting if getattr(told, "id", None) != id]
                case _:
                    waiting.extend(reports([command], ""))

    def press_what_is_due() -> None:
        while due and due[0][0] <= reported:
            carry_on(call.press(due.pop(0)[1], at=call.at + FAST_S))

    press_what_is_due()
    carry_on(call.answer())
    while (waiting or due) and not call.runner.finished:
        press_what_is_due()
        if waiting:
            carry_on(list(call.runner.on(waiting.pop(0))))
        reported += 1


@given(
    st.text("0123456789", min_size=32, max_size=32),
    st.lists(st.integers(0, 6), min_size=32, max_size=32).map(sorted),
    st.booleans(),
    st.integers(1, 31),
)
def test_no_digit_of_a_long_entry_is_lost_however_fast_and_whenever_it_is_pressed(
    keys: str, moments: list[int], barge_in: bool, cut: int
) -> None:
    """Before the answer, during prompts and after them: what was pressed is split between the two entries
    exactly where the first is full. Nobody is silent for long enough to end one before."""
    moments = [min(moment, 1) for moment in moments]
    call = Call(form(None, barge_in, cut, 32 - cut))
    run(call, keys, moments)
    assert call.runner.answers == {"first": keys[:cut], "second": keys[cut:]}
    assert "".join(key for key, _ in call.runner.key_presses) == keys


@given(KEYS, st.lists(st.integers(0, 12), min_size=40, max_size=40).map(sorted), st.booleans())
def test_every_key_is_recorded_once_and_in_order_whatever_the_script_does_with_it(
    keys: str, moments: list[int], barge_in: bool
) -> None:
    call = Call(form("#", barge_in, 8, 8))
    run(call, keys, moments)
    pressed = "".join(key for key, _ in call.runner.key_presses)
    assert keys.startswith(pressed)
    assert call.runner.finished or pressed == keys


@given(st.lists(st.text("0123456789", min_size=1, max_size=7), min_size=2, max_size=2), st.booleans())
def test_terminated_entries_typed_ahead_of_all_prompts_reach_their_steps(
    values: list[str], barge_in: bool
) -> None:
    call = Call(form("#", barge_in, 8, 8))
    run(call, "#".join(values) + "#", [0] * 20)
    assert call.runner.answers == {"first": values[0], "second": values[1]}


@given(st.data(), st.lists(st.sampled_from("12*#0"), max_size=32), st.integers(1, 8))
def test_a_keypad_hands_out_every_key_once_but_for_terminators(
    data: st.DataObject, keys: list[str], size: int
) -> None:
    """Pressed twenty in a second, and taken at any moments."""
    step = GatherStep(max_digits=size, terminator=data.draw(st.sampled_from(["#", "*", None])), next="x")
    keypad = Keypad()
    values: list[str] = []
    entered = ""
    for place, key in enumerate(keys):
        keypad.press(key, place * FAST_S)
        while data.draw(st.booleans()) and keypad.waiting:
            entered, whole = keypad.take(step, entered)
            if whole:
                values.append(entered)
                entered = ""
    while keypad.waiting:
        entered, whole = keypad.take(step, entered)
        if whole:
            values.append(entered)
            entered = ""
    values.append(entered)
    handed = "".join(values)
    terminator = step.terminator if size > 1 else None
    assert handed == "".join(key for key in keys if key != terminator)
    assert [key for key, _ in keypad.presses] == keys
