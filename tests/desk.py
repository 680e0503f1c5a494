"""A shop that dials: its campaigns, what it is given to call, and what a test wants to know of both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import LiteralString

import msgspec
from tests import factories
from tests.fakes.dialling import eventually, rows

from tongdai.domain import campaigns
from tongdai.domain.campaigns import CampaignConfig, NewContact
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

SLOW: LiteralString = """
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(TG_ARGV[0]::float8); RETURN NULL; END $$;
CREATE TRIGGER linger AFTER INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION linger({seconds})
"""


class Desk:
    """One shop's campaign with what a test wants to ask about it."""

    def __init__(self, db: Database, keyring: Keyring, owner: factories.Person) -> None:
        self.db = db
        self.keyring = keyring
        self.owner = owner

    async def campaign(
        self,
        *,
        config: CampaignConfig | None = None,
        kind: campaigns.Kind = "voice",
        state: str = "running",
        channels: int | None = None,
        cps: float | None = 50,
        takes_imports: bool = True,
        hotline_ids: list[int] | None = None,
    ) -> int:
        if hotline_ids is None:
            trunk = await factories.trunk(self.db, self.owner.account_id, max_channels=channels, max_cps=cps)
            line = await factories.hotline(self.db, self.owner.account_id, trunk_id=trunk.id)
            hotline_ids = [line.id]
        made = await factories.campaign(
            self.db,
            self.owner,
            kind=kind,
            state=state,
            config=config,
            hotline_ids=hotline_ids,
            takes_imports=takes_imports,
        )
        return made.id

    async def give(self, campaign_id: int, *numbers: str, otp: str | None = None) -> list[int]:
        async with self.db.transaction() as tx:
            report = await campaigns.import_contacts(
                tx,
                self.keyring,
                SystemClock(),
                self.owner.account_id,
                campaign_id,
                [NewContact(number, {}, otp) for number in numbers],
            )
        return [call_id for _, call_id in report.accepted]

    async def give_past_locks(self, campaign_id: int) -> list[int]:
        """One due call, put in without touching the campaign's row."""
        found = await rows(
            self.db,
            """INSERT INTO calls (account_id, campaign_id, user_id, number, number_given)
               VALUES (%s, %s, %s, '84987654321', '0987654321') RETURNING id""",
            self.owner.account_id,
            campaign_id,
            self.owner.user.id,
        )
        return [call_id for (call_id,) in found]

    async def claim_waits(self) -> bool:
        found = await rows(
            self.db,
            """SELECT count(*) FROM pg_stat_activity
               WHERE wait_event_type = 'Lock' AND datname = current_database()
                 AND query LIKE '%%campaigns%%'""",
        )
        return bool(found[0][0])

    async def call(self, call_id: int) -> dict[str, object]:
        names = (
            "state",
            "outcome",
            "attempts",
            "due_at",
            "deferred_reason",
            "duration_s",
            "secret",
            "note",
            "key_press",
        )
        found = await rows(self.db, f"SELECT {', '.join(names)} FROM calls WHERE id = %s", call_id)
        return dict(zip(names, found[0], strict=True))

    async def done(self, call_id: int) -> dict[str, object]:
        async def look() -> dict[str, object] | None:
            call = await self.call(call_id)
            return call if call["state"] == "done" else None

        found: dict[str, object] = await eventually(look)
        return found

    async def live(self) -> list[int]:
        return [live for (live,) in await rows(self.db, "SELECT live FROM limits WHERE live <> 0")]

    async def configure(self, campaign_id: int, config: object) -> None:
        """Store a configuration as it is, past every check."""
        await rows(
            self.db,
            "UPDATE campaigns SET config = %s WHERE id = %s RETURNING 1",
            msgspec.json.encode(config).decode(),
            campaign_id,
        )

    async def reason(self, campaign_id: int) -> str | None:
        found = await rows(self.db, "SELECT waiting_reason FROM campaigns WHERE id = %s", campaign_id)
        return None if found[0][0] is None else str(found[0][0])

    # ------------------------------------------------------------------ past all services

    async def hint(self, campaign_id: int) -> None:
        """As an import does once it has committed."""
        await rows(self.db, "SELECT pg_notify('tongdai_dial', %s)", str(campaign_id))

    async def backlog(self, campaign_id: int, calls: int, *, number: str | None = None) -> None:
        """Calls of as many persons that are due, or of the one person with this number."""
        await rows(
            self.db,
            """INSERT INTO calls (account_id, campaign_id, user_id, number, number_given)
               SELECT account_id, id, user_id, coalesce(%s, '8490' || lpad(n::text, 7, '0')), ''
               FROM campaigns, generate_series(1, %s) n WHERE id = %s RETURNING 1""",
            number,
            calls,
            campaign_id,
        )

    async def twins(self, campaign_id: int, number: int) -> list[int]:
        """More running campaigns with the same script and lines, each with a cap of its own."""
        made = await rows(
            self.db,
            """WITH cap AS (
                   INSERT INTO limits (account_id, kind) SELECT account_id, 'campaign'
                   FROM campaigns, generate_series(1, %s) WHERE id = %s RETURNING id
               )
               INSERT INTO campaigns (account_id, user_id, name, kind, purpose, state, script_id,
                                      script_version, hotline_ids, config, limit_id)
               SELECT account_id, user_id, name, kind, purpose, state, script_id, script_version,
                      hotline_ids, config, cap.id FROM campaigns, cap WHERE campaigns.id = %s
               RETURNING campaigns.id""",
            number,
            campaign_id,
            campaign_id,
        )
        return sorted(id_ for (id_,) in made)

    async def slow_down(self, table: str, seconds: float) -> None:
        """Have every statement that writes the table take so much longer, with all its locks held."""
        async with self.db.autocommit() as connection:
            await connection.execute(SLOW.format(table=table, seconds=seconds))

    async def is_slow(self) -> bool:
        """True while such a statement runs."""
        return bool(await self._waiting("wait_event = 'PgSleep'"))

    async def waiting_for_locks(self) -> int:
        return await self._waiting("wait_event_type = 'Lock'")

    async def _waiting(self, for_what: LiteralString) -> int:
        found = await rows(
            self.db,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND " + for_what,
        )
        return int(found[0][0])

    @asynccontextmanager
    async def locked(self, query: LiteralString, *values: object) -> AsyncIterator[None]:
        """Holds the rows that the query locks, for as long as a test needs."""
        connection = await self.db.dedicated()
        try:
            async with connection.transaction():
                await connection.execute(query, values)
                yield
        finally:
            await connection.close()

    async def presences(self) -> set[int]:
        """Server processes that hold the lock of a living dialer."""
        found = await rows(
            self.db,
            """SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 7341 AND granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
        )
        return {pid for (pid,) in found}

    async def cut_presence(self, dialer_id: int) -> None:
        """Take away the connection on which a dialer says that it lives, and wait until it has another."""
        before = await self.presences()
        gone = await rows(
            self.db,
            """SELECT pid, pg_terminate_backend(pid) FROM pg_locks
               WHERE locktype = 'advisory' AND classid = 7341 AND objid = %s
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
            dialer_id,
        )
        cut = {pid for pid, _ in gone}

        async def back() -> bool:
            now = await self.presences()
            return len(now) == len(before) and not now & cut

        await eventually(back)

    async def floor_age(self, campaign_id: int) -> timedelta:
        found = await rows(
            self.db, "SELECT clock_timestamp() - floor_at FROM campaigns WHERE id = %s", campaign_id
        )
        age: timedelta = found[0][0]
        return age

    async def outcomes(self) -> dict[str, int]:
        """Finished calls by outcome, as the counters have them."""
        return dict(await rows(self.db, "SELECT outcome, sum(calls)::int FROM outcome_counts GROUP BY 1"))

    async def all_done(self) -> bool:
        return not await rows(self.db, "SELECT FROM calls WHERE state <> 'done' LIMIT 1")
