"""A script is refused with the step and the field, or it can run and will end."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.scripts import ScriptInvalidError, parse_script, required_fields, used_fields
from tongdai.domain.scripts.model import GatherStep, Part, Script
from tongdai.domain.scripts.template import TemplateError, field_values, fields_of, render, render_pieces

Body = dict[str, object]


def script(steps: Body, **more: object) -> Body:
    return {"start": next(iter(steps)), "steps": steps, **more}


def say(text: str = "Xin chào", **more: object) -> Body:
    return {"kind": "say", "text": text, **more}


def gather(**more: object) -> Body:
    return {"kind": "gather", "prompt": "Nhấn phím 1", "on": {"1": "bye"}, **more}


BYE: Body = {"kind": "hang_up"}


def faults(raw: object) -> list[tuple[str, str]]:
    with pytest.raises(ScriptInvalidError) as caught:
        parse_script(raw)
    errors = caught.value.facts["errors"]
    assert isinstance(errors, list)
    assert errors
    return errors


def paths(raw: object) -> list[str]:
    return [path for path, _ in faults(raw)]


def test_a_script_with_every_kind_of_step_is_taken() -> None:
    parsed = parse_script(
        script(
            {
                "hello": say("Xin chào {ten_khach}", next="menu"),
                "menu": gather(on={"1": "vip", "2": "talk", "3": "song"}, on_timeout="bye", on_invalid="bye"),
                "vip": {
                    "kind": "branch",
                    "field": "hang",
                    "cases": [
                        {"equals": "vàng", "next": "talk"},
                        {"in": ["bạc", "đồng"], "next": "note"},
                        {"present": False, "next": "bye"},
                    ],
                    "else": "bye",
                },
                "song": {"kind": "play", "audio_file_id": 7, "next": "bye"},
                "note": {"kind": "record", "max_s": 30, "next": "bye"},
                "talk": {"kind": "transfer", "target": "0901234567", "ring_s": 20, "on_failed": "note"},
                "bye": {"kind": "hang_up", "end_code": "done"},
            }
        )
    )
    assert set(parsed.steps) == {"hello", "menu", "vip", "song", "note", "talk", "bye"}
    assert used_fields(parsed) == {"ten_khach", "hang"}
    assert required_fields(parsed) == {"ten_khach"}


def test_a_script_survives_being_stored() -> None:
    parsed = parse_script(script({"menu": gather(retry_prompt="Chưa đúng"), "bye": BYE}))
    assert msgspec.json.decode(msgspec.json.encode(parsed), type=Script) == parsed


def test_a_script_as_bytes_text_and_objects_is_the_same() -> None:
    body = script({"menu": gather(), "bye": BYE})
    text = msgspec.json.encode(body)
    assert parse_script(body) == parse_script(text) == parse_script(text.decode())


def test_a_prompt_may_be_one_string() -> None:
    menu = parse_script(script({"menu": gather(prompt="Mời chọn"), "bye": BYE})).steps["menu"]
    assert isinstance(menu, GatherStep)
    assert menu.prompt == (Part(text="Mời chọn"),)


@pytest.mark.parametrize(
    ("step", "path"),
    [
        (say(""), "text"),
        (say("  \n"), "text"),
        (say("x" * 2001), "text"),
        (say("nul \0"), "text"),
        (say("half \ud800"), "text"),
        (say("Xin chào {ten"), "text"),
        (say("Xin chào ten}"), "text"),
        (say("Xin chào {}"), "text"),
        (say("{a{b}}"), "text"),
        (say(next="nowhere"), "next"),
        (say(next=5), "next"),
        (say(txt="x"), "txt"),
        ({"kind": "say"}, "text"),
        ({"kind": "sing"}, "kind"),
        ({}, "kind"),
        ({"kind": ["say"]}, "kind"),
        (gather(on={"1": "nowhere"}), "on.1"),
        (gather(on={"x": "bye"}), "on.x"),
        (gather(on={"12": "bye"}), "on.12"),
        (gather(on={"": "bye"}), "on."),
        (gather(on={"1#": "bye"}, max_digits=4), "on.1#"),
        (gather(on={"1": "bye"}, max_digits=4, min_digits=2), "on.1"),
        (gather(on={}), "on"),
        (gather(min_digits=3, next="bye"), "min_digits"),
        (gather(tries=0), "tries"),
        (gather(tries=6), "tries"),
        (gather(tries=2.5), "tries"),
        (gather(timeout_s=0), "timeout_s"),
        (gather(timeout_s=61), "timeout_s"),
        (gather(timeout_s=float("nan")), "timeout_s"),
        (gather(max_digits=0), "max_digits"),
        (gather(terminator="5"), "terminator"),
        (gather(prompt=[{"text": "a"}, {"text": ""}]), "prompt.1.text"),
        (gather(prompt=[{}]), "prompt.0"),
        (gather(prompt=[{"text": "a"}] * 21), "prompt"),
        (gather(on={str(n): "bye" for n in range(101)}, max_digits=3), "on"),
        (gather(prompt=[{"text": "a", "audio_file_id": 1}]), "prompt.0"),
        (gather(retry_prompt="{"), "retry_prompt.0.text"),
        (gather(prompt=[{"audio_file_id": -1}]), "prompt.0.audio_file_id"),
        (gather(on_timeout="nowhere"), "on_timeout"),
        (gather(on_invalid="nowhere"), "on_invalid"),
        ({"kind": "play", "audio_file_id": 0}, "audio_file_id"),
        ({"kind": "play", "audio_file_id": 2**80}, "audio_file_id"),
        ({"kind": "play", "audio_file_id": "7"}, "audio_file_id"),
        ({"kind": "branch", "cases": []}, "cases"),
        ({"kind": "branch", "cases": [{"equals": "1", "present": True}]}, "cases.0"),
        ({"kind": "branch", "cases": [{"next": "bye"}]}, "cases.0"),
        ({"kind": "branch", "cases": [{"equals": "\0", "next": "bye"}]}, "cases.0"),
        ({"kind": "branch", "cases": [{"equals": "1", "next": "nowhere"}]}, "cases.0.next"),
        ({"kind": "branch", "field": "{a}", "cases": [{"equals": "1"}]}, "field"),
        ({"kind": "branch", "cases": [{"equals": "1"}], "else": "nowhere"}, "else"),
        ({"kind": "read_code", "purpose": "Mã là"}, "kind"),
        ({"kind": "record", "max_s": 0}, "max_s"),
        ({"kind": "transfer", "target": "19001234"}, "target"),
        ({"kind": "transfer", "target": "+14155550100"}, "target"),
        ({"kind": "transfer", "target": "sip:a@b;x=y"}, "target"),
        ({"kind": "transfer"}, "target"),
        ({"kind": "transfer", "target": "0901234567", "targets": ["0901234568"]}, "target"),
        ({"kind": "transfer", "targets": ["0901234567", "1800599920"]}, "targets.1"),
        ({"kind": "transfer", "targets": ["0901234567", "84901234567"]}, "targets.1"),
        ({"kind": "transfer", "targets": [f"090123456{n}" for n in range(10)] + ["0901234577"]}, "targets"),
        ({"kind": "transfer", "target": "0901234567", "strategy": "random"}, "strategy"),
        ({"kind": "transfer", "target": "0901234567", "on_failed": "nowhere"}, "on_failed"),
        ({"kind": "hang_up", "end_code": "a b"}, "end_code"),
        ({"kind": "hang_up", "next": "bye"}, "next"),
    ],
)
def test_a_fault_names_the_step_and_the_field(step: Body, path: str) -> None:
    found = paths(script({"a": step, "bye": BYE}))
    assert (f"steps.a.{path}" if path else "steps.a") in found


def test_every_fault_is_told_at_once() -> None:
    found = paths(script({"a": say("", next="x"), "b": gather(on={"9": "y", "1": "z"})}))
    assert found == ["steps.a.text", "steps.a.next", "steps.b.on.9", "steps.b.on.1"]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"", ""),
        (b"{", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b" " * 1_000_001, ""),
        (None, ""),
        (5, ""),
        ([], ""),
        ({}, "steps"),
        ({"start": "a", "steps": {}}, "steps"),
        ({"start": "a", "steps": []}, "steps"),
        ({"start": "a", "steps": {"a": 1}}, "steps.a"),
        ({"start": "a", "steps": {"": BYE}}, "steps."),
        ({"start": "a", "steps": {"a b": BYE}}, "steps.a b"),
        ({"start": "a", "steps": {5: BYE}}, "steps.5"),
        ({"start": "b", "steps": {"a": BYE}}, "start"),
        ({"start": 1, "steps": {"a": BYE}}, "start"),
        ({"steps": {"a": BYE}}, "start"),
        (script({"a": BYE}, voicemail="b"), "voicemail"),
        (script({"a": BYE}, kind="fax"), "kind"),
        (script({"a": BYE}, name="x"), "name"),
        (script({"a": BYE}, confirm_human=True), "confirm_human"),
        (script({"a": BYE}, confirm_text=""), "confirm_text"),
        (script({"a": BYE}, kind="otp"), "steps"),
    ],
)
def test_what_is_no_script_is_refused_in_words(raw: object, path: str) -> None:
    assert path in paths(raw)


def test_a_customer_cannot_name_a_stored_file() -> None:
    clips = {"7": {"storage_key": "somebody/else.wav", "duration_s": 1}}
    assert paths(script({"a": {"kind": "play", "audio_file_id": 7}}, clips=clips)) == ["clips"]


def test_two_hundred_steps_are_taken_and_one_more_is_not() -> None:
    def chain(length: int) -> Body:
        return script({f"s{i}": say(next=f"s{i + 1}") if i + 1 < length else BYE for i in range(length)})

    assert len(parse_script(chain(200)).steps) == 200
    assert paths(chain(201)) == ["steps"]


def test_a_script_is_no_larger_as_an_object_than_as_bytes() -> None:
    parts = [{"text": "ư" * 2000}] * 20
    steps = {f"s{i}": gather(prompt=parts, on={"1": f"s{i + 1}"}) for i in range(20)}
    assert faults(script({**steps, "s20": BYE})) == [("", "the script is larger than 1000000 bytes")]


def test_a_step_that_nothing_leads_to_is_a_fault() -> None:
    assert faults(script({"a": BYE, "b": say(next="c"), "c": BYE})) == [
        ("steps.b", "no step leads here"),
        ("steps.c", "no step leads here"),
    ]


def test_a_step_reached_only_for_a_machine_is_no_fault() -> None:
    assert parse_script(script({"a": BYE, "message": say()}, voicemail="message")).voicemail == "message"


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ({"a": say(next="a")}, "steps.a.next"),
        ({"a": say(next="b"), "b": say(next="c"), "c": say(next="a")}, "steps.c.next"),
        ({"a": {"kind": "branch", "cases": [{"present": True, "next": "a"}]}}, "steps.a.cases.0.next"),
        ({"a": gather(on={"1": "a"}, on_timeout="a")}, "steps.a.on_timeout"),
        ({"a": {"kind": "transfer", "target": "0901234567", "on_failed": "a"}}, "steps.a.on_failed"),
        ({"a": {"kind": "record", "next": "a"}}, "steps.a.next"),
    ],
)
def test_a_loop_that_silence_never_leaves_is_a_fault(steps: Body, path: str) -> None:
    assert paths(script(steps)) == [path]


def test_a_loop_through_a_pressed_key_is_allowed() -> None:
    again = script({"a": say(next="b"), "b": gather(on={"1": "a"}, on_invalid="a")})
    assert parse_script(again).start == "a"


def test_an_otp_call_is_never_recorded_and_leaves_no_message() -> None:
    code = {"kind": "read_code", "purpose": "Mã là", "next": "r"}
    recording = script({"c": code, "r": {"kind": "record"}}, kind="otp")
    assert paths(recording) == ["steps.r.kind"]
    assert paths(script({"c": code, "r": BYE}, kind="otp", voicemail="r")) == ["voicemail"]


@pytest.mark.parametrize(
    "target", ["0901234567", "84901234567", "+84901234567", "02812345678", "sip:an@pbx.vn:5060"]
)
def test_a_transfer_goes_to_a_vietnamese_number_or_a_sip_address(target: str) -> None:
    assert parse_script(script({"a": {"kind": "transfer", "target": target}}))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    )
)
def test_no_value_in_any_place_is_more_than_an_invalid_script(value: object) -> None:
    attempts: list[object] = [value, {"start": "a", "steps": value}, {"start": value, "steps": {"a": BYE}}]
    menu_keys = ("prompt", "on", "next", "max_digits", "terminator", "timeout_s", "barge_in")
    attempts += [script({"a": {**say(), key: value}}) for key in ("text", "next")]
    attempts += [script({"a": gather(**{key: value}), "bye": BYE}) for key in menu_keys]
    attempts += [script({"a": {"kind": "branch", "cases": value}}), script({"a": {"kind": value}})]
    for attempt in attempts:
        with suppress(ScriptInvalidError):
            parse_script(attempt)


# ---------------------------------------------------------------- texts


def test_fields_are_filled_in_and_a_gap_is_closed() -> None:
    text = "Xin chào {danh_xung} {ten_khach}, mời {danh_xung|quý khách} nghe."
    assert (
        render(text, field_values({"danh_xung": "chị", "ten_khach": "Lan"}))
        == "Xin chào chị Lan, mời chị nghe."
    )
    assert render(text, field_values({})) == "Xin chào, mời quý khách nghe."


def test_a_text_of_which_nothing_is_left_says_nothing() -> None:
    assert render(" {a}, {b}. ", {}) == ""


def test_a_value_is_never_read_as_a_template() -> None:
    assert render("{a}", field_values({"a": "{b} {{", "b": "no"})) == "{b} {{"


def test_doubled_braces_are_braces() -> None:
    assert render("{{x}} {x}", {"x": "1"}) == "{x} 1"


def test_a_field_is_found_however_its_accents_are_written() -> None:
    decomposed, composed = "te\u0302n", "tên"
    assert render("{" + decomposed + "}", field_values({composed: "Lan"})) == "Lan"
    assert render("{" + composed + "}", field_values({decomposed: "Lan"})) == "Lan"


def test_a_value_that_is_no_text_is_spoken_as_one() -> None:
    assert render("{a} {b} {c}", field_values({"a": 5, "b": None, "c": 1.5})) == "5 1.5"


def test_a_cell_cannot_fill_a_call() -> None:
    assert len(render("{a}", field_values({"a": "x" * 1_000_000}))) == 1000


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_any_text_is_a_template_or_is_refused_as_one(text: str, fields: dict[str, str]) -> None:
    try:
        fields_of(text)
    except TemplateError:
        return
    assert isinstance(render(text, field_values(fields)), str)


# ---------------------------------------------------------------- voices and pieces


def test_a_voice_is_named_by_its_provider_and_its_name() -> None:
    steps: Body = {"hello": say()}
    assert parse_script(script(steps, voice="espeak:vi-vn-x-south")).voice == "espeak:vi-vn-x-south"
    for wrong in ("vi", "espeak:", "espeak:../x", "espeak:a b", "ESPEAK:vi", ":vi"):
        assert paths(script(steps, voice=wrong)) == ["voice"]


@pytest.mark.parametrize(
    ("text", "fields", "pieces"),
    [
        (
            "Chào {n}, chị nợ {a} đồng.",
            {"n": "Lan", "a": "5000"},
            ("Chào ", "Lan", ", chị nợ ", "5000", " đồng."),
        ),
        ("Chào {n}, mời chị nghe", {}, ("Chào", ", mời chị nghe")),
        ("Lúc {h}:{m} hôm nay", {"h": "9", "m": "30"}, ("Lúc ", "9:30", " hôm nay")),
        ("Số {p} 678", {"p": "0912"}, ("Số ", "0912 678")),
        ("Nhà {t}B, tầng {s}.", {"t": "12", "s": "3"}, ("Nhà ", "12B, tầng ", "3.")),
        ("Xin chào", {}, ("Xin chào",)),
        (" {a}, {b}. ", {}, ()),
    ],
)
def test_a_text_is_cut_at_its_fields_but_never_within_what_is_read_together(
    text: str, fields: dict[str, str], pieces: tuple[str, ...]
) -> None:
    assert render_pieces(text, fields) == pieces


@given(
    st.lists(st.text("ab12 ,.:!", max_size=6), min_size=1, max_size=5),
    st.lists(st.text("ab12 ,.:!", max_size=6), min_size=5, max_size=5),
)
def test_the_pieces_of_a_text_are_the_text(texts: list[str], values: list[str]) -> None:
    template = "".join(f"{text}{{f{index}}}" for index, text in enumerate(texts))
    fields = {f"f{index}": value.strip() for index, value in enumerate(values)}
    assert "".join(render_pieces(template, fields)) == render(template, fields)
