"""The addresses of recordings in what customers' servers are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tongdai.domain.recordings.links import Links
from tongdai.domain.webhooks import Event, Renderer, Renderers
from tongdai.kit.clock import Clock


def with_addresses(renderers: Renderers, links: Links, clock: Clock) -> Renderers:
    """The same renderers, given events with the addresses of their recordings, good from now on.

    A body is made once, and sent and replayed as it is: its addresses expire like any other.
    """
    return {name: _with_addresses(render, links, clock) for name, render in renderers.items()}


def _with_addresses(render: Renderer, links: Links, clock: Clock) -> Renderer:
    def rendered(event: Event, options: Mapping[str, Any]) -> bytes:
        recording_ids = getattr(event, "recording_ids", None)
        if recording_ids:
            now = clock.now()
            files = [links.told_address(recording_id, now) for recording_id in recording_ids]
            event = replace(event, record_files=files)
        return render(event, options)

    return rendered
