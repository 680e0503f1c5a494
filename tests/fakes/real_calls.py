"""Calls on a real Asterisk: a lab with telephones, and clients of its node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from tests.fakes.asterisk import AsteriskInstance, asterisk_instance
from tests.fakes.dialling import until
from tests.fakes.one_trunk import Tones, Trunks
from tests.fakes.sipp import SippPhone

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.ports.telephony import DialRequest, LegRef

TRUNK = 3
EARLY_S, LATE_S = 0.25, 1.0
"""How far what has its second on a real call may be from it. Three processes and a network take their turns
on it, which a busy machine gives them late: half a second was seen. Early it is by rounding alone, and by as
much as the beginning was told late."""
_legs = count(7_100_000_001)


@dataclass(frozen=True, slots=True)
class Lab:
    """An Asterisk with telephones behind it."""

    asterisk: AsteriskInstance
    phone: SippPhone

    @property
    def sounds(self) -> Tones:
        return Tones(self.asterisk.sounds)

    def client(
        self, *, trunks: Trunks | None = None, direct: bool = False, answer_timeout_s: float = 5.0
    ) -> AsteriskEngine:
        """`direct`: the network between it and the node cannot be cut."""
        return AsteriskEngine(
            self.asterisk.direct if direct else self.asterisk.node,
            trunks or Trunks(self.phone.sip_trunk(TRUNK)),
            self.sounds,
            answer_timeout_s=answer_timeout_s,
        )

    async def released(self) -> None:
        """Returns once no channel and no bridge is left."""
        await until(lambda: not self.asterisk.channels(), timeout_s=15.0)
        await until(lambda: "td-" not in self.asterisk.cli("bridge show all"), timeout_s=15.0)


@contextmanager
def real_lab() -> Iterator[Lab]:
    with asterisk_instance() as asterisk, SippPhone(trunk=TRUNK) as phone:
        yield Lab(asterisk, phone)


def new_leg() -> int:
    return next(_legs)


def request(kind: str, leg_id: int, **changes: Any) -> DialRequest:
    """A call to the telephone of that kind (tests/fakes/sipp_scenarios.py)."""
    fields: dict[str, Any] = {
        "leg_id": leg_id,
        "trunk_id": TRUNK,
        "number": f"0912345{kind}",
        "caller": str(leg_id),
        "ring_s": 10.0,
        "max_s": 60.0,
        "detect_machine": False,
        "dial_before": datetime.now(UTC) + timedelta(seconds=20),
    }
    return DialRequest(**(fields | changes))


def about(seconds: float) -> Any:
    """What so many seconds are on a real call."""
    return pytest.approx(seconds + (LATE_S - EARLY_S) / 2, abs=(LATE_S + EARLY_S) / 2)


def ref(leg_id: int, *, ago_s: float = 0.0) -> LegRef:
    return LegRef(leg_id, datetime.now(UTC) - timedelta(seconds=ago_s))
