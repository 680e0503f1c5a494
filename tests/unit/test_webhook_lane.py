"""Order per call in one endpoint's lane, whatever is claimed, fails and is claimed again."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook

from tongdai.domain.webhooks.lane import FIRST_CLAIM, Lane, Target
from tongdai.domain.webhooks.rules import HEALTHY, Health
from tongdai.domain.webhooks.store.sending import Claimed

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def target(max_in_flight: int = 4) -> Target:
    return Target(
        id=1,
        account_id=1,
        version=1,
        url="http://127.0.0.1/",
        format="tongdai",
        options={},
        max_in_flight=max_in_flight,
        is_open=True,
        signer=Webhook(b"secret"),
        old_signer=None,
        old_until=None,
        headers={},
    )


def claimed(id_: int, call_id: int, seq: int, *, blocker: int | None = None) -> Claimed:
    """A delivery whose event's id says its place in the call."""
    return Claimed(
        id=id_,
        endpoint_id=1,
        event_id=seq,
        call_id=call_id,
        type="attempt.ended",
        tries=0,
        created_at=NOW,
        is_replay=False,
        body=b"{}",
        payload=None,
        blocker_id=blocker,
        blocker_due_at=None if blocker is None else NOW,
    )


class Table:
    """What the database knows: which deliveries are pending, and when they are due."""

    def __init__(self, sequence: list[int]) -> None:
        self.rows: dict[int, Claimed] = {}
        self.due: dict[int, int] = {}
        seqs: dict[int, int] = defaultdict(int)
        for id_, call_id in enumerate(sequence, start=1):
            seqs[call_id] += 1
            self.rows[id_] = claimed(id_, call_id, seqs[call_id])
            self.due[id_] = 0

    def claim(self, held: set[int], most: int, now: int) -> list[Claimed]:
        found = sorted((self.due[id_], id_) for id_ in self.rows if id_ not in held and self.due[id_] <= now)
        return [self._with_blocker(self.rows[id_]) for _, id_ in found[:most]]

    def _with_blocker(self, one: Claimed) -> Claimed:
        earlier = [o for o in self.rows.values() if o.call_id == one.call_id and o.event_id < one.event_id]
        if not earlier:
            return one
        blocker = max(earlier, key=lambda o: o.event_id)
        return replace(
            one, blocker_id=blocker.id, blocker_due_at=NOW + timedelta(seconds=self.due[blocker.id])
        )


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=25),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_each_call_is_told_in_order_and_whole_whatever_fails(
    sequence: list[int], most: int, random: object
) -> None:
    """Claims, ends in any order, and results that are written late; nothing is sent before its elders."""
    luck = random.random  # type: ignore[attr-defined]
    table, lane = Table(sequence), Lane(target(), HEALTHY, speed=4)
    under_way: list[Claimed] = []
    unwritten: list[tuple[Claimed, bool, list[int]]] = []
    told: dict[int, list[int]] = defaultdict(list)
    for now in range(400):
        asked = table.claim(lane.held, most, now)
        for id_, due_at in lane.accept(asked, most).items():
            table.due[id_] = max(int((due_at - NOW).total_seconds()), now) + 1
            lane.written([id_])
        while lane.may_start(NOW):
            under_way.append(lane.started())
        assert len({one.call_id for one in under_way}) == len(under_way)
        if under_way:
            one = under_way.pop(int(luck() * len(under_way)))
            lane.in_flight -= 1
            is_delivered = luck() < 0.7
            if is_delivered:
                told[one.call_id].append(one.event_id)
                lane.delivered(one)
            unwritten.append((one, is_delivered, [] if is_delivered else lane.put_back(one)))
        while unwritten and luck() < 0.5:
            one, is_delivered, later = unwritten.pop(0)
            if is_delivered:
                del table.rows[one.id]
            for place, id_ in enumerate([] if is_delivered else [one.id, *later]):
                table.due[id_] = now + 3 + place
            lane.written([one.id, *later])
        if not table.rows:
            break
    assert told == {call: list(range(1, sequence.count(call) + 1)) for call in set(sequence)}
    assert not lane.held
    assert not lane.chains


def test_a_failure_leaves_one_request_at_a_time_until_one_gets_through() -> None:
    lane = Lane(target(max_in_flight=8), HEALTHY, speed=8)
    lane.speed = 1
    lane.accept([claimed(id_, id_, 1) for id_ in range(1, 21)], 20)
    speeds = []
    while lane.may_start(NOW):
        one = lane.started()
        lane.in_flight -= 1
        lane.delivered(one)
        speeds.append(lane.speed)
    assert speeds[:5] == [2, 4, 8, 8, 8]


def test_a_claim_that_comes_back_full_is_followed_by_a_larger_one() -> None:
    lane = Lane(target(), HEALTHY)
    lane.accept([claimed(id_, id_, 1) for id_ in range(FIRST_CLAIM)], FIRST_CLAIM)
    assert (lane.more, lane.want) == (True, 2 * FIRST_CLAIM)
    lane.accept([], lane.want)
    assert (lane.more, lane.want) == (False, FIRST_CLAIM)


def test_what_waits_is_given_up_whole_and_what_is_under_way_is_kept() -> None:
    lane = Lane(target(), HEALTHY, speed=1)
    lane.accept(
        [claimed(1, 1, 1), claimed(2, 1, 2, blocker=1), claimed(3, 2, 1), claimed(4, 2, 2, blocker=3)], 9
    )
    one = lane.started()
    lane.drop_waiting()
    assert (one.id, lane.held) == (1, {1, 2})
    lane.in_flight -= 1
    lane.delivered(one)
    lane.drop_waiting()
    lane.written([1])
    assert lane.is_idle


def test_a_paused_endpoint_gets_nothing() -> None:
    lane = Lane(target(), Health(paused_at=NOW, paused_until=NOW + timedelta(seconds=10)))
    lane.accept([claimed(1, 1, 1)], 9)
    assert not lane.may_start(NOW)
    assert lane.may_start(NOW + timedelta(seconds=10))


def test_a_test_event_waits_for_no_other() -> None:
    lane = Lane(target(), HEALTHY, speed=4)
    lane.accept([claimed(1, 0, 1), claimed(2, 0, 1)], 9)
    lane.started()
    assert lane.may_start(NOW)
