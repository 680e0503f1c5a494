"""Everything under `/v1`, put together."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Router
from litestar.datastructures import ResponseHeader
from litestar.di import Provide
from litestar.openapi.spec import SecurityScheme, Tag
from litestar.types import ControllerRouterHandler

from tongdai.api import (
    accounts,
    audio_files,
    audit_log,
    auth,
    calls,
    campaigns,
    consents,
    contact_files,
    contacts,
    do_not_call,
    hotlines,
    incoming_calls,
    keys,
    me,
    nodes,
    plans,
    problems,
    projects,
    recording_files,
    recordings,
    scripts,
    tariffs,
    templates,
    trunks,
    users,
    vendor_keys,
    wallet,
    webhooks,
    zalo_apps,
    zalo_callback,
    zalo_connections,
    zalo_hook,
    zalo_journeys,
    zalo_messages,
    zalo_prices,
)
from tongdai.api.bodies import JsonBody, receiving_within, refuse_nul_in_query
from tongdai.ports.services import Services

PREFIX = "/v1"

TAGS = [
    Tag("Keys", "What a key may do, and the keys of an account."),
    Tag("Vendor keys", "Keys that open vendors' APIs to an account, with their state."),
    Tag("Users", "The people of an account."),
    Tag("Projects", "Groups of campaigns inside an account."),
    Tag("Trunks", "SIP peers with their channels and calls per second."),
    Tag("Hotlines", "The numbers that are shown to those who are called."),
    Tag("Scripts", "What a call says and asks: flows as data, each change a new version."),
    Tag("Audio files", "Recorded prompts for the `play` steps of scripts."),
    Tag("Templates", "Campaigns to be: script, fields, hotlines, schedule and retries."),
    Tag("Campaigns", "Running lists of calls, their contacts and their progress."),
    Tag("Contact files", "Spreadsheets whose rows become calls of a campaign, and what became of each row."),
    Tag("Audit log", "Who changed templates, and what campaigns are for."),
    Tag("Calls", "One number to be reached each, with its attempts, legs and timeline."),
    Tag("Recordings", "What was recorded of calls, links to hear it by, and how long it is kept."),
    Tag("Incoming calls", "Who called which hotline, and what became of it."),
    Tag("Do not call", "Numbers and people that are not called: lists and opt-outs."),
    Tag("Consent", "Who agreed to be called, person by person or attested for a list."),
    Tag("Webhooks", "Addresses of yours that are told what became of your calls, and what was delivered."),
    Tag("Zalo", "Official Accounts, their journeys, messages and templates."),
    Tag("Wallet", "What your account has, what it paid for which call, and what calls cost."),
    Tag("Platform", "Accounts, users, money, Asterisk nodes. For a platform key alone, which opens no more."),
]
"""For the OpenAPI document."""

SECURITY_SCHEMES = {
    auth.SECURITY_SCHEME: SecurityScheme(
        type="http", scheme="bearer", description="An API key: `Authorization: Bearer td_…`."
    ),
    auth.KEY_SCHEME: SecurityScheme(
        type="apiKey",
        name=auth.KEY_HEADER,
        security_scheme_in="header",
        description="The same API key: `X-API-Key: td_…`.",
    ),
}
"""For the OpenAPI document."""

_HANDLERS: list[ControllerRouterHandler] = [
    me.get_me,
    users.list_users,
    *keys.HANDLERS,
    *vendor_keys.HANDLERS,
    *projects.HANDLERS,
    *trunks.HANDLERS,
    *hotlines.HANDLERS,
    *scripts.HANDLERS,
    *audio_files.HANDLERS,
    audit_log.list_audit_log,
    *templates.HANDLERS,
    *campaigns.HANDLERS,
    *contact_files.HANDLERS,
    *calls.HANDLERS,
    *incoming_calls.HANDLERS,
    *recordings.HANDLERS,
    *do_not_call.HANDLERS,
    *consents.HANDLERS,
    *webhooks.HANDLERS,
    *accounts.HANDLERS,
    *wallet.HANDLERS,
    *tariffs.HANDLERS,
    *plans.HANDLERS,
    *nodes.HANDLERS,
    *zalo_apps.HANDLERS,
    *zalo_connections.HANDLERS,
    *zalo_journeys.HANDLERS,
    *zalo_messages.HANDLERS,
    *zalo_prices.HANDLERS,
]


# Of a body that holds no contacts and no sound; a script has at most 1 MB.
_SMALL_BODY_BYTES = 2_000_000


def routes(services: Services) -> list[ControllerRouterHandler]:
    """The API over these services. Contacts and long lists may come in bodies as large as the platform takes
    at all."""
    small = min(_SMALL_BODY_BYTES, services.max_body_bytes)
    return [
        _router(services, _HANDLERS, max_body_bytes=small),
        _router(
            services, [*contacts.HANDLERS, *do_not_call.LIST_HANDLERS], max_body_bytes=services.max_body_bytes
        ),
        _open_router(services, recording_files.HANDLERS),
        zalo_callback.zalo_callback,
        zalo_hook.zalo_hook,
    ]


def _open_router(services: Services, handlers: Sequence[ControllerRouterHandler]) -> Router:
    """Of operations that need no key: what is asked for carries its own permission."""
    return Router(
        PREFIX,
        route_handlers=handlers,
        dependencies={"services": Provide(lambda: services, sync_to_thread=False)},
        before_request=refuse_nul_in_query,
        exception_handlers=problems.handlers(),
        return_dto=None,
    )


def _router(
    services: Services, handlers: Sequence[ControllerRouterHandler], *, max_body_bytes: int
) -> Router:
    def provide_services() -> Services:
        return services

    return Router(
        PREFIX,
        route_handlers=handlers,
        dependencies={
            "services": Provide(provide_services, sync_to_thread=False),
            "caller": Provide(auth.caller_of, sync_to_thread=False),
        },
        guards=[auth.guard(services)],
        middleware=[receiving_within(services.body_timeout_s)],
        before_request=refuse_nul_in_query,
        exception_handlers=problems.handlers(),
        dto=JsonBody,
        return_dto=None,
        request_max_body_size=max_body_bytes,
        response_headers=[ResponseHeader("Cache-Control", value="no-store")],
        security=[{auth.SECURITY_SCHEME: []}, {auth.KEY_SCHEME: []}],
    )
