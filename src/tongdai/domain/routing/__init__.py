"""Trunks and hotlines: which of them calls a number."""

from tongdai.domain.routing.errors import (
    HotlineInvalidError,
    HotlineNotFoundError,
    HotlineNumberTakenError,
    TrunkInvalidError,
    TrunkNameTakenError,
    TrunkNotFoundError,
)
from tongdai.domain.routing.model import Hotline, Trunk, network_distance
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
    "HotlineInvalidError",
    "HotlineNotFoundError",
    "HotlineNumberTakenError",
    "Trunk",
    "TrunkInvalidError",
    "TrunkNameTakenError",
    "TrunkNotFoundError",
    "create_hotline",
    "create_trunk",
    "get_hotline",
    "get_trunk",
    "list_hotlines",
    "list_trunks",
    "network_distance",
    "update_hotline",
    "update_trunk",
]
