"""Calls for which every line of theirs was busy. The next claims look behind them, so that a full hotline of
one network holds up no calls of the others. Pure, and nothing but a hint: it may be forgotten at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from tongdai.domain.dialer.model import Capacity, DueCall, Line, Plan

MOST_BENCHED = 2000
"""Of one campaign. What is queued behind so many waits with them."""

Kind = tuple[str, tuple[int, ...]]
"""The network, and the trunks that failed: calls of one kind may take the same lines."""


class Bench:
    """One dialer's. A call gets up when it is its turn: as many of a kind as there is room for."""

    def __init__(self) -> None:
        self._sitting: dict[int, dict[Kind, dict[int, None]]] = {}
        """By campaign and kind, in the order of the queue."""

    def sit(self, plan: Plan, call: DueCall, network: str) -> bool:
        """False: it sits there already, or need not, because the campaign has no other line to wait for."""
        if len(plan.lines) < 2:
            return False
        kinds = self._sitting.setdefault(plan.campaign_id, {})
        sitting = kinds.setdefault((network, call.tried_trunk_ids), {})
        if call.id in sitting or sum(map(len, kinds.values())) >= MOST_BENCHED:
            return False
        sitting[call.id] = None
        return True

    def get_up(self, calls: Iterable[DueCall]) -> None:
        """They were sent on their way, deferred or refused."""
        for call in calls:
            for sitting in self._sitting.get(call.campaign_id, {}).values():
                sitting.pop(call.id, None)

    def keeps(self, plan: Plan, capacity: Capacity) -> list[int]:
        """The calls of a campaign that a claim is to look past."""
        kept: list[int] = []
        for (network, tried), sitting in self._sitting.get(plan.campaign_id, {}).items():
            kept.extend(islice(sitting, capacity.room_for(plan, network, tried), None))
        return kept

    def waits_for(self, plan: Plan) -> tuple[Line, ...]:
        """The lines that the calls which sit there could take; none where no call does."""
        kinds = [kind for kind, sitting in self._sitting.get(plan.campaign_id, {}).items() if sitting]
        return tuple(dict.fromkeys(line for kind in kinds for line in plan.lines_to(*kind)))

    def clear(self) -> None:
        self._sitting.clear()
