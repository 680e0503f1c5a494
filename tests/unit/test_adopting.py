"""What is heard of a call while another process takes it over."""

from __future__ import annotations

from pathlib import Path

import msgspec
from tests.fakes.one_trunk import Tones, Trunks

from tongdai.adapters.asterisk.adopting import Waiting, hand_on
from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.adapters.asterisk.heard import Heard
from tongdai.ports.sip import AsteriskNode


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_heard(self, heard: Heard) -> None:
        self.heard.append(heard.type)


def event(type: str, **more: object) -> Heard:
    return msgspec.convert({"type": type, **more}, Heard)


def test_what_ends_while_a_call_is_taken_over_is_told_once_to_whom_it_concerns_or_to_nobody(
    tmp_path: Path,
) -> None:
    node = AsteriskNode(
        id=1, name="one", url="http://127.0.0.1:1", username="u", password="p", sounds_path="/sounds"
    )
    engine = AsteriskEngine(node, Trunks(), Tones(tmp_path))
    waiting, leg, another = Waiting(), Listener(), Listener()
    for name in ("td-1", "td-1-1", "td-2"):
        engine.watch(name, waiting)
    engine.hear(event("PlaybackFinished", playback={"id": "td-1-1", "state": "done"}))
    engine.hear(event("ChannelDestroyed", channel={"id": "td-1"}))
    engine.watch("td-1", leg)
    engine.watch("td-2", another)

    hand_on(engine, waiting)

    assert (leg.heard, another.heard) == (["ChannelDestroyed"], [])
    assert len(waiting.heard) == 2
    assert engine.watcher("td-1-1") is None
    assert (engine.watcher("td-1"), engine.watcher("td-2")) == (leg, another)
