"""What must be written is written, whatever else is in its batch and however often the database is away."""

from __future__ import annotations

import pytest
from psycopg import OperationalError

from tongdai.kit import writing
from tongdai.kit.writing import write_all

pytestmark = pytest.mark.anyio


class Table:
    """Takes a batch whole or not at all: not the first `away` times, and none with an impossible one."""

    def __init__(self, *, away: int = 0, impossible: frozenset[int] = frozenset()) -> None:
        self.away = away
        self.impossible = impossible
        self.written: list[int] = []
        self.told: list[int] = []
        self.given_up: list[int] = []

    async def write(self, batch: list[int]) -> None:
        if self.away:
            self.away -= 1
            raise OperationalError("away")
        if not self.impossible.isdisjoint(batch):
            raise ValueError("one of them")
        self.written += batch

    async def take(self, batch: list[int]) -> None:
        await write_all(batch, self.write, done=self.told.extend, cannot=self.given_up.append)


async def test_what_cannot_be_written_now_is_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "AGAIN_AFTER_S", 0.0)
    table = Table(away=3)
    await table.take([1, 2, 3])
    assert (table.written, table.told, table.given_up) == ([1, 2, 3], [1, 2, 3], [])


async def test_one_that_can_never_be_written_holds_up_no_other() -> None:
    table = Table(impossible=frozenset({2, 7}))
    await table.take([1, 2, 3, 4, 5, 6, 7, 8])
    assert table.written == table.told == [1, 3, 4, 5, 6, 8]
    assert table.given_up == [2, 7]
