"""An entry of the audit log. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Action = Literal[
    "campaign.attested", "campaign.changed", "template.created", "template.changed", "template.archived"
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
    """The campaign's or template's."""
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
