"""The endpoint behind an Official Account's `webhook_url`: what Zalo tells of that one is passed on to it."""

from __future__ import annotations

from tongdai.domain.webhooks.errors import EndpointInvalidError
from tongdai.domain.webhooks.events import FORMATS
from tongdai.domain.webhooks.model import Endpoint, origin, url_faults
from tongdai.domain.webhooks.service import SEAL, new_secret, resume_endpoint
from tongdai.domain.webhooks.store import endpoints
from tongdai.domain.webhooks.store.endpoints import EndpointValues
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx

FORMAT = "zalo"
_IN_FLIGHT = 8


async def relay_to(
    tx: Tx, keyring: Keyring, account_id: int, oa_ref: int, url: str, *, allow_private: bool
) -> int | None:
    """Passes the events of one Official Account on to this address from now on; "": to none.

    Returns the id of the endpoint, which is one like others: signed, paused, replayed, seen. It is not
    counted among those that an account may make. Another address keeps the secret, resumes it if it had
    paused itself, and does not take the auth header along to another host. The caller holds the Official
    Account, so that nobody else makes a second one.

    Raises EndpointInvalidError.
    """
    old = await endpoints.get_of_oa(tx, account_id, oa_ref)
    if not url:
        if old is not None:
            await endpoints.delete(tx, account_id, old.id, None)
        return None
    faults = list(url_faults(url, allow_private=allow_private))
    if faults:
        raise EndpointInvalidError(errors=faults)
    if old is None:
        secret = keyring.seal(new_secret().encode(), context=SEAL)
        return (await endpoints.add(tx, account_id, _values(url), secret, oa_ref=oa_ref)).id
    if old.url != url:
        await _move(tx, old, url)
    return old.id


async def _move(tx: Tx, old: Endpoint, url: str) -> None:
    keeps_header = origin(url) == origin(old.url)
    await endpoints.set_(tx, old.account_id, old.id, _values(url, old), keep_auth_header=keeps_header)
    if old.pause_reason != "customer":
        await resume_endpoint(tx, old.account_id, old.id)


def _values(url: str, old: Endpoint | None = None) -> EndpointValues:
    return EndpointValues(
        url=url,
        format=FORMAT,
        events=sorted(FORMATS[FORMAT]),
        description="" if old is None else old.description,
        options={} if old is None else old.options,
        auth_header=None,
        enabled=True if old is None else old.enabled,
        max_in_flight=_IN_FLIGHT if old is None else old.max_in_flight,
    )
