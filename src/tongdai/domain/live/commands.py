"""Carries out what sessions want: commands to engines, in the order of each leg.

A transfer takes its channels from the database first, and perhaps waits for a slot. Meanwhile later commands
of the same leg wait with it, and those of other legs do not.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any

from tongdai.domain.live.session import NumberedCommand
from tongdai.domain.live.transfers import Transfers
from tongdai.kit.running import cancel_all
from tongdai.ports.telephony import Engine, EngineUnreachableError, Transfer, TransferEnded

log = logging.getLogger(__name__)


class Commands:
    """One for all legs that a process drives."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._waiting: dict[int, deque[NumberedCommand]] = {}
        """By leg, what waits behind a transfer."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def tell(
        self, engine: Engine, leg_id: int, commands: Iterable[NumberedCommand], talk_left_s: float
    ) -> None:
        """`talk_left_s`: how long the call may go on, and so a talk that it is transferred to."""
        for numbered in commands:
            waiting = self._waiting.get(leg_id)
            if waiting is not None:
                waiting.append(numbered)
            elif isinstance(numbered.command, Transfer):
                self._waiting[leg_id] = deque([numbered])
                self._begin(self._tell_waiting(engine, leg_id, talk_left_s))
            elif not await _told(engine, leg_id, numbered):
                break

    def over(self, leg_id: int, told: TransferEnded) -> None:
        """A transfer is over: what it held is freed while the call goes on."""
        self._begin(self._transfers.over(leg_id, told))

    def ended(self, leg_id: int) -> None:
        """What still waits is of no use any more."""
        if leg_id in self._waiting:
            self._waiting[leg_id].clear()

    async def close(self) -> None:
        await cancel_all(self._tasks)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_waiting(self, engine: Engine, leg_id: int, talk_left_s: float) -> None:
        waiting = self._waiting[leg_id]
        try:
            while waiting:
                numbered = waiting.popleft()
                if isinstance(numbered.command, Transfer):
                    transfer = await self._transfers.prepare(leg_id, numbered.command, talk_left_s)
                    numbered = NumberedCommand(numbered.ordinal, transfer)
                if not await _told(engine, leg_id, numbered):
                    break
        except Exception:
            log.exception("a transfer could not be made", extra={"leg": leg_id})
        finally:
            del self._waiting[leg_id]


async def _told(engine: Engine, leg_id: int, numbered: NumberedCommand) -> bool:
    """False: the leg is unknown until its engine is back; its events are replayed then."""
    try:
        await engine.command(leg_id, numbered.ordinal, numbered.command)
    except EngineUnreachableError:
        return False
    return True
