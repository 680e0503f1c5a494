"""Trunks and hotlines: which of them calls a number."""

from tongdai.domain.routing.errors import (
    HotlineInvalidError,
    HotlineNotFoundError,
    HotlineNumberTakenError,
    TrunkInvalidError,
    TrunkNameTakenError,
    TrunkNotFoundError,
)
from tongdai.domain.routing.model import Hotline, HotlineChoice, Trunk, choose_hotline, why_no_hotline
from tongdai.domain.routing.service import (
    create_hotline,
    create_trunk,
    get_hotline,
    get_trunk,
    list_hotlines,
    list_trunks,
    update_hotline,
    update_trunk,
)

__all__ = [
    "Hotline",
    "HotlineChoice",
    "HotlineInvalidError",
    "HotlineNotFoundError",
    "HotlineNumberTakenError",
    "Trunk",
    "TrunkInvalidError",
    "TrunkNameTakenError",
    "TrunkNotFoundError",
    "choose_hotline",
    "create_hotline",
    "create_trunk",
    "get_hotline",
    "get_trunk",
    "list_hotlines",
    "list_trunks",
    "update_hotline",
    "update_trunk",
    "why_no_hotline",
]
