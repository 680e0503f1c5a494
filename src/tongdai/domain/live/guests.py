"""Who else hears a dialer's engines: what takes calls that come in."""

from __future__ import annotations

from typing import Protocol

from tongdai.ports.telephony import Engine, EngineBack, EngineGone, IncomingCall, IncomingGone, LegEvent


class Guest(Protocol):
    """Lives in a dialer's process and uses the engines that the dialer keeps connected.

    Engines come and go: `engine_added` is told before any event of one.
    """

    def engine_added(self, name: str, engine: Engine) -> None:
        """`name`: as legs call it, `sandbox` or `asterisk/<node>`."""
        ...

    def engine_removed(self, name: str) -> None: ...

    async def on_engine(
        self, name: str, event: EngineGone | EngineBack | IncomingCall | IncomingGone
    ) -> None:
        """Of this engine, in order with the events of its legs. Must not wait for long."""
        ...

    async def on_event(self, name: str, event: LegEvent) -> bool:
        """An event of a leg that the dialer does not drive. False: nor does the guest. Must not wait long."""
        ...

    async def run(self) -> None:
        """For as long as the dialer lives; cancelled at its end."""
        ...
