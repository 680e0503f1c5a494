"""Everything that a campaign's calls will say is spoken before they are dialled.

First what everybody hears; until that is there, the campaign waits. Then what is said to those who come
next, a bounded number of calls ahead: a campaign whose voice is slower than its calls waits as well, rather
than have people listen to nothing. A voice that fails, with no fallback, stops the campaign with the reason
until it speaks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from tongdai.domain.prompts.sounds import SoundBook
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.kit.running import cancel_all
from tongdai.ports.speech import SpeechFailedError
from tongdai.ports.telephony import PromptItem

log = logging.getLogger(__name__)

NOT_READY: Final = "speech_not_ready"
FAILED: Final = "speech_failed"

AT_ONCE: Final = 8
"""Prompts that are made at the same time for one campaign."""
PATIENCE_S: Final = 0.5
"""What the next calls may take to prepare before the campaign waits for it."""
PAUSE_S: Final = 1.0
IDLE_PAUSES: Final = 5
"""So many times longer is not looked at a campaign with nobody new to call: each look is a query."""
CONSTANT_PAUSE_S: Final = 60.0
"""Between two looks at a campaign that says the same to everybody: its sounds are kept from being removed."""
RETRY_S: Final = 5.0
FORGOTTEN_AFTER_S: Final = 60.0
"""A campaign that nobody has asked about for so long is not prepared any more."""
CALLS_REMEMBERED: Final = 10_000
REMEMBERED_S: Final = 1800.0
"""Less than the hour for which unused sounds are sure to stay: a call that is put off is prepared again."""

Prompts = Sequence[PromptItem]
Campaign = TypeVar("Campaign", bound=Hashable)
"""What a campaign says: whatever changes that makes it another one."""


@dataclass(slots=True)
class _State:
    asked_at: float
    reason: str | None = NOT_READY
    task: asyncio.Task[None] | None = None


class Preparer(Generic[Campaign]):
    """`ready` is asked without waiting; `run` does the work, in the process whose engines play the files.

    `constant` gives what every call may say, `upcoming` what the next calls say, each with the call's id and
    in the order in which they come due; None for a campaign that says the same to everybody.
    """

    def __init__(
        self,
        book: SoundBook,
        *,
        constant: Callable[[Campaign], Awaitable[Prompts]],
        upcoming: Callable[[Campaign], Awaitable[Sequence[tuple[int, Prompts]] | None]],
        pause_s: float = PAUSE_S,
        patience_s: float = PATIENCE_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._book = book
        self._constant = constant
        self._upcoming = upcoming
        self._pause_s = pause_s
        self._patience_s = patience_s
        self._retry_s = retry_s
        self._states: dict[Campaign, _State] = {}
        self._asked = asyncio.Event()

    def ready(self, campaign: Campaign) -> str | None:
        """None: it may dial. Otherwise why not; asking is what has it prepared."""
        now = asyncio.get_running_loop().time()
        state = self._states.get(campaign)
        if state is None:
            state = self._states[campaign] = _State(now)
            self._asked.set()
        state.asked_at = now
        return state.reason

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._asked.clear()
                for campaign, state in list(self._states.items()):
                    if state.task is None or state.task.done():
                        state.task = asyncio.create_task(self._keep(campaign, state))
                await self._asked.wait()
        finally:
            await cancel_all([state.task for state in self._states.values() if state.task is not None])

    async def _keep(self, campaign: Campaign, state: _State) -> None:
        """Keep one campaign prepared for as long as somebody asks about it."""
        seen: OrderedDict[int, float] = OrderedDict()
        loop = asyncio.get_running_loop()
        idle_s = self._pause_s
        while loop.time() - state.asked_at < FORGOTTEN_AFTER_S:
            try:
                pause_s = await self._pass(campaign, state, seen)
                idle_s = min(2 * idle_s, IDLE_PAUSES * self._pause_s) if pause_s is None else self._pause_s
                pause_s = idle_s if pause_s is None else pause_s
            except SpeechFailedError as error:
                state.reason, pause_s = FAILED, self._retry_s
                log.error(
                    "a campaign cannot speak", extra={"campaign": repr(campaign), "reason": error.reason}
                )
            except TRANSIENT_ERRORS:
                pause_s = self._retry_s
            except Exception:
                # What is wrong with one campaign holds up no other.
                log.exception("a campaign cannot be prepared", extra={"campaign": repr(campaign)})
                pause_s = self._retry_s
            await asyncio.sleep(pause_s)
        del self._states[campaign]

    async def _pass(self, campaign: Campaign, state: _State, seen: OrderedDict[int, float]) -> float | None:
        """Prepare once; returns how long to wait, None when nobody was new.

        `seen`: until when each call that was prepared counts as such. Raises SpeechFailedError when the voice
        is away.
        """
        await self._book.prepare(await self._constant(campaign))
        calls = await self._upcoming(campaign)
        if calls is None:
            state.reason = None
            return CONSTANT_PAUSE_S
        now = asyncio.get_running_loop().time()
        new = [(id_, prompts) for id_, prompts in calls if seen.get(id_, 0.0) <= now]
        near = {id_ for id_, _ in calls[: (len(calls) + 1) // 2]}
        if state.reason is None and any(id_ in near for id_, _ in new):
            await self._patiently(state, [one for one in new if one[0] in near])
        else:
            await self._all([one for one in new if one[0] in near])
        state.reason = None
        await self._all([one for one in new if one[0] not in near])
        seen.update(dict.fromkeys((id_ for id_, _ in new), now + REMEMBERED_S))
        while len(seen) > CALLS_REMEMBERED:
            seen.popitem(last=False)
        return self._pause_s if new else None

    async def _patiently(self, state: _State, calls: Sequence[tuple[int, Prompts]]) -> None:
        """The campaign goes on dialling, unless this takes long."""
        work = asyncio.create_task(self._all(calls))
        try:
            done, _ = await asyncio.wait([work], timeout=self._patience_s)
            if not done:
                state.reason = NOT_READY
            await work
        finally:
            await cancel_all([work])

    async def _all(self, calls: Sequence[tuple[int, Prompts]]) -> None:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(call_id: int, prompts: Prompts) -> None:
            async with turns:
                try:
                    await self._book.prepare(prompts)
                except SpeechFailedError as error:
                    if error.retry:
                        raise
                    # One contact whose text no voice takes is no reason to stop the others.
                    log.warning("a call cannot be spoken", extra={"call": call_id, "reason": error.reason})

        tasks = [asyncio.create_task(one(call_id, prompts)) for call_id, prompts in calls]
        try:
            await asyncio.gather(*tasks)
        finally:
            await cancel_all(tasks)
