"""The answers of SenCloud's API: bare objects, in the shapes that both vendors share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from tongdai.domain.accounts import Account
from tongdai.domain.zalo import Oa, Page, Paging
from tongdai.facades._shared import zalo_shapes
from tongdai.facades._shared.paging import shown_paging
from tongdai.facades.sencloud.errors import Failure
from tongdai.ports.services import ZaloOptions

Answer = Mapping[str, Any]
Row = TypeVar("Row")


class Refused(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as Twirp writes it."""

    code: str
    msg: str
    meta: Mapping[str, str] = {}


def refused(failure: Failure) -> Refused:
    return Refused(failure.code, failure.msg, failure.meta)


def oa(row: Oa, options: ZaloOptions) -> dict[str, Any]:
    """An Official Account as ConnectOA answers it. By setting its owner is also under `owner_id`, which the
    page's table has where its schema has `onwer_id`."""
    shape = zalo_shapes.oa(row, capitals=options.capital_enums)
    return {**shape, "owner_id": shape["onwer_id"]} if options.owner_id else shape


def listed_oa(row: Oa, options: ZaloOptions) -> dict[str, Any]:
    """With its webhook's address, as ListOA has it."""
    return {**oa(row, options), "webhook_url": row.webhook_url}


def whole_oa(row: Oa, options: ZaloOptions) -> dict[str, Any]:
    """With its webhook's address and its promotion quotas, as GetShopOA has it."""
    return {**oa(row, options), **zalo_shapes.oa_extras(row)}


def listed(name: str, shape: Callable[[Row], dict[str, Any]], paging: Paging, page: Page[Row]) -> Answer:
    """A page of a list, under the list's own name."""
    return {name: [shape(row) for row in page.items], "paging": shown_paging(paging, page)}


def account(row: Account, kind: str) -> Answer:
    """Whose key was sent. `kind`: shop or partner, as the caller calls themselves."""
    return {"id": str(row.id), "image_url": "", "name": row.name, "type": kind, "website": ""}
