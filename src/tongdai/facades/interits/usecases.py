"""What Interits' API can be asked for: read the fields, call one use case, show what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from litestar.types import Scope

from tongdai.domain import accounts, zalo
from tongdai.domain.accounts import Caller, Role
from tongdai.domain.zalo import ACCESS_GONE, JourneyState, MessageState, ZnsMessage
from tongdai.facades._shared import zalo_requests as wanted
from tongdai.facades._shared.fields import Fields
from tongdai.facades._shared.paging import read_paging
from tongdai.facades._shared.zalo_owners import owned
from tongdai.facades.interits import responses
from tongdai.facades.interits.errors import ConsentGoneError
from tongdai.facades.interits.requests import read_idempotency_key
from tongdai.kit.db import Tx
from tongdai.ports.services import Services

LONGEST_ID: Final = 100
LONGEST_URL: Final = 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of somebody who may use the API."""

    services: Services
    caller: Caller
    fields: Fields
    scope: Scope

    @property
    def account_id(self) -> int:
        return self.caller.account_id

    @property
    def capitals(self) -> bool:
        return self.services.zalo_options.capital_enums

    def required(self, name: str) -> str:
        """An id that must be there. Raises InvalidError."""
        text = self.fields.text(name, longest=LONGEST_ID).strip()
        if not text:
            self.fields.refuse(name, "is required")
        return text


class UseCase(Protocol):
    """Gives the answer's `data`. Raises what `failure_of` knows."""

    __name__: str

    async def __call__(self, asked: Asked, /) -> dict[str, Any]: ...


# ---------------------------------------------------------------- journeys


async def create_journey(asked: Asked) -> dict[str, Any]:
    """A new one each time, but for an `Idempotency-Key` that was used for the same request before."""
    asked.caller.require(Role.OPERATOR)
    row = await zalo.create_journey(
        zalo.bridge_of(asked.services),
        asked.account_id,
        asked.caller.user_id,
        oa_id=wanted.read_oa_id(asked.fields),
        phone=wanted.read_phone(asked.fields),
        token_type=wanted.read_token_type(asked.fields),
        idempotency_key=read_idempotency_key(asked.scope),
    )
    shown = responses.journey(row)
    if row.state is JourneyState.REFUSED and row.error_code == ACCESS_GONE:
        raise ConsentGoneError(shown)
    return shown


async def get_journey(asked: Asked) -> dict[str, Any]:
    """By Zalo's id or ours."""
    journey_id, oa_id = asked.required("journey_id"), wanted.read_oa_id(asked.fields)
    services = asked.services
    async with services.db.transaction() as tx:
        row = await zalo.get_journey(
            tx, services.keyring, asked.account_id, journey_id, oa_id, now=services.clock.now()
        )
    return responses.journey(row)


async def list_journeys(asked: Asked) -> dict[str, Any]:
    chosen, paging = wanted.read_journey_filter(asked.fields), read_paging(asked.fields)
    services = asked.services
    async with services.db.transaction() as tx:
        await _require_oa(tx, asked, chosen.oa_id)
        page = await zalo.list_journeys(
            tx, services.keyring, asked.account_id, chosen, paging, now=services.clock.now()
        )
    return responses.page("journeys", [responses.journey(row) for row in page.items], paging, page)


# ---------------------------------------------------------------- messages


async def send_zns(asked: Asked) -> dict[str, Any]:
    return await _send(asked, journey=False)


async def send_journey_zns(asked: Asked) -> dict[str, Any]:
    """The first one that Zalo takes of a journey is what the journey is charged for."""
    return await _send(asked, journey=True)


async def message_detail(asked: Asked) -> dict[str, Any]:
    """By Zalo's id or ours."""
    msg_id, oa_id = asked.required("msg_id"), wanted.read_oa_id(asked.fields)
    async with asked.services.db.transaction() as tx:
        row = await zalo.get_message(tx, asked.account_id, msg_id, oa_id)
    return responses.message_detail(row, capitals=asked.capitals)


async def list_messages(asked: Asked) -> dict[str, Any]:
    chosen, paging = wanted.read_message_filter(asked.fields), read_paging(asked.fields)
    async with asked.services.db.transaction() as tx:
        await _require_oa(tx, asked, chosen.oa_id)
        page = await zalo.list_messages(tx, asked.account_id, chosen, paging)
    rows = [responses.message(row, capitals=asked.capitals) for row in page.items]
    return responses.page("messages", rows, paging, page)


async def _send(asked: Asked, *, journey: bool) -> dict[str, Any]:
    asked.caller.require(Role.OPERATOR)
    row: ZnsMessage = await zalo.send_zns(
        zalo.bridge_of(asked.services),
        asked.account_id,
        asked.caller.user_id,
        oa_id=wanted.read_oa_id(asked.fields),
        request=wanted.read_zns(asked.fields, journey=journey),
    )
    shown = responses.message(row, capitals=asked.capitals)
    if row.state is MessageState.REFUSED and row.error_code == ACCESS_GONE:
        raise ConsentGoneError(shown)
    return shown


# ---------------------------------------------------------------- Official Accounts


async def list_oa(asked: Asked) -> dict[str, Any]:
    chosen, paging = wanted.read_oa_filter(asked.fields), read_paging(asked.fields)
    async with asked.services.db.transaction() as tx:
        page = await zalo.list_oas(tx, asked.account_id, chosen, paging)
        items = await owned(tx, asked.account_id, page.items)
    rows = [responses.oa(row, capitals=asked.capitals) for row in items]
    return responses.page("accounts", rows, paging, page)


async def get_shop_oa(asked: Asked) -> dict[str, Any]:
    oa_id = wanted.read_oa_id(asked.fields)
    async with asked.services.db.transaction() as tx:
        [row] = await owned(tx, asked.account_id, [await zalo.get_oa(tx, asked.account_id, oa_id)])
    return responses.shop_oa(row, capitals=asked.capitals)


async def update_shop_oa(asked: Asked) -> dict[str, Any]:
    """Where its events are passed on to; "" nowhere."""
    asked.caller.require(Role.OPERATOR)
    services = asked.services
    if asked.fields.raw("webhook_url") is None:
        asked.fields.refuse("webhook_url", "is required")
    oa_id, url = (
        wanted.read_oa_id(asked.fields),
        asked.fields.text("webhook_url", longest=LONGEST_URL).strip(),
    )
    async with services.db.transaction() as tx:
        row = await zalo.update_oa(
            tx,
            asked.account_id,
            await _oa_id(tx, asked, oa_id),
            webhook_url=url,
            allow_private=services.webhooks_allow_private,
            keyring=services.keyring,
        )
        [row] = await owned(tx, asked.account_id, [row])
    return responses.shop_oa(row, capitals=asked.capitals)


async def refresh_token(asked: Asked) -> dict[str, Any]:
    """The page at which an administrator of the OA grants access again."""
    asked.caller.require(Role.OPERATOR)
    oa_id = wanted.read_oa_id(asked.fields)
    async with asked.services.db.transaction() as tx:
        meant = await _oa_id(tx, asked, oa_id)
    return {
        "url": await zalo.renew_permission(
            zalo.bridge_of(asked.services), asked.account_id, asked.caller.user_id, meant
        )
    }


async def _oa_id(tx: Tx, asked: Asked, oa_id: int | None) -> int:
    """The one that is meant where none is named. Raises OaNotNamedError."""
    return oa_id or (await zalo.get_oa(tx, asked.account_id, None)).oa_id


async def _require_oa(tx: Tx, asked: Asked, oa_id: int | None) -> None:
    """Raises OaNotFoundError for one that is named and not the account's."""
    if oa_id is not None:
        await zalo.get_oa(tx, asked.account_id, oa_id)


# ---------------------------------------------------------------- templates


async def list_templates(asked: Asked) -> dict[str, Any]:
    chosen, paging = wanted.read_template_filter(asked.fields), read_paging(asked.fields)
    page = await zalo.list_templates(zalo.bridge_of(asked.services), asked.account_id, chosen, paging)
    rows = [responses.template(row, capitals=asked.capitals) for row in page.items]
    return responses.page("templates", rows, paging, page)


async def get_template(asked: Asked) -> dict[str, Any]:
    oa_id, template_id = wanted.read_oa_id(asked.fields), asked.fields.integer("template_id")
    if template_id is None:
        asked.fields.refuse("template_id", "is required")
    row = await zalo.get_template(zalo.bridge_of(asked.services), asked.account_id, oa_id, template_id)
    return responses.template(row, capitals=asked.capitals)


# ---------------------------------------------------------------- the account


async def current_shop(asked: Asked) -> dict[str, Any]:
    async with asked.services.db.autocommit() as tx:
        return responses.shop(await accounts.get_account(tx, asked.account_id))


USE_CASES: Final[Mapping[str, UseCase]] = {
    "create-journey": create_journey,
    "get-journey": get_journey,
    "list-journeys": list_journeys,
    "send-zns": send_zns,
    "send-journey-zns": send_journey_zns,
    "message-detail": message_detail,
    "list-messages": list_messages,
    "list-oa": list_oa,
    "get-shop-oa": get_shop_oa,
    "update-shop-oa": update_shop_oa,
    "refresh-token": refresh_token,
    "list-templates": list_templates,
    "get-template": get_template,
    "current-shop": current_shop,
}
"""By the last part of their paths."""
