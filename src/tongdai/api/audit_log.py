"""`GET /v1/audit-log`: who changed what that must be answered for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import get

from tongdai.api.auth import NEEDS_OWNER, CalledBy, Wired
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import audit


class AuditEntry(msgspec.Struct, frozen=True):
    """One change. Entries are only ever added."""

    id: int
    at: datetime
    user_id: int | None
    """Who; null: the platform itself."""
    action: audit.Action
    """`campaign.attested`: a campaign was made on the word of an attestation. `campaign.changed`: its
    purpose, advertiser or attestation was. `recording_rule.changed`: how long recordings are kept."""
    subject_id: int
    """The campaign's, template's or recording's; of a rule for recordings its campaign's, 0 of the account's
    own."""
    before: dict[str, Any] | None
    """What was changed, as it was; of a template everything."""
    after: dict[str, Any] | None
    """And as it is since then."""

    @classmethod
    def of(cls, row: audit.Entry) -> AuditEntry:
        return cls(
            id=row.id,
            at=shown_time(row.at),
            user_id=row.user_id,
            action=row.action,
            subject_id=row.subject_id,
            before=None if row.before is None else dict(row.before),
            after=None if row.after is None else dict(row.after),
        )


class AuditPage(msgspec.Struct, frozen=True):
    """Changes, oldest first."""

    items: list[AuditEntry]
    next: str | None
    """Cursor of the next page; null on the last."""


@get(
    "/audit-log",
    operation_id="listAuditLog",
    summary="List who changed what",
    tags=["Audit log"],
    opt=NEEDS_OWNER,
    responses=answers(),
)
async def list_audit_log(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> AuditPage:
    """Changes of templates, and of what campaigns are for and on whose word, oldest first. For owners."""
    async with services.db.transaction() as tx:
        rows = await audit.list_entries(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return AuditPage([AuditEntry.of(row) for row in shown], further)
