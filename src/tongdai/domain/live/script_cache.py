"""Scripts at hand for the sessions that follow them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from tongdai.domain.scripts import Script
from tongdai.kit.db import Database, Tx

LoadScript = Callable[[Tx, int, int, int], Awaitable[Script]]
"""(tx, account, script, version) -> script."""


class ScriptCache:
    """Versions never change, so those that were used last are kept."""

    def __init__(self, db: Database, load: LoadScript, *, most: int = 1000) -> None:
        self._db = db
        self._load = load
        self._most = most
        self._kept: OrderedDict[tuple[int, int, int], Script] = OrderedDict()

    async def get(self, account_id: int, script_id: int, version: int) -> Script:
        """Raises DatabaseError, and what the loading raises."""
        key = account_id, script_id, version
        script = self._kept.get(key)
        if script is None:
            async with self._db.transaction() as tx:
                script = await self._load(tx, *key)
            self._kept[key] = script
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return script
