"""What of a message is refused before Zalo is asked, and with which of Zalo's codes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.zalo import quotas, rules
from tongdai.domain.zalo.rules import Refused
from tongdai.kit.clock import VIETNAM
from tongdai.ports.zalo import TemplateParam


def param(name: str = "ten", **more: Any) -> TemplateParam:
    values: dict[str, Any] = {
        "required": True,
        "type": "STRING",
        "min_length": None,
        "max_length": None,
        "accept_null": False,
    }
    return TemplateParam(name=name, **(values | more))


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 18, hour, minute, tzinfo=VIETNAM).astimezone(UTC)


def code_of(answer: object) -> int:
    assert isinstance(answer, Refused)
    assert answer.message
    return answer.code


# ---------------------------------------------------------------- hours


@pytest.mark.parametrize("tag", ["OTP", "TRANSACTION", "IN_TRANSACTION", "POST_TRANSACTION", "transaction"])
@pytest.mark.parametrize("hour", range(24))
def test_codes_and_transactions_go_out_at_any_hour(tag: str, hour: int) -> None:
    assert rules.check_hour(tag, at(hour)) is None


@pytest.mark.parametrize(
    "tag", ["CUSTOMER_CARE", "ACCOUNT_UPDATE", "GENERAL_UPDATE", "", "WHATEVER_COMES_NEXT"]
)
def test_customer_care_and_tags_that_nobody_knows_sleep_from_ten_to_six(tag: str) -> None:
    allowed = [hour for hour in range(24) if rules.check_hour(tag, at(hour)) is None]
    assert allowed == list(range(6, 22))
    assert rules.check_hour(tag, at(21, 59)) is None
    assert code_of(rules.check_hour(tag, at(5, 59))) == -133


@pytest.mark.parametrize("tag", ["PROMOTION", "FOLLOW_UP"])
def test_promotions_go_out_from_eight_to_eight(tag: str) -> None:
    assert [hour for hour in range(24) if rules.check_hour(tag, at(hour)) is None] == list(range(8, 20))


@given(st.datetimes(timezones=st.timezones()), st.sampled_from(["OTP", "CUSTOMER_CARE", "PROMOTION", "?"]))
def test_the_hour_is_vietnams_wherever_the_moment_was_read(moment: datetime, tag: str) -> None:
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        return
    assert rules.check_hour(tag, moment) == rules.check_hour(tag, utc)


# ---------------------------------------------------------------- templates


def test_only_an_approved_template_goes_out() -> None:
    assert rules.check_status("ENABLE", "LOW", development=False) is None
    for status in ("PENDING_REVIEW", "REJECT", "DISABLE", "DELETE", ""):
        assert code_of(rules.check_status(status, "HIGH", development=False)) == -131
    assert code_of(rules.check_status("DISABLE", "LOW", development=False)) == -146


def test_testers_get_what_waits_for_approval_and_nothing_else_more() -> None:
    assert rules.check_status("PENDING_REVIEW", "UNDEFINED", development=True) is None
    assert code_of(rules.check_status("REJECT", "UNDEFINED", development=True)) == -131


def test_only_promotions_go_over_the_quota() -> None:
    assert rules.check_mode("PROMOTION", over_quota=True) is None
    assert rules.check_mode("TRANSACTION", over_quota=False) is None
    for tag in ("TRANSACTION", "CUSTOMER_CARE", "OTP", ""):
        assert code_of(rules.check_mode(tag, over_quota=True)) == -162


@pytest.mark.parametrize(
    ("tag", "name", "seconds", "is_code"),
    [
        ("OTP", "ma", 7200, True),
        ("otp", "ma", None, True),
        ("TRANSACTION", "otp", 7200, True),
        ("TRANSACTION", "ma_otp", 7200, True),
        ("TRANSACTION", "OTP_code", None, True),
        ("TRANSACTION", "otpCode", 7200, True),
        ("TRANSACTION", "maOTP", 7200, True),
        ("TRANSACTION", "code", 15, True),
        ("TRANSACTION", "ma_don", 7200, False),
        ("TRANSACTION", "hotphone", None, False),
        ("CUSTOMER_CARE", "otp", 15, False),
        ("PROMOTION", "ma", 15, False),
    ],
)
def test_a_one_time_code_is_known_by_tag_name_or_haste(
    tag: str, name: str, seconds: int | None, is_code: bool
) -> None:
    timeout = None if seconds is None else timedelta(seconds=seconds)
    assert rules.is_one_time_code(tag, [param(name)], timeout) is is_code


# ---------------------------------------------------------------- data


def test_values_are_sent_as_texts() -> None:
    params = [param(name) for name in "abcde"]
    data = {"a": "Bình", "b": 120_000, "c": 1.5, "d": 12.0, "e": -3}
    assert rules.prepare_data(params, data) == {"a": "Bình", "b": "120000", "c": "1.5", "d": "12", "e": "-3"}


def test_what_the_template_does_not_know_is_left_out() -> None:
    assert rules.prepare_data([param("ten")], {"ten": "An", "dia_chi": "Huế", "": {}}) == {"ten": "An"}


def test_a_template_without_parameters_needs_no_data() -> None:
    assert rules.prepare_data([], {}) == {}
    assert rules.prepare_data([param(required=False)], {}) == {}


@pytest.mark.parametrize(
    ("wanted", "given", "code"),
    [
        (param(), {}, -111),
        (param(), {"khac": "x"}, -1122),
        (param(), {"ten": ""}, -1122),
        (param(), {"ten": None}, -1122),
        (param(required=False), {"ten": None}, -1122),
        (param(max_length=3), {"ten": "bốn ký tự"}, -1121),
        (param(max_length=3), {"ten": 1234}, -1121),
        (param(), {"ten": "a" * 4001}, -1121),
        (param(max_length=10**6), {"ten": "a" * 4001}, -1121),
        (param(min_length=3), {"ten": "ab"}, -1124),
        (param(type="NUMBER"), {"ten": "mười"}, -1124),
        (param(), {"ten": ["An"]}, -1124),
        (param(), {"ten": {"a": 1}}, -1124),
        (param(), {"ten": True}, -1124),
        (param(), {"ten": float("nan")}, -1124),
        (param(), {"ten": "a\x00b"}, -1124),
        (param(), {"ten": "\ud800"}, -1124),
        (param(), {"ten": 10**5000}, -1124),
    ],
)
def test_data_that_does_not_fit_is_refused_with_zalos_code(
    wanted: TemplateParam, given: dict[str, Any], code: int
) -> None:
    assert code_of(rules.prepare_data([wanted], given)) == code


def test_null_is_taken_where_the_template_accepts_it() -> None:
    assert rules.prepare_data([param(accept_null=True)], {"ten": None}) == {"ten": None}
    assert rules.prepare_data([param(accept_null=True)], {"ten": ""}) == {"ten": ""}


def test_lengths_are_counted_in_characters_and_their_ends_belong_to_them() -> None:
    wanted = [param(min_length=4, max_length=4)]
    assert rules.prepare_data(wanted, {"ten": "Đặng"}) == {"ten": "Đặng"}


params = st.builds(
    TemplateParam,
    name=st.sampled_from(["ten", "ma", "ngay", "tien"]),
    required=st.booleans(),
    type=st.sampled_from(["STRING", "NUMBER", "DATE", ""]),
    min_length=st.none() | st.integers(0, 5),
    max_length=st.none() | st.integers(0, 30),
    accept_null=st.booleans(),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.lists(params, max_size=4, unique_by=lambda one: one.name),
    st.dictionaries(st.sampled_from(["ten", "ma", "ngay", "tien", "x"]) | st.text(), anything, max_size=6),
)
def test_whatever_is_given_is_refused_or_fits_the_template(
    wanted: list[TemplateParam], data: dict[str, Any]
) -> None:
    prepared = rules.prepare_data(wanted, data)
    if isinstance(prepared, Refused):
        assert prepared.code in (-111, -1121, -1122, -1124)
        return
    by_name = {one.name: one for one in wanted}
    assert set(prepared) <= set(by_name)
    for one in wanted:
        assert not one.required or one.name in prepared
    for name, text in prepared.items():
        one = by_name[name]
        if text is None:
            assert one.accept_null
            continue
        assert rules.storable(text)
        assert one.max_length is None or len(text) <= one.max_length
        assert not text or one.min_length is None or len(text) >= one.min_length


# ---------------------------------------------------------------- what is left of a quota


@pytest.mark.parametrize(
    ("ours", "zalos", "doubtful", "left"),
    [
        (None, None, 0, None),
        (7, None, 3, 7),
        (None, 10, 0, 10),
        (None, 10, 4, 6),
        (7, 10, 3, 7),
        (7, 7, 0, 7),
        (9, 7, 2, 5),
        (3, 10, 2, 8),
        (0, 2, 5, 0),
        (5, -1, 0, None),
    ],
)
def test_zalos_figure_is_taken_less_what_it_may_not_hold_yet(
    ours: int | None, zalos: int | None, doubtful: int, left: int | None
) -> None:
    assert quotas.agree(ours, zalos, doubtful) == left


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 30))
def test_answers_in_any_order_never_let_more_go_than_there_are_places(steps: list[int], quota: int) -> None:
    """Senders take places, Zalo counts them, and tells what is left in answers that arrive in any order."""
    ours: int | None = quota
    zalo = quota
    reserved = settled = 0
    waiting: list[int] = []
    """Marks of those that were not counted by Zalo yet."""
    answers: list[tuple[int, int]] = []
    for step in steps:
        if step == 0 and ours:
            ours, reserved = ours - 1, reserved + 1
            waiting.append(settled)
        elif step == 1 and waiting:
            zalo -= 1
            answers.append((waiting.pop(0), zalo))
        elif step >= 2 and answers:
            mark, told = answers.pop(0 if step == 2 else -1)
            settled += 1
            ours = quotas.agree(ours, told, reserved - settled + settled - (mark + 1))
        assert zalo >= 0
        assert ours == zalo - len(waiting)
