"""An entry of the audit log. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Action = Literal[
    "campaign.attested",
    "campaign.changed",
    "template.created",
    "template.changed",
    "template.archived",
    "recording.deleted",
    "recording_rule.changed",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. It stays as it was written."""

    id: int
    account_id: int
    user_id: int | None
    """Who; None: the platform itself."""
    at: datetime
    action: Action
    subject_id: int
    """The campaign's, template's or recording's; of a rule for recordings its campaign's, 0 of the account's
    own."""
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
