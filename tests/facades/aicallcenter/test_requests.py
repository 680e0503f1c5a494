"""What is read from a request, form by form; no database is needed for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.campaigns import NewContact
from tongdai.facades.aicallcenter.requests import (
    ImportBody,
    parse_import,
    read_campaign_id,
    read_results_query,
    read_token,
)


def scope_of(query: str | bytes = b"", headers: dict[str, str] | None = None, **path: str) -> Any:
    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    query = query if isinstance(query, bytes) else query.encode()
    return {"type": "http", "query_string": query, "headers": raw, "path_params": path}


def body_of(contacts: object, **more: object) -> bytes:
    return json.dumps({"contacts": contacts, **more}).encode()


# ---------------------------------------------------------------- contacts


def test_a_contact_keeps_its_number_as_received_and_its_fields_with_their_types() -> None:
    body = parse_import(
        body_of(
            [{"phone_number": " 090-123 4567", "ho_ten": "Lê Ý", "no": 5, "x": None, "y": [1.5, {"z": True}]}]
        )
    )
    fields = {"ho_ten": "Lê Ý", "no": 5, "x": None, "y": [1.5, {"z": True}]}
    assert body == ImportBody(None, [NewContact(" 090-123 4567", fields)], 1)


def test_a_number_that_came_as_a_number_is_a_string() -> None:
    assert parse_import(body_of([{"phone_number": 901234567}])).contacts == [NewContact("901234567", {})]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("004217", "004217"),
        (4217, "004217"),
        (999999, "999999"),
        (0, "000000"),
        (-1, "-00001"),
        ("", ""),
        (None, None),
        (True, None),
        (4217.0, None),
        (["1"], None),
    ],
)
def test_a_code_that_came_as_a_number_gets_its_zeros_back(code: object, text: str | None) -> None:
    body = parse_import(body_of([{"phone_number": "0901234567", "otp_code": code}]))
    assert body.contacts == [NewContact("0901234567", {}, text)]


UNUSABLE_NUMBERS: tuple[object, ...] = (None, True, 1.5, [], {})


@pytest.mark.parametrize(
    "element",
    [
        *(None, 1, "0901234567", [], ["0901234567"], {}, {"phone": "0901234567"}),
        *({"phone_number": value} for value in UNUSABLE_NUMBERS),
    ],
)
def test_an_element_that_cannot_be_used_is_skipped_and_counted(element: object) -> None:
    good = {"phone_number": "0901234568"}
    assert parse_import(body_of([element, good])) == ImportBody(None, [NewContact("0901234568", {})], 2)


@pytest.mark.parametrize("contacts", [None, {}, {"phone_number": "0901234567"}, "[]", "", 1, True, 1.5])
def test_contacts_of_the_wrong_shape_are_no_contacts(contacts: object) -> None:
    assert parse_import(body_of(contacts, access_token="t")) == ImportBody("t", None, 0)


def test_no_contacts_is_an_empty_list() -> None:
    assert parse_import(body_of([])) == ImportBody(None, [], 0)


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("wrap", [b"\xef\xbb\xbf%b", b" \r\n\t%b \n", b"%b\r\n\r\n"])
def test_marks_and_spaces_around_json_do_not_matter(wrap: bytes) -> None:
    body = wrap % body_of([{"phone_number": "0901234567"}], access_token="t")
    assert parse_import(body) == ImportBody("t", [NewContact("0901234567", {})], 1)


def test_the_last_of_two_equal_keys_counts() -> None:
    assert parse_import(
        b'{"contacts":null,"access_token":"a","access_token":"t","contacts":[]}'
    ) == ImportBody("t", [], 0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"contacts":[',
        b'{"contacts":[]} trailing',
        b'{"contacts":[{"phone_number":"\\ud800"}]}',
        b'{"contacts":[{"phone_number":"0901234567","a":1e999}]}',
        b'{"contacts":[{"phone_number":"0901234567","a":NaN}]}',
        b'{"contacts":[{"phone_number":' + b"9" * 5000 + b"}]}",
        b'{"contacts":[{"phone_number":"\xff"}]}',
        b'{"contacts":' + b"[" * 100_000,
        b'{"contacts":' * 100_000,
        b"\xff\xfe{\x00",
        b"contacts=[",
        b"contacts=%ff",
        b"contacts=" + b"[" * 100_000,
        b"&".join([b"a=b"] * 200_001),
        b"--x\r\nContent-Disposition: form-data; name=contacts\r\n\r\n[]",
        b"--",
        b"--\n",
    ],
)
def test_a_body_that_cannot_be_read_has_no_contacts(body: bytes) -> None:
    assert parse_import(body) == ImportBody(None, None, 0, hides_token=False)


def test_a_body_that_cannot_be_read_says_whether_it_seems_to_hold_a_token() -> None:
    assert parse_import(b'{"access_token":"t","contacts":[').hides_token


@pytest.mark.parametrize("body", [b"", b" ", b"null", b"[]", b"[1]", b'"x"', b"12", b"a=b", b"contacts="])
def test_a_body_without_contacts_has_none(body: bytes) -> None:
    assert parse_import(body).contacts is None


@pytest.mark.parametrize("token", [None, 5, ["t"], {"t": 1}])
def test_a_token_that_is_no_text_is_none(token: object) -> None:
    assert parse_import(body_of([], access_token=token)) == ImportBody(None, [], 0)


# ---------------------------------------------------------------- forms


def test_a_form_as_php_builds_it_is_read() -> None:
    form = urlencode(
        {
            "access_token": "t",
            "campaign_id": "7",
            "contacts[0][phone_number]": "+84901234567",
            "contacts[0][ho_ten]": "Nguyễn Văn A",
            "contacts[1][phone_number]": "0901234568",
            "contacts[1][otp_code]": "004217",
            "contacts[2][ho_ten]": "no number",
            "contacts[3]": "no object",
        }
    )
    expected = [
        NewContact("+84901234567", {"ho_ten": "Nguyễn Văn A"}),
        NewContact("0901234568", {}, "004217"),
    ]
    assert parse_import(form.encode()) == ImportBody("t", expected, 4)


def test_a_form_need_not_escape_its_brackets_and_letters() -> None:
    form = "contacts[a][phone_number]=0901234567&contacts[a][ho_ten]=Lê+Ý&contacts[][phone_number]=0901234568"
    assert parse_import(form.encode()).contacts == [
        NewContact("0901234567", {"ho_ten": "Lê Ý"}),
        NewContact("0901234568", {}),
    ]


def test_an_empty_index_is_a_new_element_each_time() -> None:
    form = "contacts[][phone_number]=0901234567&contacts[][phone_number]=0901234568"
    assert parse_import(form.encode()).received == 2


def test_a_form_may_hold_contacts_as_json() -> None:
    form = "access_token=t&contacts=" + quote('[{"phone_number":"0901234567","a":1}]')
    assert parse_import(form.encode()) == ImportBody("t", [NewContact("0901234567", {"a": 1})], 1)


@pytest.mark.parametrize("text", ["null", "{}", '"[]"', "5"])
def test_contacts_as_json_need_the_same_shape(text: str) -> None:
    assert parse_import(b"access_token=t&contacts=" + quote(text).encode()) == ImportBody("t", None, 0)


def test_a_multipart_body_is_read() -> None:
    parts = {
        "access_token": "t",
        "contacts[0][phone_number]": "0901234567",
        "contacts[0][ho_ten]": "Nguyễn Văn A",
    }
    assert parse_import(multipart_of(parts)) == ImportBody(
        "t", [NewContact("0901234567", {"ho_ten": "Nguyễn Văn A"})], 1
    )


def test_a_multipart_body_may_hold_contacts_as_json() -> None:
    parts = {"contacts": '[{"phone_number":"0901234567"}]'}
    assert parse_import(multipart_of(parts)) == ImportBody(None, [NewContact("0901234567", {})], 1)


def multipart_of(parts: dict[str, str]) -> bytes:
    text = "".join(
        f'--XyZ\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parts.items()
    )
    return (text + "--XyZ--\r\n").encode()


@given(body=st.binary(max_size=300))
def test_no_bytes_at_all_raise(body: bytes) -> None:
    parse_import(body)
    parse_import(b'{"contacts":' + body)
    parse_import(b"contacts=" + body)
    parse_import(b"--x\r\n" + body)


# ---------------------------------------------------------------- path, query and headers


@pytest.mark.parametrize(
    ("text", "campaign_id"),
    [
        *(("7", 7), ("007", 7), ("9223372036854775807", 2**63 - 1)),
        *((text, None) for text in ("9223372036854775808", "9" * 20, "9" * 5000, "-1", "+1", "1.0", "1e3")),
        *(
            (text, None)
            for text in (
                "",
                "abc",
                "1_0",
                "٣",
                "\x00",
                "7\x00",
                "0x7",
                "7;",
                "1 2",
                "7 ",
                "7\n",
                "9\x1f",
                "\udcff",
            )
        ),
    ],
)
def test_only_plain_digits_are_a_campaigns_id(text: str, campaign_id: int | None) -> None:
    assert read_campaign_id(scope_of(campaign_id=text)) == campaign_id


@pytest.mark.parametrize(
    ("query", "headers", "token"),
    [
        ("access_token=a", {}, "a"),
        ("access_token=a", {"authorization": "Bearer b"}, "a"),
        ("access_token=", {"authorization": "Bearer b"}, "b"),
        ("access_token=a&access_token=b", {}, "a"),
        ("", {"authorization": "bearer  b "}, "b"),
        ("", {"authorization": "Basic b"}, None),
        ("", {"authorization": "b"}, None),
        ("access_token[]=a", {}, None),
        ("x=access_token", {}, None),
        ("&".join(["a=b"] * 1000 + ["access_token=a"]), {}, None),
        ("", {}, None),
    ],
)
def test_a_token_is_taken_from_the_query_then_from_the_header(
    query: str, headers: dict[str, str], token: str | None
) -> None:
    assert read_token(scope_of(query, headers)) == token


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1580981004000", datetime(2020, 2, 6, 9, 23, 24, tzinfo=UTC)),
        ("1580981004123", datetime(2020, 2, 6, 9, 23, 24, 123000, tzinfo=UTC)),
        ("1580981004", datetime(2020, 2, 6, 9, 23, 24, tzinfo=UTC)),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("158098100", datetime(1970, 1, 2, 19, 54, 58, 100000, tzinfo=UTC)),
        *((text, None) for text in ("", "-1", "1.5", "abc", "2020-02-06", "NaN", "1e12", "9" * 30, "\x00")),
    ],
)
def test_times_are_milliseconds_or_ten_digits_of_seconds(text: str, moment: datetime | None) -> None:
    query = read_results_query(scope_of(urlencode({"start_time": text, "end_time": text})), 10_000)
    assert (query.start, query.end) == (moment, moment)


def test_a_time_beyond_all_calendars_is_a_time_far_away() -> None:
    query = read_results_query(scope_of("end_time=9223372036854775807"), 10_000)
    assert query.end is not None
    assert query.end.year > 2900


@pytest.mark.parametrize(
    ("query", "limit", "offset"),
    [
        ("", 10, 0),
        ("limit=25&offset=50", 25, 50),
        ("limit=10000", 10_000, 0),
        ("limit=10001", 10_000, 0),
        ("limit=9223372036854775807&offset=9223372036854775807", 10_000, 2**63 - 1),
        ("limit=9223372036854775808&offset=9223372036854775808", 10_000, 2**63 - 1),
        (f"limit={'9' * 5000}&offset={'9' * 5000}", 10_000, 2**63 - 1),
        (f"limit={'0' * 5000}7&offset={'0' * 5000}7", 7, 7),
        ("limit=000&offset=000", 10, 0),
        ("limit=0&offset=0", 10, 0),
        ("limit=-5&offset=-5", 10, 0),
        ("limit=abc&offset=abc", 10, 0),
        ("limit=&offset=", 10, 0),
        ("limit=1.5&offset=1.5", 10, 0),
        ("limit[]=5&offset[]=5", 10, 0),
        ("limit=7&limit=8", 7, 0),
    ],
)
def test_limits_are_clamped_and_what_is_no_number_is_the_default(query: str, limit: int, offset: int) -> None:
    page = read_results_query(scope_of(query), 10_000)
    assert (page.limit, page.offset) == (limit, offset)


@given(query=st.binary(max_size=200), header=st.binary(max_size=50))
def test_no_query_and_no_header_raise(query: bytes, header: bytes) -> None:
    scope: Any = {**scope_of(query), "headers": [(b"authorization", b"Bearer " + header)]}
    read_token(scope)
    read_results_query(scope, 10_000)
