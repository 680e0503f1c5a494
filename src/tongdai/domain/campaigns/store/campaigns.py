"""SQL about campaigns, templates and progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from psycopg import AsyncCursor
from psycopg.rows import class_row, dict_row

from tongdai.domain.campaigns.declared import DeclaredField
from tongdai.domain.campaigns.model import Campaign, CampaignConfig, Mandate, Template, TemplateConfig
from tongdai.kit.db import Sql, Tx

R = TypeVar("R")

_CAMPAIGN: Sql = """
    c.id, c.account_id, c.user_id, c.project_id, c.template_id, c.name, c.kind, c.purpose, c.state,
    c.takes_imports, c.script_id, c.script_version, c.hotline_ids, c.config::text AS config,
    c.fields::text AS fields, c.advertiser, c.attestation_id, c.limit_id,
    l.max_channels, l.max_cps, c.waiting_reason, c.waiting_since, c.waiting_until, c.created_at, c.started_at,
    c.ended_at"""

# --------------------------------------------------------------------------- campaigns

# What a campaign or template names, as far as the account has it. By primary keys.
FIND_PARTS: Sql = """
    WITH script AS (
        SELECT s.version, jsonb_path_exists(v.body, '$.steps.*.kind ? (@ == "read_code")') AS reads_code
          FROM scripts AS s JOIN script_versions AS v ON v.script_id = s.id AND v.version = s.version
         WHERE s.id = %(script_id)s AND s.account_id = %(account_id)s AND s.archived_at IS NULL
    )
    SELECT (SELECT version FROM script) AS script_version,
           coalesce((SELECT reads_code FROM script), false) AS script_reads_code,
           ARRAY(SELECT id FROM hotlines
                  WHERE id = ANY(%(hotline_ids)s) AND account_id = %(account_id)s) AS hotline_ids,
           EXISTS (SELECT FROM hotlines
                    WHERE id = ANY(%(hotline_ids)s) AND account_id = %(account_id)s AND brand_name IS NOT NULL
                      AND brand_until >= (clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
                  ) AS branded,
           EXISTS (SELECT FROM users WHERE id = %(user_id)s AND account_id = %(account_id)s) AS user_known,
           EXISTS (SELECT FROM projects
                    WHERE id = %(project_id)s AND account_id = %(account_id)s) AS project_known"""

# A campaign with its own row of caps.
INSERT_CAMPAIGN: Sql = f"""
    WITH l AS (
        INSERT INTO limits (account_id, kind, max_channels, max_cps)
        VALUES (%(account_id)s, 'campaign', %(max_channels)s, %(max_cps)s)
        RETURNING id, max_channels, max_cps
    ), c AS (
        INSERT INTO campaigns (account_id, user_id, project_id, template_id, name, kind, purpose, state,
                               takes_imports, script_id, script_version, hotline_ids, config, fields,
                               advertiser, attestation_id, limit_id, started_at)
        SELECT %(account_id)s, %(user_id)s, %(project_id)s, %(template_id)s, %(name)s, %(kind)s, %(purpose)s,
               %(state)s, %(takes_imports)s, %(script_id)s, %(script_version)s, %(hotline_ids)s,
               %(config)s::jsonb, %(fields)s::jsonb, %(advertiser)s, %(attestation_id)s, l.id,
               CASE WHEN %(state)s = 'running' THEN clock_timestamp() END
          FROM l
        RETURNING *
    )
    SELECT {_CAMPAIGN} FROM c, l"""  # noqa: S608

# One campaign. By primary key.
GET_CAMPAIGN: Sql = f"""
    SELECT {_CAMPAIGN} FROM campaigns AS c JOIN limits AS l ON l.id = c.limit_id
     WHERE c.id = %(id)s AND c.account_id = %(account_id)s"""  # noqa: S608

# Campaigns of an account in id order. Index campaigns_account.
LIST_CAMPAIGNS: Sql = f"""
    SELECT {_CAMPAIGN} FROM campaigns AS c JOIN limits AS l ON l.id = c.limit_id
     WHERE c.account_id = %(account_id)s AND c.id > %(after)s
     ORDER BY c.id LIMIT %(limit)s"""  # noqa: S608

# Changes the state if it is one that the action may start from. By primary key.
MOVE_CAMPAIGN: Sql = """
    UPDATE campaigns
       SET state = %(target)s,
           started_at = CASE WHEN %(target)s = 'running' THEN coalesce(started_at, clock_timestamp())
                             ELSE started_at END,
           ended_at = CASE WHEN %(target)s IN ('stopped', 'finished') THEN clock_timestamp() END,
           waiting_reason = NULL, waiting_since = NULL, waiting_until = NULL
     WHERE id = %(id)s AND account_id = %(account_id)s AND state = ANY(%(sources)s)"""

# New caps. Before the campaign's row: a claim locks in this order, limits first. The last slot that was given
# stays, and the next one comes after it by the new spacing. By primary key.
UPDATE_CAPS: Sql = """
    UPDATE limits
       SET max_channels = %(max_channels)s, max_cps = %(max_cps)s,
           next_slot_at = least(next_slot_at,
                                greatest(clock_timestamp(), next_slot_at - make_interval(secs => 1 / max_cps))
                                + coalesce(make_interval(secs => 1 / %(max_cps)s::float8), interval '0'))
     WHERE id = %(limit_id)s AND account_id = %(account_id)s"""

# New name, hotlines and configuration, while nothing is dialled; and a new mandate, of which purpose and
# advertiser belong to a draft alone. Tells the mandate before and after. By primary key.
UPDATE_CAMPAIGN: Sql = """
    UPDATE campaigns
       SET name = %(name)s, hotline_ids = %(hotline_ids)s, config = %(config)s::jsonb,
           purpose = coalesce(%(purpose)s, purpose), advertiser = coalesce(%(advertiser)s, advertiser),
           attestation_id = CASE WHEN %(attests)s THEN %(attestation_id)s::bigint ELSE attestation_id END
     WHERE id = %(id)s AND account_id = %(account_id)s
       AND (state = 'draft'
            OR state = 'paused' AND %(purpose)s::text IS NULL AND %(advertiser)s::text IS NULL)
 RETURNING old.purpose, old.advertiser, old.attestation_id, new.purpose, new.advertiser, new.attestation_id"""

# Whether a campaign was ever given a call. By primary key.
HAS_CALLS: Sql = """
    SELECT EXISTS (SELECT FROM campaign_intake
                    WHERE campaign_id = %(id)s AND account_id = %(account_id)s AND calls > 0)"""

# Running campaigns that take no more imports and seem to be done, locked; one that is being claimed or
# imported into is passed over. Index campaigns_running.
LOCK_DRY: Sql = """
    SELECT c.id FROM campaigns AS c
     WHERE c.state = 'running' AND NOT c.takes_imports
       AND (SELECT sum(calls) FROM campaign_intake WHERE campaign_id = c.id)
           = (SELECT sum(calls) FROM outcome_counts WHERE campaign_id = c.id)
     ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED"""

# Finishes those of them that are done indeed: a statement of its own, because only its snapshot is sure to
# hold an import that committed before the lock was taken. One whose contact file is still being read is not
# done. Index contact_files_feeding.
FINISH_DRY: Sql = """
    UPDATE campaigns AS c SET state = 'finished', ended_at = clock_timestamp(),
           waiting_reason = NULL, waiting_since = NULL, waiting_until = NULL
     WHERE c.id = ANY(%(ids)s) AND c.state = 'running'
       AND (SELECT sum(calls) FROM campaign_intake WHERE campaign_id = c.id)
           = (SELECT sum(calls) FROM outcome_counts WHERE campaign_id = c.id)
       AND NOT EXISTS (SELECT FROM contact_files
                        WHERE campaign_id = c.id AND state IN ('received', 'reading'))
 RETURNING c.id"""

# Everything that progress is made of, in one snapshot. By primary keys, and calls_due from the floor on.
GET_PROGRESS: Sql = """
    SELECT c.id AS campaign_id, c.state, c.waiting_reason, c.waiting_since, c.waiting_until, l.live,
           (SELECT coalesce(sum(calls), 0)::bigint FROM campaign_intake WHERE campaign_id = c.id) AS accepted,
           (SELECT coalesce(jsonb_object_agg(outcome, calls), '{}')
              FROM (SELECT outcome, sum(calls) AS calls FROM outcome_counts
                     WHERE campaign_id = c.id GROUP BY 1) AS o) AS outcomes,
           (SELECT coalesce(jsonb_object_agg(rule, calls), '{}') FROM outcome_counts
             WHERE campaign_id = c.id AND outcome = 'blocked' AND rule <> '') AS blocked_by,
           (SELECT due_at FROM calls
             WHERE campaign_id = c.id AND state = 'queued' AND (due_at, id) >= (c.floor_at, c.floor_id)
             ORDER BY due_at, id LIMIT 1) AS next_due_at
      FROM campaigns AS c JOIN limits AS l ON l.id = c.limit_id
     WHERE c.id = %(id)s AND c.account_id = %(account_id)s"""


@dataclass(frozen=True, slots=True)
class Parts:
    script_version: int | None
    script_reads_code: bool
    hotline_ids: list[int]
    branded: bool
    """True: one of the hotlines has a brand name that is valid today."""
    user_known: bool
    project_known: bool


@dataclass(frozen=True, slots=True)
class ProgressRow:
    campaign_id: int
    state: str
    waiting_reason: str | None
    waiting_since: datetime | None
    waiting_until: datetime | None
    live: int
    accepted: int
    outcomes: dict[str, int]
    blocked_by: dict[str, int]
    next_due_at: datetime | None


async def find_parts(
    tx: Tx,
    account_id: int,
    *,
    script_id: int | None,
    hotline_ids: Sequence[int],
    user_id: int | None,
    project_id: int | None,
) -> Parts:
    values = {
        "account_id": account_id,
        "script_id": script_id,
        "hotline_ids": list(hotline_ids),
        "user_id": user_id,
        "project_id": project_id,
    }
    async with tx.cursor(row_factory=class_row(Parts)) as cursor:
        await cursor.execute(FIND_PARTS, values)
        return await _the_row(cursor)


async def insert_campaign(
    tx: Tx, values: Mapping[str, object], config: CampaignConfig, fields: Sequence[DeclaredField]
) -> Campaign:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(INSERT_CAMPAIGN, {**values, "config": _jsonb(config), "fields": _jsonb(fields)})
        return _campaign(await _the_row(cursor))


async def get_campaign(tx: Tx, account_id: int, campaign_id: int) -> Campaign | None:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(GET_CAMPAIGN, {"id": campaign_id, "account_id": account_id})
        row = await cursor.fetchone()
        return _campaign(row) if row else None


async def list_campaigns(tx: Tx, account_id: int, after: int, limit: int) -> list[Campaign]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(LIST_CAMPAIGNS, {"account_id": account_id, "after": after, "limit": limit})
        return [_campaign(row) for row in await cursor.fetchall()]


async def move_campaign(
    tx: Tx, account_id: int, campaign_id: int, sources: Sequence[str], target: str
) -> bool:
    """True: the state was one of `sources` and is `target` now."""
    values = {"id": campaign_id, "account_id": account_id, "sources": list(sources), "target": target}
    return (await tx.execute(MOVE_CAMPAIGN, values)).rowcount == 1


async def update_caps(tx: Tx, campaign: Campaign, max_channels: int | None, max_cps: float | None) -> None:
    values = {
        "limit_id": campaign.limit_id,
        "account_id": campaign.account_id,
        "max_channels": max_channels,
        "max_cps": max_cps,
    }
    await tx.execute(UPDATE_CAPS, values)


async def update_campaign(
    tx: Tx,
    campaign: Campaign,
    *,
    name: str,
    hotline_ids: Sequence[int],
    config: CampaignConfig,
    mandate: Mapping[str, object],
) -> tuple[Mandate, Mandate] | None:
    """The mandate before and after; what `mandate` leaves out stays. None: its state forbids the change."""
    values = {
        "id": campaign.id,
        "account_id": campaign.account_id,
        "name": name,
        "hotline_ids": list(hotline_ids),
        "config": _jsonb(config),
        "purpose": mandate.get("purpose"),
        "advertiser": mandate.get("advertiser"),
        "attests": "attestation_id" in mandate,
        "attestation_id": mandate.get("attestation_id"),
    }
    row = await (await tx.execute(UPDATE_CAMPAIGN, values)).fetchone()
    return None if row is None else (Mandate(*row[:3]), Mandate(*row[3:]))


async def has_calls(tx: Tx, account_id: int, campaign_id: int) -> bool:
    cursor = await tx.execute(HAS_CALLS, {"id": campaign_id, "account_id": account_id})
    return bool((await _the_row(cursor))[0])


async def finish_dry(tx: Tx) -> list[int]:
    locked = [row[0] for row in await (await tx.execute(LOCK_DRY)).fetchall()]
    if not locked:
        return []
    cursor = await tx.execute(FINISH_DRY, {"ids": locked})
    return [row[0] for row in await cursor.fetchall()]


async def get_progress(tx: Tx, account_id: int, campaign_id: int) -> ProgressRow | None:
    async with tx.cursor(row_factory=class_row(ProgressRow)) as cursor:
        await cursor.execute(GET_PROGRESS, {"id": campaign_id, "account_id": account_id})
        return await cursor.fetchone()


# --------------------------------------------------------------------------- templates

_TEMPLATE: Sql = "id, account_id, project_id, name, config::text AS config, created_at, archived_at"

# A template.
INSERT_TEMPLATE: Sql = f"""
    INSERT INTO templates (account_id, project_id, name, config)
    VALUES (%(account_id)s, %(project_id)s, %(name)s, %(config)s::jsonb)
 RETURNING {_TEMPLATE}"""  # noqa: S608

# One template that is not archived, until it is changed. By primary key.
LOCK_TEMPLATE: Sql = f"""
    SELECT {_TEMPLATE} FROM templates
     WHERE id = %(id)s AND account_id = %(account_id)s AND archived_at IS NULL FOR NO KEY UPDATE"""  # noqa: S608

# One template, archived or not. By primary key.
GET_TEMPLATE: Sql = f"SELECT {_TEMPLATE} FROM templates WHERE id = %(id)s AND account_id = %(account_id)s"  # noqa: S608

# Templates of an account in id order. Index templates_account.
LIST_TEMPLATES: Sql = f"""
    SELECT {_TEMPLATE} FROM templates WHERE account_id = %(account_id)s AND id > %(after)s
     ORDER BY id LIMIT %(limit)s"""  # noqa: S608

# Everything of a template that is not archived. By primary key.
UPDATE_TEMPLATE: Sql = f"""
    UPDATE templates SET project_id = %(project_id)s, name = %(name)s, config = %(config)s::jsonb
     WHERE id = %(id)s AND account_id = %(account_id)s AND archived_at IS NULL
 RETURNING {_TEMPLATE}"""  # noqa: S608

# Takes a template out of use. By primary key.
ARCHIVE_TEMPLATE: Sql = """
    UPDATE templates SET archived_at = clock_timestamp()
     WHERE id = %(id)s AND account_id = %(account_id)s AND archived_at IS NULL"""


async def insert_template(
    tx: Tx, account_id: int, project_id: int | None, name: str, config: TemplateConfig
) -> Template:
    values = {"account_id": account_id, "project_id": project_id, "name": name, "config": _jsonb(config)}
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(INSERT_TEMPLATE, values)
        return _template(await _the_row(cursor))


async def get_template(tx: Tx, account_id: int, template_id: int) -> Template | None:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(GET_TEMPLATE, {"id": template_id, "account_id": account_id})
        row = await cursor.fetchone()
        return _template(row) if row else None


async def lock_template(tx: Tx, account_id: int, template_id: int) -> Template | None:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(LOCK_TEMPLATE, {"id": template_id, "account_id": account_id})
        row = await cursor.fetchone()
        return _template(row) if row else None


async def list_templates(tx: Tx, account_id: int, after: int, limit: int) -> list[Template]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(LIST_TEMPLATES, {"account_id": account_id, "after": after, "limit": limit})
        return [_template(row) for row in await cursor.fetchall()]


async def update_template(
    tx: Tx, account_id: int, template_id: int, project_id: int | None, name: str, config: TemplateConfig
) -> Template:
    """Of a template that is locked."""
    values = {
        "id": template_id,
        "account_id": account_id,
        "project_id": project_id,
        "name": name,
        "config": _jsonb(config),
    }
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(UPDATE_TEMPLATE, values)
        return _template(await _the_row(cursor))


async def archive_template(tx: Tx, account_id: int, template_id: int) -> None:
    """One that is locked."""
    await tx.execute(ARCHIVE_TEMPLATE, {"id": template_id, "account_id": account_id})


# --------------------------------------------------------------------------- rows


def _jsonb(value: msgspec.Struct | Sequence[msgspec.Struct]) -> str:
    return msgspec.json.encode(value).decode()


def _campaign(row: Mapping[str, Any]) -> Campaign:
    config = msgspec.json.decode(row["config"], type=CampaignConfig)
    fields = msgspec.json.decode(row["fields"], type=tuple[DeclaredField, ...])
    return Campaign(**{**row, "config": config, "fields": fields})


def _template(row: Mapping[str, Any]) -> Template:
    return Template(**{**row, "config": msgspec.json.decode(row["config"], type=TemplateConfig)})


async def _the_row(cursor: AsyncCursor[R]) -> R:
    row = await cursor.fetchone()
    assert row is not None
    return row
