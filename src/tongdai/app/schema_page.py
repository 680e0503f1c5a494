"""The browsable page of the schema: plain HTML from the document itself, no script, nobody else's host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

METHODS = ("get", "post", "put", "patch", "delete")
REFERENCE = "#/components/schemas/"
_quoted = re.compile(r"`([^`]+)`").sub

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1.5rem}
body{color:#1c2733;background:#fff}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid #d7dee6}
details{border:1px solid #d7dee6;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f4f6f8;padding:.7rem;border-radius:6px;overflow:auto}
.m{display:inline-block;width:4.2rem;font-weight:700;color:#0b5cad}.q{color:#5b6b7b}
table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.15rem 1rem .15rem 0}
@media(prefers-color-scheme:dark){body{color:#dce3ea;background:#12181f}pre{background:#1c2530}
details,h2{border-color:#33414f}.m{color:#6fb3f2}.q{color:#93a4b5}}
"""


class SchemaPage(OpenAPIRenderPlugin):
    """Serves the page at /schema."""

    def __init__(self) -> None:
        super().__init__(path="/", favicon="", style="")
        self._page: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._page is None:
            self._page = "".join(_page(openapi_schema)).encode()
        return self._page


def _page(schema: Mapping[str, Any]) -> Iterator[str]:
    info = schema["info"]
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head><body>"
    yield f"<h1>{escape(info['title'])}</h1>"
    yield f'<p class="q">version {escape(info["version"])}'
    yield ' · <a href="/schema/openapi.json">openapi.json</a></p>'
    yield f"<p>{_text(info.get('description'))}</p>"
    for tag, operations in _by_tag(schema.get("paths") or {}).items():
        yield f"<h2>{escape(tag)}</h2>"
        for method, path, operation in operations:
            yield from _operation(method, path, operation)
    yield "<h2>Shapes</h2>"
    for name, shape in sorted((schema.get("components") or {}).get("schemas", {}).items()):
        summary = f"<summary><code>{escape(name)}</code></summary>"
        yield f'<details id="{escape(name)}">{summary}{_json(shape)}</details>'
    yield "</body></html>"


def _by_tag(paths: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Mapping[str, Any]]]]:
    found: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, item in paths.items():
        for method in METHODS:
            if method in item:
                tag = next(iter(item[method].get("tags") or []), "Other")
                found.setdefault(tag, []).append((method, path, item[method]))
    return dict(sorted(found.items()))


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    title = _text(operation.get("summary"))
    yield f'<details><summary><span class="m">{method.upper()}</span> <code>{escape(path)}</code> '
    yield f'<span class="q">{title}</span></summary>'
    yield f"<p>{_text(operation.get('description'))}</p>"
    parameters = operation.get("parameters") or []
    if parameters:
        yield "<table><tr><th>parameter</th><th>in</th><th>shape</th><th></th></tr>"
        for one in parameters:
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
            yield f"<td>{_shape(one.get('schema') or {})}</td>"
            yield f"<td>{_text(one.get('description'))}</td></tr>"
        yield "</table>"
    for media, content in (operation.get("requestBody") or {}).get("content", {}).items():
        yield f'<p>Body <span class="q">{escape(media)}</span> {_shape(content.get("schema") or {})}</p>'
    for status, answer in sorted((operation.get("responses") or {}).items()):
        yield f"<p><b>{escape(str(status))}</b> {_text(_own_words(str(status), answer))}"
        yield from (" " + _shape(one.get("schema") or {}) for one in (answer.get("content") or {}).values())
        yield "</p>"
    yield "</details>"


def _shape(schema: Mapping[str, Any]) -> str:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith(REFERENCE):
        name = escape(reference.removeprefix(REFERENCE))
        return f'<a href="#{name}"><code>{name}</code></a>'
    shape = {name: value for name, value in schema.items() if name != "description"}
    return f"<code>{escape(msgspec.json.encode(shape).decode())}</code>" if shape else ""


def _own_words(status: str, answer: Mapping[str, Any]) -> str | None:
    """What an answer is described as, unless that is only what HTTP says of every answer of its status."""
    text: str | None = answer.get("description")
    return None if status.isdecimal() and text == HTTPStatus(int(status)).description else text


def _text(text: str | None) -> str:
    """Words for people, with what stands in backticks as code."""
    return _quoted(r"<code>\1</code>", escape(text or ""))


def _json(value: object) -> str:
    return f"<pre>{escape(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())}</pre>"
