"""Scripts at hand for the sessions that follow them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tongdai.domain.scripts import Script
from tongdai.kit.db import Database, Tx

LoadScript = Callable[[Tx, int, int, int], Awaitable[Script]]
"""(tx, account, script, version) -> script."""

SCRIPTS_KEPT: Final = 1000


class ScriptCache:
    """Versions never change, so one that was loaded is kept."""

    def __init__(self, db: Database, load: LoadScript) -> None:
        self._db = db
        self._load = load
        self._kept: dict[tuple[int, int, int], Script] = {}

    async def get(self, account_id: int, script_id: int, version: int) -> Script:
        """Raises DatabaseError, and what the loading raises."""
        key = account_id, script_id, version
        script = self._kept.get(key)
        if script is None:
            async with self._db.transaction() as tx:
                script = await self._load(tx, *key)
            if len(self._kept) >= SCRIPTS_KEPT:
                self._kept.clear()
            self._kept[key] = script
        return script
