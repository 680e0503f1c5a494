"""What customers' servers are posted: each vendor's fields in order, with the types that they declare."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests import zalo_events
from tests.call_events import ANSWERED, CALLED_AT, INCOMING, MISSED, REFUSED

from tongdai.api import webhook_bodies
from tongdai.domain.calls import Outcome
from tongdai.domain.inbound import Disposition, Kind
from tongdai.domain.webhooks import FORMATS, OF_ZALO, CallEvent, Endpoint, IncomingEvent, ZaloEvent
from tongdai.domain.webhooks.sample import sample_event
from tongdai.domain.webhooks.store.deliveries import decode_event, encode_event
from tongdai.facades.aicallcenter import callbacks as aicallcenter
from tongdai.facades.vbot import callbacks as vbot

# The table of the design, whole: outcome, VBot's status and disposition, AICallCenter's state and note.
TOLD = [
    ("answered", 200, "ANSWER", 40, "NORMAL CLEARING"),
    ("voicemail", 200, "ANSWER", 40, "VOICEMAIL_DETECTION"),
    ("no_answer", 2, "NOANSWER", 50, "NO ANSWER"),
    ("busy", 3, "BUSY", 50, "USER BUSY"),
    ("rejected", 3, "BUSY", 50, "CALL REJECTED"),
    ("cancelled", 4, "CANCEL", 50, "ORIGINATOR CANCEL"),
    ("unreachable", 2, "NOANSWER", 50, "SUBSCRIBER ABSENT"),
    ("invalid_number", 101, "INVALIDARGS", 50, "UNALLOCATED NUMBER"),
    ("no_hotline", 102, "CHANUNAVAIL", 50, "NO HOTLINE"),
    ("no_funds", 103, "DONTCALL", 50, "OUT OF FUNDS"),
    ("congestion", 104, "CONGESTION", 50, "NETWORK CONGESTION"),
    ("plan_expired", 105, "DONTCALL", 50, "PLAN EXPIRED"),
    ("network_unsupported", 106, "CHANUNAVAIL", 50, "NETWORK NOT SUPPORTED"),
    ("blocked", 104, "DONTCALL", 50, "BLOCKED DNC ACCOUNT"),
    ("expired", 104, "DONTCALL", 50, "OTP EXPIRED"),
    ("failed", 100, "MORE", 50, "SYSTEM ERROR"),
    ("lost", -100, "MORE", 50, "UNKNOWN"),
]
every_outcome = pytest.mark.parametrize(("outcome", "status", "disposition", "state", "note"), TOLD)


def read(body: bytes) -> Any:
    """Amounts as they are written, so that a text and a number, and their digits, can be told apart."""
    return json.loads(body, parse_float=Decimal)


def types_of(value: dict[str, Any]) -> dict[str, str]:
    return {name: type(inner).__name__ for name, inner in value.items()}


# ---------------------------------------------------------------- all formats


def test_the_table_has_every_outcome() -> None:
    assert [row[0] for row in TOLD] == [outcome.value for outcome in Outcome]


@every_outcome
def test_every_outcome_is_told_in_each_vendors_words(
    outcome: str, status: int, disposition: str, state: int, note: str
) -> None:
    event = replace(REFUSED, outcome=outcome, note="dnc_account" if outcome == "blocked" else None)

    auto_call = read(vbot.render_auto_call(event, {}))
    history = read(vbot.render_call_history(event, {}))
    aicc = read(aicallcenter.render(event, {}))
    ours = read(webhook_bodies.render(event, {}))

    assert auto_call["status"] == status
    assert history["data"][0]["disposition"] == disposition
    assert history["data"][0]["callee"][0]["disposition"] == disposition
    assert (aicc["data"]["state"], aicc["data"]["note"]) == (state, note)
    assert ours["data"]["outcome"] == outcome


def test_an_outcome_that_came_later_is_told_as_an_error_of_the_system() -> None:
    event = replace(REFUSED, outcome="kidnapped", note=None)

    assert read(vbot.render_auto_call(event, {}))["status"] == 100
    assert read(vbot.render_call_history(event, {}))["data"][0]["disposition"] == "MORE"
    assert read(aicallcenter.render(event, {}))["data"]["note"] == "SYSTEM ERROR"


@pytest.mark.parametrize(
    "render",
    [vbot.render_auto_call, vbot.render_call_history, aicallcenter.render, webhook_bodies.render],
)
@pytest.mark.parametrize("event", [ANSWERED, REFUSED], ids=["attempt", "refusal"])
def test_the_same_event_is_the_same_bytes_each_time_and_json_in_utf8(render: Any, event: CallEvent) -> None:
    body = render(event, {})

    assert body == render(event, {})
    assert isinstance(json.loads(body.decode("utf-8")), dict)


# ---------------------------------------------------------------- VBot, auto-call history


def test_the_auto_call_body_is_the_vendors_twelve_fields_with_its_types() -> None:
    body = read(vbot.render_auto_call(ANSWERED, {}))

    assert list(body.items()) == [
        ("campaign_id", 2932),
        ("create_at", "12/25/2026 02:05:09"),
        ("hotline", "02473001234"),
        ("phone", "0912345007"),
        ("name", "Nguyễn Văn An"),
        ("description", "đơn 17"),
        ("status", 200),
        ("time_call", 65),
        ("postage", Decimal("990.00")),
        ("service_charge", Decimal("110.00")),
        ("action_log", "1 (29), 2 (35)"),
        ("event_data", "CAMPAIGN_CALL"),
    ]
    assert types_of(body) == {
        "campaign_id": "int",
        "create_at": "str",
        "hotline": "str",
        "phone": "str",
        "name": "str",
        "description": "str",
        "status": "int",
        "time_call": "int",
        "postage": "Decimal",
        "service_charge": "Decimal",
        "action_log": "str",
        "event_data": "str",
    }


def test_a_refusal_has_the_same_fields_and_empty_texts_instead_of_nulls() -> None:
    body = read(vbot.render_auto_call(replace(REFUSED, fields={}), {}))

    assert body == {
        "campaign_id": 2932,
        "create_at": "12/25/2026 02:05:09",
        "hotline": "",
        "phone": "0912345007",
        "name": "",
        "description": "",
        "status": 104,
        "time_call": 0,
        "postage": 0,
        "service_charge": 0,
        "action_log": "",
        "event_data": "CAMPAIGN_CALL",
    }


def test_a_contact_that_is_no_number_is_named_by_what_was_given() -> None:
    event = replace(REFUSED, outcome="invalid_number", note="too_short", number="", number_given="0912")

    body = read(vbot.render_auto_call(event, {}))

    assert (body["phone"], body["status"]) == ("0912", 101)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (17, "17"),
        (1.5, "1.5"),
        (True, "true"),
        ("", ""),
        ('Văn "Tèo"', 'Văn "Tèo"'),
        (["a"], '["a"]'),
    ],
)
def test_a_name_is_a_text_whatever_was_imported(value: object, text: str) -> None:
    event = replace(ANSWERED, fields={"name": value, "description": value})

    body = read(vbot.render_auto_call(event, {}))

    assert (body["name"], body["description"]) == (text, text)


@pytest.mark.parametrize(
    ("options", "date"),
    [
        ({}, "12/25/2026 02:05:09"),
        ({"date_format": "MM/dd/yyyy"}, "12/25/2026 02:05:09"),
        ({"date_format": "dd/MM/yyyy"}, "25/12/2026 02:05:09"),
        # What an earlier version may have stored never keeps an event from being told.
        ({"date_format": "yyyy"}, "12/25/2026 02:05:09"),
        ({"date_format": None}, "12/25/2026 02:05:09"),
    ],
)
def test_dates_are_vietnams_with_the_month_first_unless_the_endpoint_says_otherwise(
    options: dict[str, Any], date: str
) -> None:
    history = read(vbot.render_call_history(ANSWERED, options))["data"][0]

    assert read(vbot.render_auto_call(ANSWERED, options))["create_at"] == date
    dates = history["date_create"], history["caller"][0]["date_create"], history["callee"][0]["date_create"]
    assert dates == (date, date, date)


@pytest.mark.parametrize("amount", ["0", "0.00", "1100", "990.00", "1234567890123456.78", "1E+3", "0.01"])
def test_amounts_are_json_numbers_to_the_last_digit(amount: str) -> None:
    event = replace(ANSWERED, postage=Decimal(amount), service_charge=Decimal(amount))

    auto_call = json.loads(vbot.render_auto_call(event, {}), parse_float=Decimal, parse_int=Decimal)
    history = json.loads(vbot.render_call_history(event, {}), parse_float=Decimal, parse_int=Decimal)
    ours = json.loads(webhook_bodies.render(event, {}), parse_float=Decimal, parse_int=Decimal)

    assert auto_call["postage"] == auto_call["service_charge"] == Decimal(amount)
    assert history["data"][0]["callee"][0]["postage"] == Decimal(amount)
    assert ours["data"]["postage"] == ours["data"]["service_charge"] == Decimal(amount)


# ---------------------------------------------------------------- VBot, call history


def test_the_call_history_nests_as_the_vendors_own_history_call() -> None:
    body = read(vbot.render_call_history(ANSWERED, {}))

    party = {
        "vbot_id": "",
        "date_create": "12/25/2026 02:05:09",
        "time_call": "00:01:05",
        "postage": Decimal("990.00"),
        "member_no": "",
    }
    assert body == {
        "status": 1,
        "error": 0,
        "message": "success",
        "event_data": "HISTORY_CALL",
        "data": [
            {
                "hotline_number": "02473001234",
                "date_create": "12/25/2026 02:05:09",
                "time_call": "00:01:05",
                "type_call": "CALLOUT",
                "caller": [party | {"phone": "02473001234", "disposition": "", "source": "Campaign"}],
                "callee": [party | {"phone": "0912345007", "disposition": "ANSWER", "source": "Phone"}],
                "postage": "990.00",
                "source": "Campaign",
                "disposition": "ANSWER",
                "record_file": ["https://tongdai.example/recordings/1.wav"],
            }
        ],
    }


def test_the_fields_of_the_call_history_come_in_the_vendors_order() -> None:
    body = read(vbot.render_call_history(ANSWERED, {}))
    call = body["data"][0]

    assert list(body) == ["status", "error", "message", "event_data", "data"]
    assert list(call) == [
        "hotline_number",
        "date_create",
        "time_call",
        "type_call",
        "caller",
        "callee",
        "postage",
        "source",
        "disposition",
        "record_file",
    ]
    for party in (call["caller"][0], call["callee"][0]):
        assert list(party) == [
            "phone",
            "vbot_id",
            "date_create",
            "disposition",
            "time_call",
            "postage",
            "source",
            "member_no",
        ]


def test_lists_of_the_call_history_are_lists_without_a_recording_too() -> None:
    call = read(vbot.render_call_history(REFUSED, {}))["data"][0]

    assert call["record_file"] == []
    assert (len(call["caller"]), len(call["callee"])) == (1, 1)
    assert call["hotline_number"] == call["caller"][0]["phone"] == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00:00"), (59, "00:00:59"), (3_600, "01:00:00"), (360_061, "100:01:01")]
)
def test_the_call_historys_duration_is_a_text_of_hours_minutes_seconds(seconds: int, text: str) -> None:
    call = read(vbot.render_call_history(replace(ANSWERED, duration_s=seconds), {}))["data"][0]

    assert (call["time_call"], call["callee"][0]["time_call"]) == (text, text)


def test_a_call_that_came_in_lists_its_caller_and_every_phone_that_it_rang() -> None:
    body = read(vbot.render_call_history(INCOMING, {}))

    party = {
        "vbot_id": "",
        "date_create": "12/25/2026 02:25:09",
        "postage": 0,
        "source": "Phone",
        "member_no": "",
    }
    late = {"phone": "0987654321", "disposition": "SOMEONEANSWERED", "time_call": "00:00:00"}
    first = {"phone": "0987654322", "disposition": "ANSWER", "time_call": "00:00:48"}
    assert body == {
        "status": 1,
        "error": 0,
        "message": "success",
        "event_data": "HISTORY_CALL",
        "data": [
            {
                "hotline_number": "02473001234",
                "date_create": "12/25/2026 02:25:09",
                "time_call": "00:01:05",
                "type_call": "CALLIN",
                "caller": [party | {"phone": "0912345007", "disposition": "", "time_call": "00:01:05"}],
                "callee": [party | late, party | first],
                "postage": "0",
                "source": "Phone",
                "disposition": "ANSWER",
                "record_file": ["https://tongdai.example/recordings/2.wav"],
            }
        ],
    }


def test_a_missed_call_names_the_hotline_as_callee_and_says_what_the_carrier_said_of_the_caller() -> None:
    call = read(vbot.render_call_history(MISSED, {}))["data"][0]

    party = {"vbot_id": "", "date_create": "12/25/2026 02:25:09", "postage": 0, "member_no": ""}
    nobody = {"phone": "anonymous", "disposition": "", "time_call": "00:00:00", "source": "Phone"}
    hotline = {"phone": "02473001234", "disposition": "CANCEL", "time_call": "00:00:00", "source": "Hotline"}
    assert call == {
        "hotline_number": "02473001234",
        "date_create": "12/25/2026 02:25:09",
        "time_call": "00:00:00",
        "type_call": "MISSCALL",
        "caller": [party | nobody],
        "callee": [party | hotline],
        "postage": "0",
        "source": "Phone",
        "disposition": "CANCEL",
        "record_file": [],
    }


@pytest.mark.parametrize("event", [INCOMING, MISSED], ids=["answered", "missed"])
def test_a_call_that_came_in_has_the_fields_of_one_that_was_dialled_in_their_order(
    event: IncomingEvent,
) -> None:
    dialled = read(vbot.render_call_history(ANSWERED, {}))
    came_in = read(vbot.render_call_history(event, {}))

    assert list(came_in) == list(dialled)
    assert types_of(came_in["data"][0]) == types_of(dialled["data"][0])
    assert list(came_in["data"][0]) == list(dialled["data"][0])
    for party in (*came_in["data"][0]["caller"], *came_in["data"][0]["callee"]):
        assert list(party) == list(dialled["data"][0]["caller"][0])


def test_a_call_that_came_in_says_only_words_that_the_vendor_has() -> None:
    words = "MORE MISSCALL ANSWER BUSY NOANSWER CANCEL SOMEONEANSWERED LOGOUT INCALL CONGESTION CHANUNAVAIL"
    others = "DONTCALL TORTURE INVALIDARGS NORMAL_CLEARING"

    assert {word.value for word in Disposition} <= set(f"{words} {others}".split())
    assert {kind.value for kind in Kind} < {"CALLIN", "CALLOUT", "MISSCALL"}


def test_our_own_body_of_a_call_that_came_in_is_complete() -> None:
    body = read(webhook_bodies.render(INCOMING, {}))

    assert list(body) == ["version", "type", "timestamp", "sequence", "data"]
    assert (body["type"], body["timestamp"], body["sequence"]) == (
        "incoming_call.ended",
        "2026-12-25T02:26:15+07:00",
        0,
    )
    assert set(body["data"]) == (set(IncomingEvent.__struct_fields__) - {"type", "key_presses"}) | {
        "key_press"
    }
    assert body["data"]["transfers"] == [
        {"target": "0987654321", "disposition": "SOMEONEANSWERED", "seconds": 0},
        {"target": "0987654322", "disposition": "ANSWER", "seconds": 48},
    ]


def test_an_event_of_a_call_that_came_in_is_read_back_as_it_was_kept() -> None:
    assert decode_event(INCOMING.type, encode_event(INCOMING)) == INCOMING


def test_a_test_event_is_a_call_that_came_in_where_an_endpoint_is_told_of_no_others() -> None:
    event = sample_event(_endpoint("incoming_call.ended"), CALLED_AT)

    assert isinstance(event, IncomingEvent)
    assert read(vbot.render_call_history(event, {}))["data"][0]["type_call"] == "CALLIN"


# ---------------------------------------------------------------- AICallCenter


def test_aicallcenters_body_is_what_its_receivers_read() -> None:
    body = read(aicallcenter.render(ANSWERED, {}))

    assert list(body) == ["data", "import_data"]
    assert list(body["data"].items()) == [
        ("call_id", 555_001),
        ("campaign_id", 2932),
        ("caller_id", "02473001234"),
        ("callee_id", "0912 345 007"),
        ("called_at", "2026-12-25 02:05:09"),
        ("duration", 65),
        ("state", 40),
        ("key_press", "1 (29), 2 (35)"),
        ("note", "NORMAL CLEARING"),
        ("end_code", "completed"),
        ("record_audio", "https://tongdai.example/recordings/1.wav"),
    ]
    assert body["import_data"] == {
        "phone_number": "0912 345 007",
        "name": "Nguyễn Văn An",
        "description": "đơn 17",
        "so_tien": 120_000,
    }


def test_a_refused_call_has_texts_where_receivers_look_for_them() -> None:
    data = read(aicallcenter.render(REFUSED, {}))["data"]

    assert (data["caller_id"], data["key_press"], data["end_code"], data["record_audio"]) == ("", "", "", "")
    assert (data["duration"], data["state"]) == (0, 50)


@pytest.mark.parametrize(
    ("outcome", "end_code", "told"),
    [
        ("busy", None, "BUSY"),
        ("voicemail", None, "VOICEMAIL"),
        ("no_answer", None, ""),
        ("answered", "DONG_Y", "DONG_Y"),
        ("voicemail", "message_left", "message_left"),
    ],
)
def test_the_end_code_is_the_scripts_or_the_word_that_receivers_know(
    outcome: str, end_code: str | None, told: str
) -> None:
    event = replace(ANSWERED, outcome=outcome, end_code=end_code)

    assert read(aicallcenter.render(event, {}))["data"]["end_code"] == told


def test_imported_values_keep_their_json_types() -> None:
    fields = {"tuoi": 35, "no": 1.5, "vip": True, "ghi_chu": None, "don": ["A1", 2], "so": "007"}

    imported = read(aicallcenter.render(replace(ANSWERED, fields=fields), {}))["import_data"]

    assert imported == {"phone_number": "0912 345 007"} | fields | {"no": Decimal("1.5")}
    assert imported["vip"] is True


def test_a_code_is_masked_and_never_sent() -> None:
    of_an_otp = replace(ANSWERED, purpose="otp", fields={})
    smuggled = replace(ANSWERED, fields={"otp_code": "004217"})

    assert read(aicallcenter.render(of_an_otp, {}))["import_data"] == {
        "phone_number": "0912 345 007",
        "otp_code": "******",
    }
    assert b"004217" not in aicallcenter.render(smuggled, {})


def test_the_number_in_import_data_is_the_one_that_was_called() -> None:
    event = replace(ANSWERED, fields={"phone_number": "0999999999"})

    assert read(aicallcenter.render(event, {}))["import_data"] == {"phone_number": "0912 345 007"}


# ---------------------------------------------------------------- our own


def test_our_own_body_is_complete_versioned_and_numbered() -> None:
    body = read(webhook_bodies.render(ANSWERED, {}))

    assert body == {
        "version": 1,
        "type": "attempt.ended",
        "timestamp": "2026-12-25T02:06:20+07:00",
        "sequence": 2,
        "data": {
            "account_id": 7,
            "campaign_id": 2932,
            "campaign_name": "Nhắc giao hàng",
            "project_code": "PR20230307144",
            "template_id": 12,
            "purpose": "customer_care",
            "call_id": 555_001,
            "user_id": 3,
            "attempt_id": 901,
            "attempt": 2,
            "final": True,
            "next_attempt_at": None,
            "outcome": "answered",
            "note": None,
            "number": "0912345007",
            "number_given": "0912 345 007",
            "person_ref": "KH-1",
            "fields": {"name": "Nguyễn Văn An", "description": "đơn 17", "so_tien": 120_000},
            "caller": "02473001234",
            "network": "vinaphone",
            "called_at": "2026-12-25T02:05:09+07:00",
            "ended_at": "2026-12-25T02:06:20+07:00",
            "ring_s": Decimal("4.5"),
            "duration_s": 65,
            "key_press": "1 (29), 2 (35)",
            "end_code": "completed",
            "record_files": ["https://tongdai.example/recordings/1.wav"],
            "recording_ids": [1],
            "billable_s": 66,
            "postage": Decimal("990.00"),
            "service_charge": Decimal("110.00"),
        },
    }
    assert list(body) == ["version", "type", "timestamp", "sequence", "data"]
    assert list(body["data"]) == list(webhook_bodies.CallData.__struct_fields__)


def test_our_own_body_leaves_nothing_of_the_event_out() -> None:
    renamed = {"hotline": "caller", "key_presses": "key_press"}
    told = {renamed.get(name, name) for name in CallEvent.__struct_fields__} - {"type", "seq"}

    assert told == set(webhook_bodies.CallData.__struct_fields__)


def test_our_own_body_says_when_it_is_tried_again() -> None:
    event = replace(ANSWERED, outcome="busy", final=False, next_attempt_at=CALLED_AT + timedelta(minutes=5))

    data = read(webhook_bodies.render(event, {}))["data"]

    assert (data["final"], data["next_attempt_at"]) == (False, "2026-12-25T02:10:09+07:00")


def test_our_own_body_of_a_refusal_has_nulls_for_what_never_was() -> None:
    data = read(webhook_bodies.render(REFUSED, {}))["data"]

    absent = {name for name, value in data.items() if value is None}
    assert absent == {
        "attempt_id",
        "next_attempt_at",
        "person_ref",
        "caller",
        "network",
        "ring_s",
        "end_code",
    }
    assert (data["attempt"], data["outcome"], data["note"]) == (0, "blocked", "dnc_account")


# ---------------------------------------------------------------- our own, about Zalo

OF_EACH = [zalo_events.OF_OA, zalo_events.OF_JOURNEY, zalo_events.OF_MESSAGE, zalo_events.OF_TEMPLATE]
each_thing = pytest.mark.parametrize("event", OF_EACH, ids=lambda event: event.type)


@each_thing
def test_ids_are_texts_and_times_vietnams_and_nothing_has_an_order(event: ZaloEvent) -> None:
    body = read(webhook_bodies.render(event, {}))

    assert (body["version"], body["type"], body["sequence"]) == (1, event.type, 0)
    assert body["timestamp"] == "2026-12-25T02:06:20+07:00"
    assert body["data"]["account_id"] == 7
    for name, value in body["data"].items():
        if name.endswith("id") and name != "account_id":
            assert value is None or isinstance(value, str), name
        if name.endswith("_at"):
            assert value is None or value.endswith("+07:00"), name


@each_thing
def test_neither_a_token_nor_what_was_filled_in_is_sent(event: ZaloEvent) -> None:
    body = webhook_bodies.render(event, {}).decode()

    assert "a-token-of-zalos" not in body
    assert "Nguyễn Văn An" not in body


def test_what_zalo_said_is_passed_on_to_the_last_byte() -> None:
    assert webhook_bodies.render_zalo(zalo_events.RECEIVED, {}) == zalo_events.RAW.encode()


@pytest.mark.parametrize("type_", sorted(OF_ZALO & FORMATS["tongdai"]))
def test_a_test_event_has_the_fields_and_types_of_a_real_one(type_: str) -> None:
    event = sample_event(_endpoint(type_), CALLED_AT)
    real = next(one for one in OF_EACH if one.type.split(".")[1] == type_.split(".")[1])

    body = read(webhook_bodies.render(decode_event(type_, encode_event(event)), {}))

    shown = read(webhook_bodies.render(real, {}))["data"]
    assert body["type"] == type_
    assert list(body["data"]) == list(shown)
    assert set(event.data) == set(real.data) if isinstance(event, ZaloEvent) else False


def _endpoint(*events: str) -> Endpoint:
    nothing: dict[str, Any] = dict.fromkeys(Endpoint.__dataclass_fields__)
    return Endpoint(**nothing | {"account_id": 7, "events": list(events)})
