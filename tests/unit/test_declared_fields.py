"""What a template declares of a contact's fields is checked and filled in, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.campaigns import DeclaredField, FieldType
from tongdai.domain.campaigns.declared import FieldReader, declared_faults


def read(declared: DeclaredField, **fields: Any) -> tuple[Any, str | None]:
    return FieldReader([declared]).read(fields)


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("text", "Lan", "Lan"),
        ("text", " Lan ", " Lan "),
        ("text", 204118, "204118"),
        ("text", 204118.0, "204118"),
        ("text", 1.5, "1.5"),
        ("number", 5, 5),
        ("number", 1.5, 1.5),
        ("number", "1500000", 1500000),
        ("number", " -1.50 ", -1.5),
        ("integer", 30, 30),
        ("integer", 30.0, 30),
        ("integer", "30", 30),
        ("integer", "-7", -7),
        ("boolean", True, True),
        ("boolean", "TRUE", True),
        ("boolean", " false ", False),
        ("date", "2026-12-31", "2026-12-31"),
        ("date", "31/12/2026", "31/12/2026"),
        ("date", "1/2/2028", "1/2/2028"),
        ("date", "29-02-2028", "29-02-2028"),
    ],
)
def test_a_value_is_taken_in_its_type_or_as_text_that_says_it(kind: FieldType, value: Any, kept: Any) -> None:
    fields, reason = read(DeclaredField("x", kind), x=value)
    assert reason is None
    assert (type(fields["x"]), fields["x"]) == (type(kept), kept)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", True),
        ("text", ["Lan"]),
        ("text", {"ten": "Lan"}),
        ("text", float("nan")),
        ("number", True),
        ("number", "1.500.000"),
        ("number", "1,5"),
        ("number", "5e3"),
        ("number", float("inf")),
        ("number", "٣"),
        ("number", []),
        ("integer", 30.5),
        ("integer", "30.5"),
        ("integer", "9" * 5000),
        ("integer", 1e300),
        ("boolean", 1),
        ("boolean", "1"),
        ("boolean", "yes"),
        ("date", "2026-02-29"),
        ("date", "31/11/2026"),
        ("date", "2026-1-1"),
        ("date", "12/31/2026"),
        ("date", 46000),
        ("date", "hôm nay"),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_a_value_that_could_be_misread_is_refused_with_its_name(
    kind: FieldType, value: Any, required: bool
) -> None:
    assert read(DeclaredField("tiền nợ", kind, required), **{"tiền nợ": value})[1] == "field_invalid: tiền nợ"


@pytest.mark.parametrize("kind", ["text", "number", "integer", "boolean", "date"])
@pytest.mark.parametrize("blank", [{}, {"x": None}, {"x": ""}, {"x": " \t"}])
def test_what_is_blank_is_missing_and_never_of_a_wrong_type(kind: FieldType, blank: dict[str, Any]) -> None:
    assert read(DeclaredField("x", kind, required=True), **blank) == (blank, "field_missing: x")
    assert read(DeclaredField("x", kind), **blank) == (blank, None)


def test_a_default_is_what_a_contact_has_that_brings_nothing() -> None:
    declared = DeclaredField("lần", "integer", default="3")
    assert read(declared, y=1) == ({"y": 1, "lần": 3}, None)
    assert read(declared, lần=" ") == ({"lần": 3}, None)
    assert read(declared, lần=5) == ({"lần": 5}, None)


def test_a_key_is_found_as_the_script_finds_it() -> None:
    decomposed = " te\u0302n"
    assert read(DeclaredField("tên", "integer", required=True), **{decomposed: "5"}) == (
        {decomposed: 5},
        None,
    )


def test_what_is_not_declared_and_what_needs_no_change_stay_as_they_are() -> None:
    given = {"ten": "Lan", "other": [1, {"a": None}]}
    fields, reason = FieldReader([DeclaredField("ten", required=True)]).read(given)
    assert fields is given
    assert reason is None
    changed, _ = FieldReader([DeclaredField("so", default=1)]).read(given)
    assert (changed["other"], "so" in given) == (given["other"], False)


def test_the_first_field_in_the_order_of_the_declaration_is_the_one_that_is_told() -> None:
    reader = FieldReader(
        [DeclaredField("a"), DeclaredField("b", required=True), DeclaredField("c", "integer")]
    )
    assert reader.read({"c": "x"})[1] == "field_missing: b"
    assert reader.read({"b": "y", "c": "x"})[1] == "field_invalid: c"


@given(
    kind=st.sampled_from(["text", "number", "integer", "boolean", "date"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    ),
)
def test_what_was_accepted_once_is_accepted_again_and_stays_the_same(kind: FieldType, value: Any) -> None:
    reader = FieldReader([DeclaredField("x", kind)])
    once, reason = reader.read({"x": value})
    if reason is None:
        assert reader.read(once) == (once, None)
    else:
        assert reason == "field_invalid: x"


# --------------------------------------------------------------------------- declarations


@pytest.mark.parametrize(
    ("declared", "path"),
    [
        (DeclaredField(""), "fields[0].name"),
        (DeclaredField("a|b"), "fields[0].name"),
        (DeclaredField("a{b"), "fields[0].name"),
        (DeclaredField(" a"), "fields[0].name"),
        (DeclaredField("te\u0302n"), "fields[0].name"),
        (DeclaredField("x" * 65), "fields[0].name"),
        (DeclaredField("otp_code"), "fields[0].name"),
        (DeclaredField("a", required=True, default="x"), "fields[0].default"),
        (DeclaredField("a", "integer", default="x"), "fields[0].default"),
        (DeclaredField("a", "boolean", default=1), "fields[0].default"),
        (DeclaredField("a", default="x" * 1001), "fields[0].default"),
        (DeclaredField("a", default="\x00"), "fields[0].default"),
    ],
)
def test_a_declaration_that_nothing_could_meet_is_told_by_its_path(
    declared: DeclaredField, path: str
) -> None:
    assert [one for one, _ in declared_faults([declared])] == [path]


def test_a_name_is_declared_once() -> None:
    assert [path for path, _ in declared_faults([DeclaredField("a"), DeclaredField("a")])] == [
        "fields[1].name"
    ]


def test_a_good_declaration_has_no_faults() -> None:
    declared = [
        DeclaredField("họ tên", required=True),
        DeclaredField("tiền", "number", default="1.5"),
        DeclaredField("ngày", "date", default="31/12/2026"),
        DeclaredField("vip", "boolean", default=False),
        DeclaredField("ghi_chu", default=""),
    ]
    assert list(declared_faults(declared)) == []


def test_so_many_fields_are_declared_and_no_more() -> None:
    many = [DeclaredField(f"f{n}") for n in range(101)]
    assert list(declared_faults(many[:100])) == []
    assert [path for path, _ in declared_faults(many)] == ["fields"]
