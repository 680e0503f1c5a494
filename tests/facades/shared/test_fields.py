"""Fields of requests are read as proto3's JSON mapping has them, and a bit more leniently."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.facades._shared.fields import MAX_INT32, MAX_INT64, Fields
from tongdai.kit.errors import InvalidError

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


def field(value: object, name: str = "oa_id") -> Fields:
    return Fields({name: value})


def fault_of(error: pytest.ExceptionInfo[InvalidError]) -> tuple[str, str]:
    (pair,) = error.value.facts["errors"]  # type: ignore[misc]
    return pair  # type: ignore[no-any-return,has-type]


@pytest.mark.parametrize("value", [12, "12", " 12 ", 12.0, "0012"])
def test_an_integer_is_a_number_or_digits(value: object) -> None:
    assert field(value).integer("oa_id") == 12


@pytest.mark.parametrize("value", [None, "", "  ", 0, "0", 0.0])
def test_an_integer_that_is_null_empty_or_zero_is_not_given(value: object) -> None:
    assert field(value).integer("oa_id") is None


@pytest.mark.parametrize(
    "value",
    [True, False, "twelve", "1e3", "1.5", 1.5, [], {}, [1], "١٢", "9" * 400, -1, "-1", 2**63, str(2**63)],
)
def test_what_is_no_integer_of_64_bits_is_refused(value: object) -> None:
    with pytest.raises(InvalidError) as caught:
        field(value).integer("oa_id")
    assert fault_of(caught)[0] == "oa_id"


def test_the_largest_integers_are_taken() -> None:
    assert field(MAX_INT64).integer("oa_id") == MAX_INT64
    assert field(str(MAX_INT64)).integer("oa_id") == MAX_INT64
    with pytest.raises(InvalidError):
        field(MAX_INT32 + 1).integer("oa_id", most=MAX_INT32)


def test_names_may_be_in_lower_camel_case_and_snake_case_comes_first() -> None:
    assert Fields({"oaId": "7"}).integer("oa_id") == 7
    assert Fields({"oa_id": "8", "oaId": "7"}).integer("oa_id") == 8
    assert Fields({"oa_id": None, "oaId": "7"}).integer("oa_id") == 7


def test_a_text_may_be_written_as_a_number_and_null_is_empty() -> None:
    assert field(84901234567, "phone").text("phone") == "84901234567"
    assert field(None, "phone").text("phone") == ""
    assert Fields({}).text("phone") == ""


@pytest.mark.parametrize("value", [True, 1.5, [], {}, "a\x00b", "x" * 11])
def test_what_cannot_be_kept_as_a_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidError) as caught:
        field(value, "phone").text("phone", longest=10)
    assert fault_of(caught)[0] == "phone"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (False, False), ("true", True), ("FALSE", False), ("", None), (None, None)],
)
def test_a_flag_is_true_false_or_not_given(value: object, expected: bool | None) -> None:
    assert field(value, "charged").flag("charged") is expected


@pytest.mark.parametrize("value", [0, 1, "yes", [], {}])
def test_what_is_no_flag_is_refused(value: object) -> None:
    with pytest.raises(InvalidError):
        field(value, "charged").flag("charged")


def test_two_names_of_one_flag_must_agree() -> None:
    both = ("is_charged", "charged")
    assert Fields({"charged": True}).agreed(both) is True
    assert Fields({"charged": False, "is_charged": False}).agreed(both) is False
    assert Fields({}).agreed(both) is None
    with pytest.raises(InvalidError):
        Fields({"charged": True, "is_charged": False}).agreed(both)


@pytest.mark.parametrize("word", ["tag3", "TAG3", " Tag3 "])
def test_words_are_known_in_any_case(word: str) -> None:
    assert field(word, "mode").choice("mode", {"tag3": 3}) == 3


@pytest.mark.parametrize("word", ["", None, "unknown", "UNKNOWN"])
def test_the_unknown_word_is_not_given(word: str | None) -> None:
    assert field(word, "mode").choice("mode", {"tag3": 3}) is None


def test_another_word_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(InvalidError, match="mode must be one of default, tag3"):
        field("fast", "mode").choice("mode", {"default": 1, "tag3": 3})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T08:30:00Z", datetime(2026, 1, 31, 8, 30, tzinfo=UTC)),
        ("2026-01-31T08:30:00+07:00", datetime(2026, 1, 31, 1, 30, tzinfo=UTC)),
        ("2026-01-31T08:30:00", datetime(2026, 1, 31, 1, 30, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 30, 17, tzinfo=UTC)),
        ("0100-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59-12:00", datetime(2999, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_have_a_zone_or_are_vietnams_and_lie_in_these_centuries(text: str, expected: datetime) -> None:
    assert field(text, "date_from").moment("date_from") == expected


@pytest.mark.parametrize("text", ["", None, "0001-01-01T00:00:00Z"])
def test_the_zero_of_times_is_not_given(text: str | None) -> None:
    assert field(text, "date_to").moment("date_to", ends=True) is None


def test_a_day_ends_when_the_next_one_begins() -> None:
    ended = field("2026-01-31", "date_to").moment("date_to", ends=True)
    assert ended == datetime(2026, 1, 31, 17, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "31/01/2026", 20260131083000, []])
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(InvalidError) as caught:
        field(text, "date_from").moment("date_from")
    assert fault_of(caught)[0] == "date_from"


def test_a_fault_within_an_object_is_told_with_its_place() -> None:
    with pytest.raises(InvalidError) as caught:
        Fields({"filter": {"oa_id": "x"}}).inner("filter").integer("oa_id")
    assert fault_of(caught)[0] == "filter.oa_id"
    with pytest.raises(InvalidError):
        Fields({"filter": []}).inner("filter")
    assert Fields({"filter": None}).inner("filter").integer("oa_id") is None


def test_data_is_kept_as_it_is_unless_the_database_could_not() -> None:
    data: dict[str, Any] = {"name": "Chị Lan", "count": 3, "rows": [{"a": None}]}
    assert field(data, "template_data").data("template_data") == data
    assert Fields({}).data("template_data") == {}
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}
    unkeepable: list[Any] = ["text", [], {"a": "\x00"}, {"\x00": 1}, {"a": [{"b": "x\x00"}]}, deep]
    for bad in unkeepable:
        with pytest.raises(InvalidError):
            field(bad, "template_data").data("template_data")


def test_data_holds_so_many_values_that_looking_at_them_holds_up_nobody() -> None:
    most = {f"a{number}": "b" for number in range(1000)}
    assert field(most, "template_data").data("template_data") == most
    too_many: list[dict[str, Any]] = [
        most | {"more": 1},
        {"a": [0] * 1000},
        {"a": [[]] * 80_000},
        {"a": {str(n): 0 for n in range(1000)}},
    ]
    for bad in too_many:
        with pytest.raises(InvalidError, match="holds more than 1000 values"):
            field(bad, "template_data").data("template_data")


@pytest.mark.parametrize("value", [None, "", 0, "0"])
def test_what_is_required_is_neither_empty_nor_zero(value: object) -> None:
    with pytest.raises(InvalidError, match="oa_id is required"):
        field(value).require("oa_id")


@given(value=ANYTHING)
def test_no_value_gets_anything_but_a_reading_or_a_refusal(value: object) -> None:
    fields = field(value, "it")
    readings = (
        lambda: fields.text("it"),
        lambda: fields.integer("it"),
        lambda: fields.flag("it"),
        lambda: fields.moment("it", ends=True),
        lambda: fields.choice("it", {"a": 1}),
        lambda: fields.data("it"),
        lambda: fields.inner("it"),
    )
    for read in readings:
        with suppress(InvalidError):
            read()
