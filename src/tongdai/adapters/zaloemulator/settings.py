"""How the emulator behaves, changed while it runs and kept in the store."""

from __future__ import annotations

import msgspec

from tongdai.adapters.zaloemulator.fixtures import FixtureError
from tongdai.adapters.zaloemulator.store import Store


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    delay_ms: int = 0
    """Before each answer, after the thing was done."""
    delivery_ms: int = 1000
    """From the acceptance of a message to its arrival, on the emulator's clock."""
    consumed_is_empty: bool = True
    """A consumed refresh token is answered with nothing; else with -14014."""
    night_rule: bool = False
    """-133 between 22:00 and 06:00 in Vietnam, but for one-time codes."""
    retry_scale: float = 1.0
    """What the waits between two tries of a webhook are multiplied with."""
    webhook_timeout_s: float = 2.0
    header_timestamp_ahead_ms: int = 0
    """How far `X-ZEvent-Timestamp` is from the body's `timestamp`."""


class KeptSettings:
    def __init__(self, store: Store) -> None:
        self._store = store
        kept = store.recall("settings")
        self.now = msgspec.json.decode(kept, type=Settings) if kept else Settings()

    def change(self, changes: dict[str, object]) -> Settings:
        """Raises FixtureError."""
        try:
            self.now = msgspec.convert({**msgspec.to_builtins(self.now), **changes}, Settings)
        except msgspec.ValidationError as error:
            raise FixtureError(f"the settings: {error}") from None
        self._store.remember("settings", msgspec.json.encode(self.now).decode())
        return self.now
