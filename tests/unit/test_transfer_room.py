"""Room for the phones of transfers: channels and slots under the caps, beside calls that claims lay."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tongdai.domain.dialer import model as dialer
from tongdai.domain.live.pacing import LEAD
from tongdai.domain.live.transfer_room import LATENESS, PATIENCE, Cap, find_room, find_slot

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def cap(id: int = 1, **more: Any) -> Cap:
    values = {"max_channels": None, "max_cps": None, "live": 0, "next_slot_at": NOW, "cooling_until": None}
    return Cap(id, **(values | more))


@pytest.mark.parametrize(
    ("caps", "phones"),
    [
        ([cap()], 4),
        ([cap(max_channels=10, live=7)], 3),
        ([cap(max_channels=10, live=7), cap(2, max_channels=20, live=18)], 2),
        ([cap(max_channels=10, live=10)], None),
        ([cap(max_channels=10, live=12)], None),
        ([cap(max_cps=2.5)], 2),
        ([cap(max_cps=0.1)], 1),
        ([cap(cooling_until=NOW + timedelta(seconds=1))], None),
        ([cap(cooling_until=NOW)], 4),
        ([cap(max_cps=10, next_slot_at=NOW + PATIENCE + timedelta(seconds=1))], None),
        ([cap(max_cps=10, next_slot_at=NOW + PATIENCE - timedelta(seconds=0.15))], 2),
    ],
)
def test_as_many_phones_ring_as_every_cap_has_room_for(caps: list[Cap], phones: int | None) -> None:
    room = find_room(caps, 4, NOW)
    assert (room and room.phones) == phones


def test_an_idle_line_rings_at_once() -> None:
    room = find_slot([cap(max_cps=10, next_slot_at=NOW - timedelta(hours=1))], 3, NOW)
    assert room.dial_at == NOW


def test_a_slot_moves_no_cap_that_has_none() -> None:
    room = find_slot([cap(), cap(2, max_cps=10)], 1, NOW)
    assert [limit_id for limit_id, _ in room.next_slots] == [2]


@settings(deadline=None)
@given(
    st.sampled_from([1.0, 2.0, 3.0, 5.0, 10.0, 50.0]),
    st.lists(st.tuples(st.integers(0, 6), st.floats(0, 0.4), st.floats(0, 1)), min_size=1, max_size=40),
)
def test_no_second_holds_one_call_too_many(cps: float, asked: list[tuple[int, float, float]]) -> None:
    """Calls of claims (0 phones) and transfers, each sent as late as it may be or sooner."""
    limit = dialer.Limit(1, None, cps, 0, NOW)
    now, sent = NOW, []
    for phones, later, lateness in asked:
        now += timedelta(seconds=later)
        if phones == 0:
            slot = max(now, limit.next_slot_at)
            last = max(slot, now + LEAD)
            limit.take(last)
            moments = [slot + lateness * (last + dialer.LATENESS + dialer.TRANSIT - slot)]
        else:
            room = find_room([cap(max_cps=cps, next_slot_at=limit.next_slot_at)], phones, now)
            if room is None:
                continue
            limit.next_slot_at = room.next_slots[0][1]
            moments = [room.dial_at + lateness * (room.dial_before - room.dial_at)] * room.phones
        sent += [moment.timestamp() for moment in moments]
    sent.sort()
    assert max(place + 1 - bisect_right(sent, moment - 1.0) for place, moment in enumerate(sent)) <= cps


def test_a_paced_slot_may_be_used_for_a_moment_only() -> None:
    room = find_slot([cap(max_cps=10)], 2, NOW)
    assert room.dial_before - room.dial_at == LATENESS
