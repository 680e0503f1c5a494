"""Who changed what that must be answered for: an append-only log of each account."""

from tongdai.domain.audit.model import Action, Entry
from tongdai.domain.audit.service import list_entries, record

__all__ = ["Action", "Entry", "list_entries", "record"]
