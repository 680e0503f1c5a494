"""How slots are laid under caps on calls per second: for a claim, and for the phones of a transfer."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

PACE: Final = 0.97
"""Slots are laid at this part of the calls per second that a cap allows. What is left lets a call be sent
late, and be a while on its way, without any second, wherever it begins, holding one call too many."""

LEAD: Final = timedelta(milliseconds=30)
"""What a claim is expected to take to commit, until it has been measured. A slot that begins sooner may be
used up to then, and the next one is spaced from there: on an idle trunk a call goes out at once, and our own
commit makes none miss its slot."""

UNPACED_LATENESS: Final = timedelta(seconds=5)
"""How late a call may be sent where no cap on calls per second applies."""
