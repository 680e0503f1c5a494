"""`GET /zalo/callback`: a page for Zalo to send browsers back to, where a customer has none of their own.

It shows what came with the browser and the command that connects the Official Account with it. It keeps and
does nothing: whoever has a code needs a key of the account to use it.
"""

from __future__ import annotations

import json
import shlex
from html import escape
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import ResponseHeader

from tongdai.api.auth import Wired

PATH = "/zalo/callback"
SHOWN = ("code", "oa_id", "state")
_LONGEST = 2000

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>tongdai: Zalo</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:0 auto;padding:1.5rem}}
body{{color:#1c2733;background:#fff}}dt{{color:#5b6b7b}}dd{{margin:0 0 .6rem}}
code,pre{{font:14px/1.45 ui-monospace,monospace;overflow-wrap:anywhere}}
pre{{background:#f4f6f8;padding:.8rem;border-radius:6px;white-space:pre-wrap}}
@media(prefers-color-scheme:dark){{body{{color:#dce3ea;background:#12181f}}
pre{{background:#1c2530}}dt{{color:#93a4b5}}}}
</style></head><body>{body}</body></html>
"""
_GRANTED = """<h1>Zalo let the app in</h1>
<p>One step is left. Give this to whoever has an API key of yours, or run it, within ten minutes:</p>
<pre>{sencloud}</pre><p>The same over tongdai's own API:</p><pre>{native}</pre><dl>{facts}</dl>"""
_REFUSED = """<h1>Nothing was granted</h1>
<p>There is no code in this address: the page at Zalo was left or refused. Ask for a new link and open it
again.</p>"""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    # The code stands in the address.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@get(
    PATH,
    include_in_schema=False,
    sync_to_thread=False,
    response_headers=[ResponseHeader(name=name, value=value) for name, value in _HEADERS.items()],
)
def zalo_callback(request: Request[Any, Any, Any], services: Wired) -> Response[bytes]:
    """What came in the address, as text, and how to go on."""
    came = {name: request.query_params.get(name, "")[:_LONGEST] for name in SHOWN}
    origin = services.zalo_options.public_url or str(request.base_url).rstrip("/")
    page = _PAGE.format(body=_body(came, origin))
    return Response(page.encode("utf-8", "replace"), media_type="text/html")


def _body(came: dict[str, str], origin: str) -> str:
    if not came["code"]:
        return _REFUSED
    facts = "".join(f"<dt>{name}</dt><dd><code>{escape(came[name])}</code></dd>" for name in SHOWN)
    return _GRANTED.format(
        sencloud=escape(_command(f"{origin}/v1/shop.Zalo/ConnectOA", came)),
        native=escape(_command(f"{origin}/v1/zalo/connections", came)),
        facts=facts,
    )


def _command(url: str, came: dict[str, str]) -> str:
    """For a shell, whatever came: nothing of it is anything but one quoted text."""
    body: dict[str, str | int] = {name: text for name, text in came.items() if text}
    state = came["state"]
    if state.isascii() and state.isdecimal() and len(state) < 17:
        body["state"] = int(state)
    return (
        f"curl -s {shlex.quote(url)} -H 'Content-Type: application/json' \\\n"
        f'  -H "Authorization: Bearer $API_KEY" \\\n'
        f"  -d {shlex.quote(json.dumps(body))}"
    )
