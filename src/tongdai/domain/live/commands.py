"""Carries out what sessions want: commands to engines, in the order of each leg.

A transfer takes its channels from the database first, and perhaps waits for a slot. Meanwhile later commands
of the same leg wait with it, and those of other legs do not.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from tongdai.domain.live.session import NumberedCommand
from tongdai.domain.live.transfers import Transfers
from tongdai.kit.running import cancel_all
from tongdai.ports.telephony import Engine, EngineUnreachableError, HangUp, Transfer, TransferEnded

log = logging.getLogger(__name__)

_END: Final = NumberedCommand(1_000_000, HangUp())
"""Its number is above those of every script."""

_Waiting = deque[tuple[NumberedCommand, float]]
"""A transfer that is being prepared and what follows it, each with the seconds of talk that were left."""


def _nothing(leg_id: int, prepared: Transfer) -> None:
    pass


class Commands:
    """One for all legs that a process drives in one direction.

    `on_prepared` is told of each transfer with the phones that ring, right before its engine is.
    """

    def __init__(
        self, transfers: Transfers, *, on_prepared: Callable[[int, Transfer], None] = _nothing
    ) -> None:
        self._transfers = transfers
        self._on_prepared = on_prepared
        self._waiting: dict[int, _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def tell(
        self, engine: Engine, leg_id: int, commands: Iterable[NumberedCommand], talk_left_s: float
    ) -> None:
        """`talk_left_s`: how long the call may go on, and so a talk that it is transferred to."""
        for numbered in commands:
            waiting = self._waiting.get(leg_id)
            if waiting is not None:
                waiting.append((numbered, talk_left_s))
            elif isinstance(numbered.command, Transfer):
                waiting = self._waiting[leg_id] = deque([(numbered, talk_left_s)])
                self._begin(self._tell_waiting(engine, leg_id, waiting))
            elif not await _told(engine, leg_id, numbered):
                break

    async def hang_up(self, engine: Engine, leg_id: int) -> None:
        """End a call whatever its session wanted, and at once, whatever waits."""
        self.drop(leg_id)
        await _told(engine, leg_id, _END)

    def over(self, leg_id: int, told: TransferEnded) -> None:
        """A transfer is over: what it held is freed while the call goes on."""
        self._begin(self._transfers.over(leg_id, told))

    def drop(self, leg_id: int) -> None:
        """It has ended, or is driven here no more: what still waits is not told. What is told of it from now
        on waits for nothing that was told before."""
        self._waiting.pop(leg_id, None)

    async def close(self) -> None:
        await cancel_all(self._tasks)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_waiting(self, engine: Engine, leg_id: int, waiting: _Waiting) -> None:
        try:
            while waiting:
                numbered, talk_left_s = waiting.popleft()
                if isinstance(numbered.command, Transfer):
                    transfer = await self._transfers.prepare(leg_id, numbered.command, talk_left_s)
                    numbered = NumberedCommand(numbered.ordinal, transfer)
                    if self._is_current(leg_id, waiting):
                        self._on_prepared(leg_id, transfer)
                if not self._is_current(leg_id, waiting) or not await _told(engine, leg_id, numbered):
                    break
        except Exception:
            log.exception("a transfer could not be made", extra={"leg": leg_id})
            await _told(engine, leg_id, _END)
        finally:
            if self._is_current(leg_id, waiting):
                del self._waiting[leg_id]

    def _is_current(self, leg_id: int, waiting: _Waiting) -> bool:
        """False: it was dropped meanwhile, and others may wait in its place."""
        return self._waiting.get(leg_id) is waiting


async def _told(engine: Engine, leg_id: int, numbered: NumberedCommand) -> bool:
    """False: no more of these is to be told. The leg is unknown until its engine is back, and its events are
    replayed then; or the engine failed at this one, and the call ends, because nobody knows what a person
    hears who goes on waiting."""
    try:
        await engine.command(leg_id, numbered.ordinal, numbered.command)
    except EngineUnreachableError:
        return False
    except Exception:
        log.exception("an engine failed at a command", extra={"leg": leg_id})
        if numbered is not _END:
            await _told(engine, leg_id, _END)
        return False
    return True
