"""What a number does when it is called: a pure function of (seed, number, leg).

The last three digits 001 to 013 are test numbers (ARCHITECTURE section 7; docs/reference/sandbox.md). Every
other number is somebody on an ordinary evening, and another leg to it may find them in another mood.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2b
from struct import Struct

import msgspec

from tongdai.ports.telephony import EndCause

NETWORK_RING_S = 60.0
"""The network itself stops ringing after this, whatever the caller asked for."""


class Press(msgspec.Struct, frozen=True, gc=False):
    """Press `digit`, `after` seconds into the `prompt`-th prompt, or at its end if that comes first."""

    prompt: int
    after: float
    digit: str


class Plan(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One call's fate. Seconds of the carrier; those before the answer count from the INVITE."""

    rings_at: float | None = None
    answers_at: float | None = None
    refused_at: float | None = None
    refusal: EndCause = EndCause.FAILURE
    machine: bool = False
    detected_after: float = 0.8
    """Seconds from the answer until it is known whether a machine answered."""
    presses: tuple[Press, ...] = ()
    leaves_after: float | None = None
    """Seconds from the answer until the person hangs up of their own accord."""
    patience: float = math.inf
    """Seconds of silence until the person hangs up."""
    speaks_s: float = 5.0
    """How long the person talks when recorded."""
    talks_s: float = 30.0
    """How long a transferred conversation lasts."""


class Draws:
    """Evenly spread numbers in [0, 1) out of a hash: the same on every machine and Python.

    A tenth of the cost of seeding `random.Random`, which would be the dearest step of a simulated call.
    """

    __slots__ = ("_next", "_values")
    _words = Struct("<16I")

    def __init__(self, seed: int, number: str, leg_id: int) -> None:
        self._values = self._words.unpack(blake2b(f"{seed}/{number}/{leg_id}".encode()).digest())
        self._next = 0

    def unit(self) -> float:
        value: int = self._values[self._next % 16]
        self._next += 1
        return value / 4294967296.0

    def between(self, low: float, high: float) -> float:
        """Rounded to a millisecond, so that logs and tests read well."""
        return round(low + (high - low) * self.unit(), 3)


def plan_call(seed: int, number: str, leg_id: int) -> Plan:
    draws = Draws(seed, number, leg_id)
    behave = TEST_NUMBERS.get(number[-3:])
    return behave(draws) if behave else _ordinary(draws)


# ------------------------------------------------------------------ who picks up


def _person(
    draws: Draws,
    *,
    presses: tuple[Press, ...] = (),
    ring: tuple[float, float] = (4.0, 12.0),
    leaves_after: float | None = None,
    patience: float | None = None,
) -> Plan:
    rings_at = draws.between(0.8, 2.0)
    return Plan(
        rings_at=rings_at,
        answers_at=round(rings_at + draws.between(*ring), 3),
        presses=presses,
        leaves_after=leaves_after,
        patience=draws.between(15.0, 30.0) if patience is None else patience,
        speaks_s=draws.between(3.0, 8.0),
        talks_s=draws.between(10.0, 60.0),
    )


def _listens(draws: Draws) -> Plan:
    return _person(draws, patience=math.inf)


def _presses(digit: str) -> Callable[[Draws], Plan]:
    return lambda draws: _person(draws, presses=(Press(1, draws.between(1.0, 3.0), digit),))


def _hangs_up_at_once(draws: Draws) -> Plan:
    return _person(draws, leaves_after=draws.between(0.3, 0.6))


def _long_ring(draws: Draws) -> Plan:
    return _person(draws, ring=(20.0, 26.0))


def _voicemail(draws: Draws) -> Plan:
    rings_at = draws.between(0.8, 2.0)
    return Plan(
        rings_at=rings_at,
        answers_at=round(rings_at + draws.between(12.0, 20.0), 3),
        machine=True,
        detected_after=draws.between(1.5, 2.5),
        leaves_after=120.0,
        patience=30.0,
    )


# ------------------------------------------------------------------ who does not


def _rings_out(draws: Draws) -> Plan:
    rings_at = draws.between(0.8, 2.0)
    return Plan(rings_at=rings_at, refused_at=rings_at + NETWORK_RING_S, refusal=EndCause.NO_ANSWER)


def _declines(draws: Draws) -> Plan:
    rings_at = draws.between(0.8, 2.0)
    refused_at = round(rings_at + draws.between(3.0, 8.0), 3)
    return Plan(rings_at=rings_at, refused_at=refused_at, refusal=EndCause.REJECTED)


def _refuses(cause: EndCause, low: float, high: float) -> Callable[[Draws], Plan]:
    return lambda draws: Plan(refused_at=draws.between(low, high), refusal=cause)


_busy = _refuses(EndCause.BUSY, 1.0, 2.0)
_unallocated = _refuses(EndCause.UNALLOCATED, 0.5, 1.0)
_congestion = _refuses(EndCause.CONGESTION, 0.3, 1.0)
_unreachable = _refuses(EndCause.UNREACHABLE, 3.0, 6.0)
_unheard_of = _refuses(EndCause.FAILURE, 0.3, 1.0)

TEST_NUMBERS: dict[str, Callable[[Draws], Plan]] = {
    "001": _listens,
    "002": _rings_out,
    "003": _busy,
    "004": _declines,
    "005": _unallocated,
    "006": _voicemail,
    "007": _presses("1"),
    "008": _presses("2"),
    "009": _hangs_up_at_once,
    "010": _congestion,
    "011": _long_ring,
    "012": _unreachable,
    "013": _unheard_of,
}


# ------------------------------------------------------------------ an ordinary evening


def _chooses(draws: Draws) -> Plan:
    """Presses a key in the first or second prompt; a few press a wrong one, or correct themselves at once."""
    prompt = 1 if draws.unit() < 0.75 else 2
    after = draws.between(0.6, 6.0)
    mood = draws.unit()
    digit = "1" if mood < 0.62 else "2" if mood < 0.85 else "9" if mood < 0.95 else "3"
    presses = [Press(prompt, after, digit)]
    if mood >= 0.95:
        presses.append(Press(prompt, round(after + 0.25, 3), "1"))
    return _person(draws, presses=tuple(presses))


def _listens_for_a_while(draws: Draws) -> Plan:
    return _person(draws, leaves_after=draws.between(2.0, 15.0))


def _silent(draws: Draws) -> Plan:
    return _person(draws)


_EVENING: tuple[tuple[float, Callable[[Draws], Plan]], ...] = (
    (0.27, _chooses),
    (0.42, _silent),
    (0.51, _listens_for_a_while),
    (0.55, _hangs_up_at_once),
    (0.77, _rings_out),
    (0.84, _busy),
    (0.90, _declines),
    (0.95, _unreachable),
    (0.975, _voicemail),
    (0.99, _unallocated),
    (1.0, _congestion),
)
"""Upper ends of shares. Invented to look like an evening of calls to mobiles: about 55 in 100 answer."""


def _ordinary(draws: Draws) -> Plan:
    share = draws.unit()
    return next(behave for upper, behave in _EVENING if share < upper)(draws)
