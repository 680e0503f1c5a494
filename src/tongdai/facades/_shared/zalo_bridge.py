"""The way from a request to the use cases that ask Zalo."""

from __future__ import annotations

from tongdai.domain.zalo import Bridge
from tongdai.ports.services import Services
from tongdai.ports.zalo import ZaloAwayError


def bridge_of(services: Services) -> Bridge:
    """Raises ZaloAwayError where this process has no client of Zalo's."""
    if services.zalo is None:
        raise ZaloAwayError
    return Bridge(services.db, services.keyring, services.clock, services.zalo)
