"""Events as they are published: an attempt that a person answered, a refusal, and calls that came in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from tongdai.domain.webhooks import CallEvent, IncomingEvent, RungPhone

CALLED_AT = datetime(2026, 12, 24, 19, 5, 9, tzinfo=UTC)
"""On the 25th in Vietnam, at 02:05:09."""

ANSWERED = CallEvent(
    type="attempt.ended",
    account_id=7,
    campaign_id=2932,
    campaign_name="Nhắc giao hàng",
    project_code="PR20230307144",
    template_id=12,
    purpose="customer_care",
    call_id=555_001,
    user_id=3,
    seq=2,
    attempt_id=901,
    attempt=2,
    final=True,
    outcome="answered",
    note=None,
    number="84912345007",
    number_given="0912 345 007",
    fields={"name": "Nguyễn Văn An", "description": "đơn 17", "so_tien": 120_000},
    hotline="842473001234",
    network="vinaphone",
    called_at=CALLED_AT,
    ended_at=CALLED_AT + timedelta(seconds=71),
    ring_s=4.5,
    duration_s=65,
    key_presses="1 (29), 2 (35)",
    end_code="completed",
    record_files=["https://tongdai.example/recordings/1.wav"],
    recording_ids=[1],
    billable_s=66,
    postage=Decimal("990.00"),
    service_charge=Decimal("110.00"),
    next_attempt_at=None,
    person_ref="KH-1",
)
REFUSED = replace(
    ANSWERED,
    type="call.refused",
    attempt_id=None,
    attempt=0,
    seq=1,
    outcome="blocked",
    note="dnc_account",
    hotline=None,
    network=None,
    ended_at=CALLED_AT,
    ring_s=None,
    duration_s=0,
    key_presses="",
    end_code=None,
    record_files=[],
    billable_s=0,
    postage=Decimal(0),
    service_charge=Decimal(0),
    person_ref=None,
)

CAME_AT = CALLED_AT + timedelta(minutes=20)
INCOMING = IncomingEvent(
    type="incoming_call.ended",
    account_id=7,
    incoming_call_id=88_001,
    kind="CALLIN",
    disposition="ANSWER",
    hotline="842473001234",
    caller="84912345007",
    caller_given="+84912345007",
    called_given="02473001234",
    came_at=CAME_AT,
    answered_at=CAME_AT + timedelta(seconds=1),
    ended_at=CAME_AT + timedelta(seconds=66),
    ring_s=1.0,
    duration_s=65,
    billable_s=65,
    key_presses="2 (6)",
    answers={"menu": "2"},
    end_code="completed",
    transfers=[
        RungPhone("84987654321", "SOMEONEANSWERED", 0),
        RungPhone("84987654322", "ANSWER", 48),
    ],
    record_files=["https://tongdai.example/recordings/2.wav"],
    campaign_call_id=555_001,
    campaign_id=2932,
    campaign_name="Nhắc giao hàng",
)
"""The person whom ANSWERED reached calls back twenty minutes later, and is transferred to a ring group."""

MISSED = replace(
    INCOMING,
    kind="MISSCALL",
    disposition="CANCEL",
    caller="",
    caller_given="anonymous",
    answered_at=None,
    ended_at=CAME_AT + timedelta(seconds=9),
    ring_s=9.0,
    duration_s=0,
    billable_s=0,
    key_presses="",
    answers={},
    end_code=None,
    transfers=[],
    record_files=[],
    campaign_call_id=None,
    campaign_id=None,
    campaign_name=None,
)
"""Somebody who withholds their number gave up before anybody answered."""
