"""How a JSON body is read: strictly, at once into its struct, and with every refusal in our own shape.

Litestar alone would convert laxly ("1" for 1), would let NUL characters through, which PostgreSQL cannot
store, and would fail on a body that is nested a hundred thousand deep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from litestar import Request
from litestar.dto import AbstractDTO, DTOConfig
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import UNSET, Meta

from tongdai.domain.accounts import MAX_CPS, MIN_CPS
from tongdai.kit.errors import InvalidError
from tongdai.kit.receiving import TimelyBody

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.dto.data_structures import DTOFieldDefinition
    from litestar.openapi.spec import Reference, Schema
    from litestar.typing import FieldDefinition

MAX_ID = 2**63 - 1

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
Channels = Annotated[int, Meta(ge=0, le=100_000)]
Cps = Annotated[float, Meta(ge=MIN_CPS, le=MAX_CPS)]
Moment = Annotated[datetime, Meta(tz=True)]
"""Of the years 1970 to 2999, which `decode` sees to: beyond, other zones and the database lose their way."""
Network = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,40}$")]

_WHERE = re.compile(r"^(?P<message>.*) - at `(?:key` in `)?\$\.?(?P<path>.*)`$", re.DOTALL)
_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.+)`$", re.DOTALL)
_LONGEST_NAME = 64
"""Of a field in a path; a sender may call one whatever fits into a body."""


class BadBodyError(InvalidError):
    """The body is not valid; see errors."""


class JsonBody(AbstractDTO[Any]):
    """Decodes a handler's `data` by its own annotation, strictly."""

    config = DTOConfig()

    def decode_bytes(self, value: bytes) -> Any:
        field = self.asgi_connection.route_handler.parsed_data_field
        assert field is not None
        return decode(value, field.annotation)

    @classmethod
    def create_for_field_definition(cls, field_definition: FieldDefinition, handler_id: str, *_: Any) -> None:
        """Nothing to prepare: the annotation is the whole description."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        shape = next((one.extra["shape"] for one in field_definition.metadata if _has_shape(one)), None)
        if shape is not None:
            field_definition = type(field_definition).from_annotation(shape, name="data")
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False


def _has_shape(metadata: object) -> bool:
    return isinstance(metadata, Meta) and "shape" in (metadata.extra or {})


def decode(raw: bytes, kind: Any) -> Any:
    """Read JSON as `kind`. Raises BadBodyError with the path of the first thing that is wrong."""
    try:
        if rb"\u0000" in raw:
            _refuse_nul(msgspec.json.decode(raw), "")
        body = msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise BadBodyError(errors=[split_where(str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBodyError(errors=[("", f"This is not JSON: {error}")]) from None
    except RecursionError:
        raise BadBodyError(errors=[("", "This is nested too deeply.")]) from None
    if isinstance(body, msgspec.Struct):
        _refuse_far_times(body)
    return body


def split_where(message: str) -> tuple[str, str]:
    """msgspec's ``Expected `int`, got `str` - at `$.a.b` `` as (path, message).

    A field that is missing or unknown is part of the path, though msgspec names only the object around it.
    """
    found = _WHERE.match(message)
    path, what = (found["path"], found["message"]) if found else ("", message)
    field = _FIELD.match(what)
    return (f"{path}.{field['name'][:_LONGEST_NAME]}".lstrip(".") if field else path), what


def _refuse_nul(value: object, path: str) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise BadBodyError(errors=[(path, "NUL characters are not allowed.")])
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_nul(key, path)
            _refuse_nul(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_nul(inner, f"{path}[{index}]")


def _refuse_far_times(body: msgspec.Struct) -> None:
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if isinstance(value, datetime) and not 1970 <= value.year <= 2999:
            raise BadBodyError(errors=[(name, "must be a time of the years 1970 to 2999.")])


def given(change: msgspec.Struct) -> dict[str, Any]:
    """The fields of a change that its sender gave."""
    pairs = ((name, getattr(change, name)) for name in change.__struct_fields__)
    return {name: value for name, value in pairs if value is not UNSET}


def refuse_nul_in_query(request: Request[Any, Any, Any]) -> None:
    """A `before_request` hook: PostgreSQL cannot store or compare NUL, whoever sends it."""
    if b"%00" in request.scope.get("query_string", b""):
        raise InvalidError("NUL characters are not allowed in the query.", errors=[("", "Remove %00.")])


def receiving_within(timeout_s: float) -> Callable[[ASGIApp], ASGIApp]:
    """A middleware: reading a body that breaks off, or that is late, raises what `TimelyBody` says."""

    def middleware(app: ASGIApp) -> ASGIApp:
        async def received(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, TimelyBody(receive, timeout_s), send)

        return received

    return middleware
