"""`/v4/oa/permission`: an administrator of an Official Account lets an app in, by hand or by script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tongdai.adapters.zaloemulator import pages
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, moved, page
from tongdai.adapters.zaloemulator.fixtures import App
from tongdai.adapters.zaloemulator.oauth import form_of, number_of

PERMISSION_PATH: Final = "/v4/oa/permission"
ERROR_PATH: Final = "/v4/oa/permission/error"
GROUPS: Final = ("send_message", "send_zns", "oa_info", "user_info", "events")
"""Those that are ticked in the console; the page shows them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the address of the page asks for."""

    app: App
    redirect_uri: str
    state: str | None
    challenge: str | None


class PageError(Exception):
    """The browser is sent to Zalo's own error page, never to the caller's."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def show(core: Core, ask: Ask) -> Answer:
    """The page; or, with `consent=<oa_id>` on its address, the redirect that follows a click."""
    try:
        wish = _wish(core, ask, ask.query)
        consent = ask.query.get("consent")
        if consent == "deny":
            return _denied(wish)
        if consent is not None:
            return _granted(core, ask, wish, number_of(consent))
    except PageError as error:
        return _to_error_page(error)
    return page(pages.permission(wish.app, core.world.choices(wish.app.app_id), ask.query))


def decide(core: Core, ask: Ask) -> Answer:
    """The form of the page."""
    form = form_of(ask)
    try:
        wish = _wish(core, ask, form)
        if form.get("decision") != "allow":
            return _denied(wish)
        if not form.get("agree") or not form.get("oa_id"):
            told = "Hãy chọn một Official Account và đồng ý với điều khoản."
            return page(pages.permission(wish.app, core.world.choices(wish.app.app_id), form, told))
        return _granted(core, ask, wish, number_of(form["oa_id"]))
    except PageError as error:
        return _to_error_page(error)


def error_page(core: Core, ask: Ask) -> Answer:
    code = ask.query.get("error_code", "")
    known = code.removeprefix("-").isdigit() and len(code) <= 8
    return page(pages.error(int(code) if known else 0))


def _wish(core: Core, ask: Ask, told: Mapping[str, str]) -> Wish:
    app = core.world.apps.get(number_of(told.get("app_id")))
    if app is None or app.removed or not app.active:
        raise PageError(-14002)
    ask.app_id = app.app_id
    uri = told.get("redirect_uri", "")
    if uri not in app.callback_urls and _without_query(uri) not in app.callback_urls:
        raise PageError(-14003)
    return Wish(app, uri, told.get("state"), told.get("code_challenge"))


def _granted(core: Core, ask: Ask, wish: Wish, oa_id: int) -> Answer:
    if oa_id not in {oa.oa_id for oa in core.world.choices(wish.app.app_id)}:
        raise PageError(-14012)
    ask.oa_id = oa_id
    code = core.tokens.grant(wish.app.app_id, oa_id, ",".join(GROUPS), wish.challenge or "")
    echoed = {"state": wish.state, "code_challenge": wish.challenge}
    told = {"code": code, "oa_id": str(oa_id), **{name: text for name, text in echoed.items() if text}}
    return moved(_with_query(wish.redirect_uri, told))


def _denied(wish: Wish) -> Answer:
    if wish.app.on_deny == "page":
        return page(pages.denied(wish.app))
    return moved(_with_query(wish.redirect_uri, {"state": wish.state} if wish.state else {}))


def _to_error_page(error: PageError) -> Answer:
    return moved(f"{ERROR_PATH}?error_code={error.code}", error=error.code)


def _without_query(uri: str) -> str:
    parts = urlsplit(uri) if "?" in uri else None
    return urlunsplit(parts._replace(query="")) if parts else uri


def _with_query(uri: str, told: Mapping[str, str]) -> str:
    """What the address had already stays."""
    parts = urlsplit(uri)
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *told.items()]
    return urlunsplit(parts._replace(query=urlencode(pairs), fragment=""))
