"""Web apps that serve one test after the other.

Making the app of all the APIs takes a third of a second of processor time, more than most of its tests take
themselves, and an app keeps nothing of one request for the next but its counters. So a worker makes one for
each way of making it, and each test that borrows it gives it services of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields

from litestar import Litestar

from tongdai.ports.services import Services

Make = Callable[[Services], Litestar]
Kind = tuple[object, ...]
Standing = tuple[Services, Litestar]
"""An app, and the services that it was made over, whose fields are those of the test that has it."""

MAKING = ("max_body_bytes", "body_timeout_s")
"""Fields of the services that an app is made by."""

_FIELDS = tuple(field.name for field in fields(Services))
_free: defaultdict[Kind, list[Standing]] = defaultdict(list)
_lent: list[tuple[Kind, Standing]] = []


def lend(make: Make, services: Services) -> Litestar:
    """What `make(services)` makes, until the end of the test. Two at a time are two apps.

    `make` is a function of a module, by which the app is found again. Of the services it reads only `MAKING`.
    """
    kind = (make, *(getattr(services, name) for name in MAKING))
    if _free[kind]:
        own, app = _free[kind].pop()
        _refill(own, services)
    else:
        own = Services(**{name: getattr(services, name) for name in _FIELDS})
        app = make(own)
    _lent.append((kind, (own, app)))
    return app


def take_back() -> None:
    """At the end of a test: whatever it borrowed is free for the next."""
    while _lent:
        kind, standing = _lent.pop()
        _free[kind].append(standing)


def _refill(own: Services, services: Services) -> None:
    for name in _FIELDS:
        object.__setattr__(own, name, getattr(services, name))
