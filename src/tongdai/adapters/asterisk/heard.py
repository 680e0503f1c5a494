"""What Asterisk says over a WebSocket: events and answers to requests, as far as anybody here reads them."""

from __future__ import annotations

import msgspec

EVENTS = (
    "StasisStart",
    "Dial",
    "ChannelDtmfReceived",
    "ChannelHangupRequest",
    "ChannelDestroyed",
    "PlaybackFinished",
    "RecordingFinished",
    "RecordingFailed",
    "ApplicationReplaced",
    "RESTResponse",
)
"""What an application of ours is told; Asterisk leaves out all else, answers to requests over the
WebSocket included unless they are named here."""
INCOMING_EVENTS = (*EVENTS, "StasisEnd")
"""What the application is told that calls come in to: one that was accepted leaves it and goes on."""


class Party(msgspec.Struct, gc=False):
    number: str = ""


class Dialplan(msgspec.Struct, gc=False):
    context: str = ""
    exten: str = ""
    app_name: str = ""
    app_data: str = ""


class Channel(msgspec.Struct):
    id: str
    name: str = ""
    state: str = ""
    caller: Party | None = None
    dialplan: Dialplan | None = None
    creationtime: str = ""


class Playback(msgspec.Struct, gc=False):
    id: str
    state: str = ""


class Recording(msgspec.Struct, gc=False):
    name: str


class Heard(msgspec.Struct):
    """One message. Which fields are there depends on `type`."""

    type: str
    channel: Channel | None = None
    peer: Channel | None = None
    playback: Playback | None = None
    recording: Recording | None = None
    args: list[str] = []
    digit: str = ""
    dialstatus: str = ""
    cause: int = 0
    tech_cause: int = 0
    soft: bool = False
    request_id: str = ""
    status_code: int = 0
    message_body: str = ""
