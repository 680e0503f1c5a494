"""What the use cases that talk to Zalo are given.

They do not fit into one transaction: what is to be sent is written and committed first, then Zalo is asked
with no transaction open, then what it answered is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.services import Services
from tongdai.ports.zalo import Zalo, ZaloAwayError


@dataclass(frozen=True, slots=True)
class Bridge:
    """Handed to every use case that asks Zalo something. Built by whoever calls them, from what was wired."""

    db: Database
    keyring: Keyring
    clock: Clock
    client: Zalo


def bridge_of(services: Services) -> Bridge:
    """From what a request was given. Raises ZaloAwayError where this process has no client of Zalo's."""
    if services.zalo is None:
        raise ZaloAwayError
    return Bridge(services.db, services.keyring, services.clock, services.zalo)
