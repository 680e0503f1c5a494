"""A journey's row and what is shown of it: its token is sealed in the one and open in the other."""

from __future__ import annotations

from tongdai.domain.zalo.model import Journey, JourneyState
from tongdai.domain.zalo.store.journeys import JourneyRow
from tongdai.kit.crypto import Keyring


def seal_token(keyring: Keyring, account_id: int, token: str) -> bytes:
    """For the account alone."""
    return keyring.seal(token.encode(), context=_context(account_id))


def opened(keyring: Keyring, row: JourneyRow) -> Journey:
    """With its token. Raises SealBrokenError."""
    token = row.token
    if token is None:
        return shown(row, None)
    return shown(row, keyring.open(token, context=_context(row.account_id)).decode())


def shown(row: JourneyRow, token: str | None) -> Journey:
    """With the token that is given."""
    return Journey(
        id=row.id,
        account_id=row.account_id,
        oa_ref=row.oa_ref,
        oa_id=row.oa_id,
        phone=row.phone,
        token_type=row.token_type,
        state=JourneyState(row.state),
        journey_id=row.journey_id,
        token=token,
        error_code=row.error_code,
        error_message=row.error_message,
        charged=row.charged,
        charged_at=row.charged_at,
        price=row.net + row.vat,
        created_at=row.created_at,
        expires_at=row.expires_at,
        updated_at=row.updated_at,
    )


def _context(account_id: int) -> str:
    return f"zalo.journey/{account_id}"
