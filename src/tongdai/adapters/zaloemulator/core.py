"""The parts of the emulator that every handler needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tongdai.adapters.zaloemulator.clock import MINUTE_MS, Clock
from tongdai.adapters.zaloemulator.exchange import Answer, Ask
from tongdai.adapters.zaloemulator.faults import Faults
from tongdai.adapters.zaloemulator.outbox import Outbox
from tongdai.adapters.zaloemulator.settings import KeptSettings, Settings
from tongdai.adapters.zaloemulator.store import Store
from tongdai.adapters.zaloemulator.tokens import Tokens
from tongdai.adapters.zaloemulator.world import World


class Buckets:
    """Requests of the present minute, by app."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._minute = 0
        self._taken: dict[tuple[str, int], int] = {}

    def take(self, bucket: str, app_id: int, limit: int) -> int:
        """How many are left after this one; negative: it is one too many."""
        minute = self._clock.now_ms() // MINUTE_MS
        if minute != self._minute:
            self._minute, self._taken = minute, {}
        taken = self._taken.get((bucket, app_id), 0) + 1
        self._taken[bucket, app_id] = taken
        return limit - taken


class Core:
    """What an emulator is, apart from the network."""

    def __init__(self, path: Path | str) -> None:
        """Raises StoreError, FixtureError."""
        self.store = Store(path)
        self.clock = Clock(self.store)
        self.kept = KeptSettings(self.store)
        self.world = World(self.store)
        self.tokens = Tokens(self.store, self.clock)
        self.outbox = Outbox(self.store, self.clock, self.world)
        self.faults = Faults()
        self.buckets = Buckets(self.clock)

    @property
    def settings(self) -> Settings:
        return self.kept.now


Handler = Callable[[Core, Ask], Answer]
