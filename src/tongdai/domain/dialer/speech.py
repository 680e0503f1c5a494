"""What is said over nodes is spoken before it is needed (`prompts.Preparer`): by campaigns and to callers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tongdai.domain import scripts
from tongdai.domain.dialer.fleet import ASTERISK
from tongdai.domain.dialer.model import Plan
from tongdai.domain.dialer.store import planning as store
from tongdai.domain.live import LegFacts
from tongdai.domain.prompts.preparing import Preparer, Prompts
from tongdai.domain.prompts.sounds import SoundBook
from tongdai.domain.scripts.spoken import constant_items, says_fields, spoken_items
from tongdai.kit.db import Database
from tongdai.kit.running import cancel_all, keep_going
from tongdai.ports.speech import SpeechFailedError

log = logging.getLogger(__name__)

LOOK_AHEAD = 500
"""Calls of a campaign whose contacts' own words are spoken before they are due."""

WARM_AFTER_S = 0.003
"""So long after its call was sent are its words looked for: in the meantime the request goes out."""
ANSWERING_LOOK_S = 20.0
"""Seconds between looks at which scripts answer hotlines."""

Script = Callable[[int, int, int], Awaitable[scripts.Script]]
"""(account, script, version) -> script."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a campaign says, as far as it is the campaign's; or what a script says to callers."""

    account_id: int
    campaign_id: int
    """0: the script answers a hotline."""
    script_id: int
    script_version: int
    announcement: str = field(repr=False)


class Speech:
    """Asked by the claiming loop, which waits for nothing."""

    def __init__(
        self, db: Database, book: SoundBook, script: Script, *, look_ahead: int = LOOK_AHEAD
    ) -> None:
        self._look_ahead = look_ahead
        self._db = db
        self._book = book
        self._script = script
        self._preparer: Preparer[Spoken] = Preparer(book, constant=self._constant, upcoming=self._upcoming)
        self._warming: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        await self._book.start()
        answering = asyncio.create_task(keep_going("answering scripts", self._keep_answering))
        try:
            await self._preparer.run()
        finally:
            await cancel_all([answering, *self._warming])
            await self._book.stop()

    async def _keep_answering(self) -> None:
        """Have at hand what callers will hear. Nobody waits for it: who calls is answered in any case."""
        while True:
            async with self._db.transaction() as tx:
                found = await store.answering_scripts(tx, ASTERISK)
            for account_id, script_id, version in found:
                answering = Spoken(account_id, 0, script_id, version, scripts.RECORD_ANNOUNCEMENT)
                self._preparer.ready(answering)
            await asyncio.sleep(ANSWERING_LOOK_S)

    def why_not(self, plan: Plan) -> str | None:
        """Why a campaign may not speak yet; None: it may, or its engines need no sound."""
        if all(line.node_limit is None for line in plan.lines):
            return None
        return self._preparer.ready(
            Spoken(
                plan.account_id,
                plan.campaign_id,
                plan.script_id,
                plan.script_version,
                plan.config.announcement,
            )
        )

    def warm(self, facts: LegFacts, script: scripts.Script) -> None:
        """While it rings, have at hand what is said to this person: they may have been imported just now."""
        if says_fields(script):
            task = asyncio.create_task(self._warm(facts, script))
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)

    async def _warm(self, facts: LegFacts, script: scripts.Script) -> None:
        # The call goes out first.
        await asyncio.sleep(WARM_AFTER_S)
        try:
            await self._book.prepare(spoken_items(script, facts.fields, _texts(facts.config.announcement)))
        except SpeechFailedError as error:
            log.warning("a call may not be spoken", extra={"leg": facts.leg_id, "reason": error.reason})

    async def _constant(self, spoken: Spoken) -> Prompts:
        return constant_items(await self._script_of(spoken), _texts(spoken.announcement))

    async def _upcoming(self, spoken: Spoken) -> Sequence[tuple[int, Prompts]] | None:
        script = await self._script_of(spoken)
        if spoken.campaign_id == 0 or not says_fields(script):
            return None
        async with self._db.transaction() as tx:
            calls = await store.next_fields(tx, spoken.campaign_id, self._look_ahead)
        return [(call_id, spoken_items(script, fields)) for call_id, fields in calls]

    async def _script_of(self, spoken: Spoken) -> scripts.Script:
        return await self._script(spoken.account_id, spoken.script_id, spoken.script_version)


def _texts(announcement: str) -> tuple[str, ...]:
    return (announcement,) if announcement else ()
