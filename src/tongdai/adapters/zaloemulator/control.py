"""`/emulator/…`: what whoever tests asks of the emulator. Nothing of it is Zalo's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from tongdai.adapters.zaloemulator import events
from tongdai.adapters.zaloemulator.bodies import NO_JSON, decode
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, plain
from tongdai.adapters.zaloemulator.fixtures import App, FixtureError, Fixtures
from tongdai.adapters.zaloemulator.sender import Sender
from tongdai.adapters.zaloemulator.views import listed, requests, state

MOST_ADVANCE_S: Final = 10 * 366 * 86_400

Doing = Callable[[Core, Sender, Ask], Awaitable[Answer]]


async def answer(core: Core, sender: Sender, ask: Ask) -> Answer:
    """Errors are {"error": words} with HTTP 400 or 404."""
    doing = ROUTES.get((ask.method, ask.path))
    if doing is None:
        return plain({"error": "there is no such thing in the emulator"}, status=404)
    try:
        done = await doing(core, sender, ask)
    except FixtureError as error:
        return plain({"error": error.message}, status=400)
    core.store.commit()
    return done


async def _state(core: Core, sender: Sender, ask: Ask) -> Answer:
    return plain(state(core))


async def _requests(core: Core, sender: Sender, ask: Ask) -> Answer:
    return plain(requests(core, ask.query))


async def _journeys(core: Core, sender: Sender, ask: Ask) -> Answer:
    return plain(listed(core, "journeys", ask.query))


async def _messages(core: Core, sender: Sender, ask: Ask) -> Answer:
    return plain(listed(core, "messages", ask.query))


async def _webhooks(core: Core, sender: Sender, ask: Ask) -> Answer:
    return plain(listed(core, "webhooks", ask.query))


async def _faults(core: Core, sender: Sender, ask: Ask) -> Answer:
    return plain([msgspec.to_builtins(fault) for fault in core.faults.waiting])


async def _add_fault(core: Core, sender: Sender, ask: Ask) -> Answer:
    return plain(msgspec.to_builtins(core.faults.add(_document(ask))))


async def _clear_faults(core: Core, sender: Sender, ask: Ask) -> Answer:
    core.faults.waiting.clear()
    return plain([])


async def _advance(core: Core, sender: Sender, ask: Ask) -> Answer:
    seconds = _document(ask).get("seconds")
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, (int, float))
        or not 0 <= seconds <= MOST_ADVANCE_S
    ):
        raise FixtureError("seconds: a number from 0 on")
    core.clock.advance(int(seconds * 1000))
    sender.catch_up()
    return plain({"now_ms": core.clock.now_ms()})


async def _settle(core: Core, sender: Sender, ask: Ask) -> Answer:
    await sender.settle()
    return plain({"now_ms": core.clock.now_ms()})


async def _settings(core: Core, sender: Sender, ask: Ask) -> Answer:
    return plain(msgspec.to_builtins(core.kept.change(_document(ask))))


async def _fixtures(core: Core, sender: Sender, ask: Ask) -> Answer:
    try:
        core.world.load(msgspec.convert(_document(ask), Fixtures))
    except msgspec.ValidationError as error:
        raise FixtureError(str(error)) from None
    return plain(state(core))


async def _app(core: Core, sender: Sender, ask: Ask) -> Answer:
    """A new webhook address is probed with an unsigned `{}`, and kept if that is answered with 200. Other
    callback addresses end every consent."""
    changes = _document(ask)
    probed, kept_grants = changes.pop("probe", True), changes.pop("keep_grants", False)
    before = core.world.apps.get(_number(changes.get("app_id")))
    url = changes.get("webhook_url")
    if probed and isinstance(url, str) and url and (before is None or url != before.webhook_url):
        status = await sender.post(url, b"{}", {"Content-Type": "application/json"})
        if status != 200:
            return plain(
                {"error": "the webhook did not answer the probe with 200", "status": status}, status=400
            )
    if url:
        changes.setdefault("webhook_enabled", True)
    app = core.world.apps.merge(changes)
    if before is not None and before.callback_urls != app.callback_urls and not kept_grants:
        core.tokens.revoke(app.app_id)
    return plain(_shown(app))


async def _oa(core: Core, sender: Sender, ask: Ask) -> Answer:
    changes = _document(ask)
    before = core.world.oas.get(_number(changes.get("oa_id")))
    after = core.world.oas.merge(changes)
    events.oa_changed(core, before, after)
    return plain(msgspec.to_builtins(after))


async def _template(core: Core, sender: Sender, ask: Ask) -> Answer:
    changes = _document(ask)
    before = core.world.templates.get(_number(changes.get("template_id")))
    after = core.world.templates.merge(changes)
    events.template_changed(core, before, after)
    return plain(msgspec.to_builtins(after))


async def _recipient(core: Core, sender: Sender, ask: Ask) -> Answer:
    core.world.load(Fixtures(recipients=[_document(ask)]))
    return plain({})


async def _revoke(core: Core, sender: Sender, ask: Ask) -> Answer:
    told = _document(ask)
    oa_id = _number(told.get("oa_id")) or None
    return plain({"revoked": core.tokens.revoke(_number(told.get("app_id")), oa_id)})


async def _quota_used(core: Core, sender: Sender, ask: Ask) -> Answer:
    told = _document(ask)
    events.use_up(core, _number(told.get("oa_id")), told.get("remaining"))
    return plain({})


async def _rate(core: Core, sender: Sender, ask: Ask) -> Answer:
    return plain({"webhook": events.rated(core, _document(ask))})


async def _post_event(core: Core, sender: Sender, ask: Ask) -> Answer:
    """Any event: {"app_id", "event", "fields", "zns", "secret", "body"}."""
    return plain({"webhook": events.posted(core, _document(ask))})


async def _replay(core: Core, sender: Sender, ask: Ask) -> Answer:
    """The same bytes, signature and timestamp once more."""
    return plain({"webhook": events.replayed(core, _number(_document(ask).get("id")))})


def _document(ask: Ask) -> dict[str, Any]:
    try:
        document = decode(ask.body or b"{}")
    except NO_JSON as error:
        raise FixtureError(f"the body: {error}") from None
    if not isinstance(document, dict):
        raise FixtureError("the body is no JSON object")
    return document


def _number(told: object) -> int:
    if isinstance(told, str) and told.isascii() and told.isdigit():
        return int(told)
    return told if isinstance(told, int) else 0


def _shown(app: App) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(app)
    return shown


ROUTES: Final[Mapping[tuple[str, str], Doing]] = {
    ("GET", "/emulator/state"): _state,
    ("GET", "/emulator/requests"): _requests,
    ("GET", "/emulator/journeys"): _journeys,
    ("GET", "/emulator/messages"): _messages,
    ("GET", "/emulator/webhooks"): _webhooks,
    ("GET", "/emulator/faults"): _faults,
    ("POST", "/emulator/faults"): _add_fault,
    ("DELETE", "/emulator/faults"): _clear_faults,
    ("POST", "/emulator/advance"): _advance,
    ("POST", "/emulator/settle"): _settle,
    ("POST", "/emulator/settings"): _settings,
    ("POST", "/emulator/fixtures"): _fixtures,
    ("POST", "/emulator/apps"): _app,
    ("POST", "/emulator/oas"): _oa,
    ("POST", "/emulator/templates"): _template,
    ("POST", "/emulator/recipients"): _recipient,
    ("POST", "/emulator/revoke"): _revoke,
    ("POST", "/emulator/quota"): _quota_used,
    ("POST", "/emulator/ratings"): _rate,
    ("POST", "/emulator/events"): _post_event,
    ("POST", "/emulator/replay"): _replay,
}
