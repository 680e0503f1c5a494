"""Use cases of connected Official Accounts: look at them, and say where their events go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tongdai.domain import webhooks
from tongdai.domain.zalo.errors import OaNotFoundError, OaNotNamedError
from tongdai.domain.zalo.model import Oa, OaFilter, OaState, Page, Paging
from tongdai.domain.zalo.store import oas
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx


async def get_oa(tx: Tx, account_id: int, oa_id: int | None) -> Oa:
    """The Official Account of this id at Zalo, whatever became of it. None: the only connected one, or the
    only one that needs consent where none is connected.

    Raises OaNotFoundError, for a stranger's too; OaNotNamedError.
    """
    if oa_id is None:
        found = await oas.meant(tx, account_id)
        check_one_is_meant([state for _, state in found])
        oa_id = found[0][0]
    oa = await oas.get(tx, account_id, oa_id)
    if oa is None:
        raise OaNotFoundError(oa_id=oa_id)
    return _typed(oa)


def check_one_is_meant(states: Sequence[str]) -> None:
    """That it is clear which Official Account is meant where none is named: the first one of these, which are
    those of the account that may be meant, two at most, the connected ones first.

    Raises OaNotNamedError.
    """
    if not states or (len(states) > 1 and states[0] == states[1]):
        raise OaNotNamedError


async def list_oas(tx: Tx, account_id: int, wanted: OaFilter, paging: Paging) -> Page[Oa]:
    """Whatever became of them, in the order in which they were connected first."""
    found = await oas.list_(tx, account_id, wanted, paging)
    return paging.page([_typed(oa) for oa in found], lambda oa: oa.id)


async def update_oa(
    tx: Tx, account_id: int, oa_id: int, *, webhook_url: str, allow_private: bool, keyring: Keyring
) -> Oa:
    """Say where its events are passed on to; "" removes that. `allow_private` is the operator's setting of
    addresses that are not public.

    Raises OaNotFoundError, webhooks.EndpointInvalidError, webhooks.TooManyEndpointsError.
    """
    oa_ref = await oas.hold(tx, account_id, oa_id)
    if oa_ref is None:
        raise OaNotFoundError(oa_id=oa_id)
    endpoint_id = await webhooks.relay_to(
        tx, keyring, account_id, oa_ref, webhook_url, allow_private=allow_private
    )
    await oas.set_webhook(tx, account_id, oa_id, webhook_url, endpoint_id)
    return await get_oa(tx, account_id, oa_id)


async def lead_back(tx: Tx, account_id: int, app_id: int, redirect_uri: str) -> None:
    """The app's callback address at Zalo, of which it has one, is another now: whoever grants access to one
    of its Official Accounts again comes back there."""
    await oas.lead_back(tx, account_id, app_id, redirect_uri)


def _typed(oa: Oa) -> Oa:
    return replace(oa, state=OaState(oa.state))
