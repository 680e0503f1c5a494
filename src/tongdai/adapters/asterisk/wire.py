"""What the pieces of a call need of the engine that they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.link import Body, Reply
from tongdai.adapters.asterisk.trunks import Trunks
from tongdai.adapters.asterisk.writing import Writer
from tongdai.ports.speech import Sounds
from tongdai.ports.telephony import LegEvent

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.leg import Leg


class Watcher(Protocol):
    """Hears the events of a channel, a playback or a recording that it asked for."""

    def on_heard(self, heard: Heard) -> None: ...


class Wire(Protocol):
    """An engine, as its legs use it: requests go out in the order in which they are made."""

    app: str
    """The Stasis application of this connection."""
    sounds: Sounds
    sounds_path: str
    trunks: Trunks
    journals: Writer
    """Told by a leg when its journal has changed."""

    def now(self) -> float:
        """Seconds of a steady clock."""
        ...

    def send(self, method: str, uri: str, body: Body | None = None) -> None:
        """A request whose answer does not matter."""
        ...

    def send_soon(self, method: str, uri: str) -> None:
        """The same, together with what is sent next or within a moment."""
        ...

    async def ask(self, method: str, uri: str, body: Body | None = None) -> Reply:
        """Raises EngineUnreachableError."""
        ...

    def later(self, seconds: float, do: Any, *args: Any) -> asyncio.TimerHandle: ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside; it is cancelled when the connection goes."""
        ...

    def watch(self, name: str, watcher: Watcher) -> None: ...

    def unwatch(self, name: str) -> None: ...

    def tell(self, event: LegEvent) -> None: ...

    def ended(self, leg: Leg) -> None: ...

    def lost(self, leg: Leg) -> None:
        """Asterisk was to end it, or to say something of it, and never did: look what became of it."""
        ...


def channel_of(leg_id: int) -> str:
    return f"td-{leg_id}"


def leg_of(channel: str) -> int | None:
    """The leg whose channel that is; None: it is another's."""
    number = channel.removeprefix("td-")
    return int(number) if channel.startswith("td-") and number.isdecimal() else None
