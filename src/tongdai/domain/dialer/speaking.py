"""What this dialer's campaigns will say is prepared here, and whether they may dial is known at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tongdai.domain import scripts
from tongdai.domain.campaigns.model import CampaignConfig
from tongdai.domain.dialer.model import Plan
from tongdai.domain.dialer.store import speaking as store
from tongdai.domain.prompts.preparing import Preparer
from tongdai.domain.prompts.sounds import SoundBook
from tongdai.domain.scripts.spoken import constant_items, says_fields, spoken_items
from tongdai.kit.db import Database
from tongdai.ports.telephony import PromptItem, SpokenCode

LOOK_AHEAD = 500
"""Calls of each campaign that are prepared before they come due."""

Loading = Callable[[int, int, int], Awaitable[scripts.Script]]
"""A script by account, id and version; versions never change."""


@dataclass(frozen=True, slots=True)
class Saying:
    """What decides what a campaign says."""

    campaign_id: int
    account_id: int
    script_id: int
    script_version: int
    announcement: str = field(repr=False)


class Speaking:
    """`engines`: those that play files, as trunks name them; campaigns on other lines need none."""

    def __init__(
        self,
        db: Database,
        book: SoundBook,
        load: Loading,
        *,
        engines: frozenset[str],
        look_ahead: int = LOOK_AHEAD,
    ) -> None:
        self._db = db
        self._load = load
        self._engines = engines
        self._look_ahead = look_ahead
        self._preparer = Preparer[Saying](book, constant=self._constant, upcoming=self._upcoming)

    def reason(self, plan: Plan) -> str | None:
        """Why a campaign that is due may not dial yet; None: it may."""
        if not any(line.engine.partition("/")[0] in self._engines for line in plan.lines):
            return None
        return self._preparer.ready(
            Saying(
                plan.campaign_id,
                plan.account_id,
                plan.script_id,
                plan.script_version,
                _announcement(plan.config),
            )
        )

    async def run(self) -> None:
        """Prepare until cancelled."""
        await self._preparer.run()

    async def _constant(self, what: Saying) -> Sequence[PromptItem]:
        script = await self._load(what.account_id, what.script_id, what.script_version)
        return constant_items(script, [what.announcement] if what.announcement else [])

    async def _upcoming(self, what: Saying) -> Sequence[tuple[int, Sequence[PromptItem]]] | None:
        script = await self._load(what.account_id, what.script_id, what.script_version)
        if not says_fields(script):
            return None
        async with self._db.transaction() as tx:
            calls = await store.upcoming(tx, what.campaign_id, self._look_ahead)
        return [
            (call_id, [item for item in spoken_items(script, fields) if not isinstance(item, SpokenCode)])
            for call_id, fields in calls
        ]


def _announcement(config: CampaignConfig) -> str:
    given = config.record_announcement
    return scripts.RECORD_ANNOUNCEMENT if given is None else given
