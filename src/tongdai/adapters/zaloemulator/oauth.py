"""`POST /v4/oa/access_token`: codes and refresh tokens for a new pair."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import parse_qsl

from tongdai.adapters.zaloemulator import words
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, encode
from tongdai.adapters.zaloemulator.fixtures import App
from tongdai.adapters.zaloemulator.tokens import ACCESS_S, Pair, PkceRule, TokenError, digest

REF_DOC: Final = "https://developers.zalo.me/docs/official-account/phu-luc/cac-loai-ma-su-dung-trong-oauth"
MOST_FIELDS: Final = 50


def access_token(core: Core, ask: Ask) -> Answer:
    """Whatever changed is committed before the answer leaves."""
    form = form_of(ask)
    try:
        app = _app(core, ask, form)
        oa_id, pair = _pair(core, ask, app, form)
    except TokenError as error:
        return _refused(error)
    ask.oa_id = oa_id
    return Answer(
        encode(
            {
                "access_token": pair.access_token,
                "refresh_token": pair.refresh_token,
                "expires_in": str(ACCESS_S),
            }
        )
    )


def form_of(ask: Ask) -> dict[str, str]:
    try:
        return dict(parse_qsl(ask.body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def number_of(text: str | None) -> int:
    """An id; 0 for what is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 19 else 0


def _app(core: Core, ask: Ask, form: dict[str, str]) -> App:
    app = core.world.apps.get(number_of(form.get("app_id")))
    if app is None or not app.active or app.removed:
        raise TokenError(-14002)
    ask.app_id = app.app_id
    secret = ask.headers.get("secret_key", "")
    if app.check_secret_key and not hmac.compare_digest(
        secret.encode(errors="surrogateescape"), app.secret.encode()
    ):
        raise TokenError(-14004)
    return app


def _pair(core: Core, ask: Ask, app: App, form: dict[str, str]) -> tuple[int, Pair]:
    match ask.detail.setdefault("grant_type", form.get("grant_type", "")[:40]):
        case "authorization_code":
            return _exchange(core, ask, app, form)
        case "refresh_token":
            return _refresh(core, ask, app, form.get("refresh_token", ""))
        case _:
            raise TokenError(-14018)


def _exchange(core: Core, ask: Ask, app: App, form: dict[str, str]) -> tuple[int, Pair]:
    code = form.get("code", "")
    ask.detail["code"] = digest(code).hex()
    ask.oa_id = core.tokens.code_owner(code)
    fixed = app.code_challenge if app.pkce == "fixed" else ""
    rule = PkceRule(app.pkce != "none", fixed, required=not app.check_secret_key)
    return core.tokens.exchange(app.app_id, code, form.get("code_verifier"), rule)


def _refresh(core: Core, ask: Ask, app: App, token: str) -> tuple[int, Pair]:
    state, _, oa_id = core.tokens.refresh_state(token)
    ask.detail["refresh_token"], ask.detail["was"] = digest(token).hex(), state
    ask.oa_id = oa_id
    try:
        oa_id, pair = core.tokens.refresh(app.app_id, token)
    except TokenError as error:
        if error.code is None and not core.settings.consumed_is_empty:
            raise TokenError(-14014) from None
        raise
    ask.detail["minted"] = digest(pair.refresh_token).hex()
    return oa_id, pair


def _refused(error: TokenError) -> Answer:
    if error.code is None:
        return Answer(b"")
    name = words.OAUTH[error.code]
    return Answer(
        encode(
            {
                "error_name": name,
                "error_reason": error.reason,
                "ref_doc": REF_DOC,
                "error_description": name,
                "error": error.code,
            }
        ),
        error.code,
    )
