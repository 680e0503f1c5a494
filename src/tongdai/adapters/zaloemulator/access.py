"""Who calls: the access token in a header of that name, the app's proof, its limit, its state."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, RefusedError
from tongdai.adapters.zaloemulator.fixtures import App, Oa

REMAIN: Final = "ratelimit-remain"
LIMIT: Final = "ratelimit-limit"


@dataclass(frozen=True, slots=True)
class Caller:
    app: App
    oa: Oa


Answering = Callable[[Core, Ask, Caller], Answer]


def proof_of(secret: str, access_token: str) -> str:
    """`appsecret_proof`, as Zalo's SDKs make it."""
    return hmac.new(secret.encode(), access_token.encode(), hashlib.sha256).hexdigest()


def openapi_caller(core: Core, ask: Ask) -> Caller:
    """Who calls the OA API. Raises RefusedError."""
    token = ask.headers.get("access_token", "")
    holder = core.tokens.holder(token)
    if holder.state != "live":
        raise RefusedError(-216 if holder.state == "unknown" else -220)
    caller = _caller(core, ask, holder.app_id, holder.oa_id, gone=(-219, -205))
    _limit(core, ask, caller.app, "openapi", caller.app.rate_limit)
    _proof(ask, caller.app, token, -242)
    if caller.app.removed:
        raise RefusedError(-219)
    if not caller.app.active:
        raise RefusedError(-209)
    if not caller.app.api_registered:
        raise RefusedError(-212)
    if caller.oa.disabled:
        raise RefusedError(-204)
    if not core.tokens.lets_in(caller.app.app_id, caller.oa.oa_id):
        raise RefusedError(-223)
    return caller


def business_caller(core: Core, ask: Ask) -> Caller:
    """Who calls the message API: the token and the proof. Raises RefusedError."""
    token = ask.headers.get("access_token", "")
    holder = core.tokens.holder(token)
    if holder.state != "live":
        raise RefusedError(-124)
    caller = _caller(core, ask, holder.app_id, holder.oa_id, gone=(-101, -105))
    _limit(core, ask, caller.app, "business", caller.app.business_rate_limit)
    _proof(ask, caller.app, token, -1241)
    return caller


def check_sender(core: Core, caller: Caller) -> None:
    """Whether the app and the OA may send at all. Raises RefusedError."""
    app, oa = caller.app, caller.oa
    if not app.active or app.removed:
        raise RefusedError(-103)
    if oa.disabled or not core.tokens.lets_in(app.app_id, oa.oa_id):
        raise RefusedError(-105)
    if oa.blocked:
        raise RefusedError(-1351)
    if not oa.is_verified or not oa.package_name:
        raise RefusedError(-135)
    if not oa.linked_zca:
        raise RefusedError(-136)


def _caller(core: Core, ask: Ask, app_id: int | None, oa_id: int | None, *, gone: tuple[int, int]) -> Caller:
    ask.app_id, ask.oa_id = app_id, oa_id
    app = core.world.apps.get(app_id or 0)
    if app is None:
        raise RefusedError(gone[0])
    oa = core.world.oas.get(oa_id or 0)
    if oa is None:
        raise RefusedError(gone[1])
    return Caller(app, oa)


def _limit(core: Core, ask: Ask, app: App, bucket: Literal["openapi", "business"], limit: int | None) -> None:
    if limit is None:
        return
    left = core.buckets.take(bucket, app.app_id, limit)
    ask.detail[LIMIT], ask.detail[REMAIN] = limit, max(0, left)
    if left < 0:
        raise RefusedError(-32)


def _proof(ask: Ask, app: App, token: str, code: int) -> None:
    proof = ask.headers.get("appsecret_proof")
    if proof is None:
        if app.require_proof:
            raise RefusedError(code)
        return
    told = proof.encode(errors="surrogateescape")
    if not hmac.compare_digest(told, proof_of(app.secret, token).encode()):
        raise RefusedError(code)
