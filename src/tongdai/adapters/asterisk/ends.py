"""How a leg ended, as the node's hangup handler noted it (`dialplan`). Pure."""

from __future__ import annotations

from dataclasses import dataclass

_RINGING, _SESSION_PROGRESS = 180, 183
_STATUS = slice(4, 7)
"""Of `SIP 183 Session Progress`, as Asterisk says it."""
_FIRST_FINAL = 300
"""A provisional answer or 200 is no reason for an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What Asterisk noted."""

    at: float
    """Epoch seconds by the node's clock."""
    cause: int
    """Q.850; 0: none was given."""
    status: int
    """Of SIP; 0: the carrier said no last word."""
    answered: bool
    rang: bool
    """The carrier said that the phone rings. False of one that was answered, and of some that rang for a node
    whose configuration is older: it tells what the carrier said last."""
    progressed: bool
    """The last that the carrier said was that it plays something."""
    journal: str


def progressed(said: str) -> bool:
    """Whether the last that the carrier said, in Asterisk's words, was that it plays something."""
    return said[_STATUS] == str(_SESSION_PROGRESS)


def parse_end(text: str) -> End | None:
    """None: it is no such line. A node whose configuration is older left out the channel's state."""
    head, _, journal = text.rpartition("|")
    at, *rest = head.split("|")
    if len(rest) == 3:
        rest.append("")
    if len(rest) != 4:
        return None
    cause, said, stasis, state = rest
    try:
        sip = int(said) if said.isdecimal() else 0
        return End(
            at=float(at),
            cause=int(cause or 0),
            status=sip if sip >= _FIRST_FINAL else 0,
            answered=bool(stasis),
            rang=state == "Ringing" or sip == _RINGING,
            progressed=sip == _SESSION_PROGRESS,
            journal=journal,
        )
    except ValueError:
        return None
