"""A request and its answer, apart from the connection that they travel on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from tongdai.adapters.zaloemulator import words

JSON: Final = "application/json; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"

encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Ask:
    """`app_id`, `oa_id` and `detail` are filled in on the way, and logged."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Whatever their case."""
    body: bytes
    app_id: int | None = None
    oa_id: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    error: int = 0
    """Zalo's code, for the log."""
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """Zalo says no with `code`. `said` replaces the table's words."""

    def __init__(self, code: int, said: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.said = said


def success(data: object, *, message: str = words.SUCCESS, **beside: object) -> Answer:
    return Answer(encode({"error": 0, "message": message, "data": data, **beside}))


def flat(**fields: object) -> Answer:
    """Without `data`, as a journey's token is answered."""
    return Answer(encode({"error": 0, "message": words.SUCCESS, **fields}))


def refusal(table: Mapping[int, str], code: int, said: str | None = None) -> Answer:
    return Answer(encode({"error": code, "message": said or table.get(code, "Error"), "data": None}), code)


def plain(document: object, *, status: int = 200) -> Answer:
    """JSON of the control surface."""
    return Answer(encode(document), status=status)


def page(html: str, *, status: int = 200, error: int = 0) -> Answer:
    return Answer(html.encode(), error, status, HTML, {"Cache-Control": "no-store"})


def moved(location: str, *, error: int = 0) -> Answer:
    return Answer(b"", error, 302, HTML, {"Location": location, "Cache-Control": "no-store"})
