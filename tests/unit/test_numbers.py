"""Numbers survive spreadsheets, people and hostile input."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tongdai.domain.contacts import (
    UNKNOWN_NETWORK,
    Network,
    Normalised,
    PrefixTable,
    default_prefixes,
    dial_form,
    is_allocated,
    normalise,
    normalise_given,
    shown,
)

MOBILE_NSN = st.from_regex(r"(?:3[0-9]|5[1-9]|7[06-9]|8[1-9]|9[0-9])[0-9]{7}", fullmatch=True)
FIXED_NSN = st.from_regex(r"(?:24|28)[0-9]{8}|2(?:03|10|36|58|99)[0-9]{7}", fullmatch=True)
SERVICE = st.from_regex(r"1[89]00[0-9]{4}(?:[0-9]{2})?", fullmatch=True)
CANONICAL = st.one_of(MOBILE_NSN.map("84".__add__), FIXED_NSN.map("84".__add__), SERVICE)


@pytest.mark.parametrize(
    "text",
    [
        "0912345678", "84912345678", "+84 912 345 678", "0084912345678", "+840912345678", "840912345678",
        "912345678", "0084 0912345678", "+0912345678", "+84 (0) 912 345 678", "0912.345.678",
        "(091) 234-5678",
        "0912\u00a0345\u00a0678", "\ufeff0912345678", "\u202a0912345678\u202c", "'0912345678",
        "091\u2013234\u20135678", " 0912345678\r\n", "０９１２３４５６７８", "٠٩١٢٣٤٥٦٧٨",
        "tel:+84912345678", "ĐT: 0912345678", "ĐT 0084 0912345678",
        "912345678.0", "84912345678.0", "0912345678.0", "9.12345678E8", "9.12345678E+08", "8,4912345678E+10",
    ],
)  # fmt: skip
def test_every_way_to_write_a_mobile_number_is_one_number(text: str) -> None:
    read = normalise(text)
    assert (read.number, read.kind, read.converted, read.reason) == ("84912345678", "mobile", False, None)


@pytest.mark.parametrize("text", ["0841234567", "841234567", "84841234567"])
def test_a_number_that_begins_with_084_keeps_it(text: str) -> None:
    assert normalise(text).number == "84841234567"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("01234567890", "84834567890"),
        ("0169 345 6789", "84393456789"),
        ("841234567890", "84834567890"),
        ("+84 0120 111 2222", "84701112222"),
        ("0199 111 2222", "84591112222"),
    ],
)
def test_an_old_11_digit_mobile_number_is_converted(text: str, number: str) -> None:
    assert normalise(text) == Normalised(number, "mobile", converted=True)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("02838212345", "842838212345"),
        ("2838212345", "842838212345"),
        ("842838212345", "842838212345"),
        ("+84 (0)28 3821 2345", "842838212345"),
        ("02363821234", "842363821234"),
    ],
)
def test_fixed_lines_are_read(text: str, number: str) -> None:
    read = normalise(text)
    assert (read.number, read.kind) == (number, "fixed")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("19001234", "19001234"),
        ("1900545454", "1900545454"),
        ("18001090", "18001090"),
        ("1900 54 54 54", "1900545454"),
        ("+8419001234", "19001234"),
        ("019001234", "19001234"),
    ],
)
def test_a_service_number_keeps_its_form_and_is_no_target(text: str, number: str) -> None:
    read = normalise(text)
    assert (read.number, read.kind, read.reason, read.callable) == (number, "service", "service", False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("113", "short_code"),
        ("5656", "short_code"),
        ("0693123456", "unknown_prefix"),
        ("0801234567", "unknown_prefix"),
        ("0000000000", "unknown_prefix"),
        ("0231234567", "too_short"),
        ("02311234567", "unknown_prefix"),
        ("091234567", "too_short"),
        ("0912", "too_short"),
        ("1", "too_short"),
        ("09123456789", "too_long"),
        ("0912345678/0987654321", "too_long"),
        ("0912345678, 0987654321", "too_long"),
        ("0912345126;0912345127", "too_long"),
        ("0912345126 | 0912345127", "too_long"),
        ("0912345126 hoặc 0912345127", "too_long"),
        ("tel:+84912345126;tel:+84912345127", "too_long"),
        ("0912345678 ext 5", "too_long"),
        ("0912345678 ext. 12", "too_long"),
        ("0912345678x5", "too_long"),
        ("0912345678#5", "too_long"),
        ("tel:+84912345678;ext=5", "too_long"),
        ("024 7300 1234 máy lẻ 101", "not_a_number"),
        pytest.param("0" * 1_000_000, "too_long", id="a million digits"),
        pytest.param("x" * 1_000_000, "not_a_number", id="a million letters"),
        ("+14155550100", "foreign"),
        ("+1 (415) 555-0100", "foreign"),
        ("0014155550100", "foreign"),
        ("tel:+1-415-555-0100", "foreign"),
        ("", "not_a_number"),
        ("   ", "not_a_number"),
        ("+", "not_a_number"),
        ("khong co so", "not_a_number"),
        ("0912345678\x00", "not_a_number"),
        ("0912345678\ud800", "not_a_number"),
        ("091 CALL NOW", "not_a_number"),
        ("9.12E+08", "not_a_number"),
        ("9.123456785E+08", "not_a_number"),
        ("-912345117", "not_a_number"),
        ("-912345117.0", "not_a_number"),
        ("\u2212912345117", "not_a_number"),
        ("912345678.5", "not_a_number"),
        ("84912345.6", "not_a_number"),
    ],
)
def test_what_cannot_be_called_is_refused_with_its_reason(text: str, reason: str) -> None:
    assert normalise(text) == Normalised("", "rejected", reason=reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["912345678", "2838212345", "912345678.0", "1234567890"])
def test_a_lost_zero_is_counted_as_repaired(text: str) -> None:
    assert normalise(text).repaired


@pytest.mark.parametrize(
    "text", ["0912345678", "84912345678", "+84 912 345 678", "0084912345678", "02838212345"]
)
def test_a_whole_number_is_not_counted_as_repaired(text: str) -> None:
    assert not normalise(text).repaired


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (912345678, "84912345678"),
        (84912345678, "84912345678"),
        (912345678.0, "84912345678"),
        (2838212345, "842838212345"),
        (19001234, "19001234"),
    ],
)
def test_a_number_given_as_a_number_is_read(value: object, number: str) -> None:
    assert normalise_given(value).number == number


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not_a_number"),
        (True, "not_a_number"),
        ([912345678], "not_a_number"),
        ({"phone": "0912345678"}, "not_a_number"),
        (b"0912345678", "not_a_number"),
        (-912345678, "not_a_number"),
        (912345678.5, "not_a_number"),
        (float("nan"), "not_a_number"),
        (float("inf"), "not_a_number"),
        (1e300, "too_long"),
        pytest.param(10**5000, "too_long", id="5,000 digits"),
        (0, "too_short"),
    ],
)
def test_what_is_given_and_is_no_number_is_refused(value: object, reason: str) -> None:
    assert normalise_given(value) == Normalised("", "rejected", reason=reason)  # type: ignore[arg-type]


@given(CANONICAL)
def test_a_canonical_number_stays_itself_however_it_is_shown(number: str) -> None:
    for form in (number, shown(number), *(dial_form(number, fmt) for fmt in ("national", "e164", "plus"))):
        assert normalise(form).number == number


@given(st.text(alphabet=st.sampled_from("0123456789+84 .-()\u00a0abcextEe,/\uff10\x00\ud800"), max_size=24))
@example("84" * 200)
def test_reading_a_text_never_fails_and_always_answers_canonically(text: str) -> None:
    check_answer(normalise(text))


@given(
    st.one_of(
        st.text(), st.integers(), st.floats(), st.binary(), st.none(), st.lists(st.text()), st.booleans()
    )
)
def test_reading_anything_never_fails(value: object) -> None:
    check_answer(normalise_given(value))


def check_answer(read: Normalised) -> None:
    assert (read.number == "") == (read.kind == "rejected")
    assert read.callable == (read.kind in ("mobile", "fixed"))
    if read.number:
        assert normalise(shown(read.number)).number == read.number
        assert read.number.isascii()
        assert read.number.isdigit()


@given(MOBILE_NSN, st.sampled_from(["0", "84", "+84", "0084", "+840", "840"]), st.sampled_from(" .-\u00a0()"))
def test_ornaments_change_nothing(nsn: str, prefix: str, ornament: str) -> None:
    assert normalise(ornament.join(prefix + nsn)) == normalise(prefix + nsn)


@pytest.mark.parametrize(
    ("number", "national", "e164", "plus"),
    [
        ("84912345678", "0912345678", "84912345678", "+84912345678"),
        ("84841234567", "0841234567", "84841234567", "+84841234567"),
        ("19001234", "19001234", "19001234", "19001234"),
    ],
)
def test_a_carrier_gets_the_form_it_wants(number: str, national: str, e164: str, plus: str) -> None:
    assert (dial_form(number, "national"), dial_form(number, "e164"), dial_form(number, "plus")) == (
        national,
        e164,
        plus,
    )


def test_an_unknown_range_is_a_warning_and_no_refusal() -> None:
    assert is_allocated("84912345678")
    assert is_allocated("19001234")
    assert not is_allocated("84521234567")
    assert normalise("0521234567").callable


@pytest.mark.parametrize(
    ("number", "operator", "routing_group"),
    [
        ("84366255123", "viettel", "viettel"),
        ("84862345678", "viettel", "viettel"),
        ("84912345678", "vinaphone", "vinaphone"),
        ("84841234567", "vinaphone", "vinaphone"),
        ("84901234567", "mobifone", "mobifone"),
        ("84511234567", "mobifone", "mobifone"),
        ("84921234567", "vietnamobile", "vietnamobile"),
        ("84591234567", "gmobile", "gmobile"),
        ("84993234567", "gmobile", "gmobile"),
        ("84998234567", "itel", "vinaphone"),
        ("84871234567", "itel", "vinaphone"),
        ("84551234567", "wintel", "vinaphone"),
        ("842838212345", "fixed", "fixed"),
        ("842363821234", "fixed", "fixed"),
    ],
)
def test_the_shipped_prefixes_name_operator_and_routing_group(
    number: str, operator: str, routing_group: str
) -> None:
    assert PrefixTable.from_rows(default_prefixes()).network(number) == Network(operator, routing_group)


@pytest.mark.parametrize("number", ["84951234567", "19001234", ""])
def test_a_number_without_a_known_prefix_has_an_unknown_network(number: str) -> None:
    assert PrefixTable.from_rows(default_prefixes()).network(number) == UNKNOWN_NETWORK


def test_every_shipped_prefix_is_one_that_a_number_can_have() -> None:
    for row in default_prefixes():
        filler = "8" * (10 if row.prefix.startswith("2") else 9)
        assert normalise("0" + (row.prefix + filler)[: len(filler)]).callable, row.prefix
