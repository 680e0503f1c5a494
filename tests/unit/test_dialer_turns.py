"""A dialer claims when there may be something to claim, and moves the floors now and then."""

from __future__ import annotations

from tongdai.domain.dialer.turns import FLOORS_AFTER, Floors, Used


def test_campaigns_that_used_all_slots_are_not_claimed_for_before_there_are_new_ones() -> None:
    used = Used()
    used.note({1, 2}, 0.2, now=10.0)
    left = used.left_s({1}, now=10.05)
    assert left is not None
    assert round(left, 3) == 0.15
    assert used.left_s({1, 2}, now=10.2) is None


def test_another_campaign_is_claimed_for_at_once() -> None:
    used = Used()
    used.note({1, 2}, 0.2, now=10.0)
    assert used.left_s({1, 3}, now=10.05) is None


def test_where_time_makes_no_slot_nobody_waits_for_one() -> None:
    used = Used()
    used.note({1}, None, now=10.0)
    assert used.left_s({1}, now=10.0) is None


def test_floors_are_moved_after_so_many_calls_or_so_much_time() -> None:
    floors = Floors(apart_s=10.0)
    assert floors.are_due(now=100.0)
    floors.note(1, moved_at=100.0)
    assert not floors.are_due(now=109.9)
    assert floors.are_due(now=110.0)
    floors.note(FLOORS_AFTER, moved_at=None)
    assert floors.are_due(now=100.1)
