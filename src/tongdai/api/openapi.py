"""How msgspec structs appear in the OpenAPI document.

Litestar's own plugin leaves out descriptions, `additionalProperties` and every bound that is zero or
exclusive, so the document would promise more than the decoder takes. This one adds what the struct says:
its docstring, the text under each field, and each constraint, read from the struct alone.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import KwargDefinition
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import Meta, Struct
from msgspec import inspect as shapes

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator

# How a bound is called by msgspec's inspection, and by JSON Schema, for each shape that has bounds.
_BOUNDS: dict[type, dict[str, str]] = {
    shapes.IntType: {
        "ge": "minimum",
        "gt": "exclusive_minimum",
        "le": "maximum",
        "lt": "exclusive_maximum",
    },
    shapes.FloatType: {
        "ge": "minimum",
        "gt": "exclusive_minimum",
        "le": "maximum",
        "lt": "exclusive_maximum",
    },
    shapes.StrType: {"min_length": "min_length", "max_length": "max_length", "pattern": "pattern"},
    shapes.ListType: {"min_length": "min_items", "max_length": "max_items"},
    shapes.VarTupleType: {"min_length": "min_items", "max_length": "max_items"},
    shapes.DictType: {"min_length": "min_properties", "max_length": "max_properties"},
}


def shaped_as(kind: type[Struct]) -> Meta:
    """For a field that is kept as raw JSON: the struct that the document shows for it."""
    return Meta(extra={"shape": kind})


class DocumentedStructs(StructSchemaPlugin):
    """Give it to Litestar's `plugins`."""

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        schema = super().to_openapi_schema(field_definition, schema_creator)
        kind = field_definition.type_
        schema.description = _own_doc(kind)
        info = shapes.type_info(kind)
        assert isinstance(info, shapes.StructType)
        if info.forbid_unknown_fields:
            schema.additional_properties = False
        properties = schema.properties or {}
        docs = field_docs(kind)
        for field in info.fields:
            shape = _shape_of(field.type)
            if shape is not None:
                properties[field.encode_name] = schema_creator.for_field_definition(
                    FieldDefinition.from_annotation(shape)
                )
            shown = properties[field.encode_name]
            _describe(shown, docs.get(field.name))
            _bound(shown, field.type)
            _tell_apart(shown)
        return schema


class WholeNumbers(OpenAPISchemaPlugin):
    """Give it to Litestar's `plugins`, which writes the bounds of whole numbers as fractions: 1000.0, and
    9.223372036854776e18 for a greatest id that no float can hold.
    """

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        return field_definition.annotation is int

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        schema = Schema(type=OpenAPIType.INTEGER)
        bounds = field_definition.kwarg_definition
        if isinstance(bounds, KwargDefinition):
            for theirs, ours in _BOUNDS[shapes.IntType].items():
                setattr(schema, ours, getattr(bounds, theirs))
        return schema


def _own_doc(kind: type[Struct]) -> str | None:
    """The docstring of a struct, or of the nearest base that has one; not msgspec's own."""
    docs = (base.__dict__.get("__doc__") for base in kind.__mro__ if base not in (Struct, object))
    return next((inspect.cleandoc(doc) for doc in docs if doc), None)


def _shape_of(kind: shapes.Type) -> type[Struct] | None:
    return (kind.extra or {}).get("shape") if isinstance(kind, shapes.Metadata) else None


def _describe(shown: Schema | Reference, text: str | None) -> None:
    if text is not None:
        shown.description = text


def _bound(shown: Schema | Reference | bool | None, kind: shapes.Type) -> None:
    """Add the bounds of a shape, and of what is inside it."""
    if not isinstance(shown, Schema):
        return
    for part in _parts(kind):
        for theirs, ours in _BOUNDS.get(type(part), {}).items():
            value = getattr(part, theirs)
            if value is not None:
                setattr(shown, ours, value)
        _bound_inside(shown, part)


def _bound_inside(shown: Schema, part: shapes.Type) -> None:
    for place in (shown, *(shown.one_of or ())):
        if not isinstance(place, Schema):
            continue
        if isinstance(part, (shapes.ListType, shapes.VarTupleType)):
            place.items = _without_ellipsis(place.items)
            _bound(place.items, part.item_type)
        elif isinstance(part, shapes.DictType):
            _bound(place.additional_properties, part.value_type)


def _tell_apart(shown: Schema | Reference | bool | None) -> None:
    """A whole number is a number too, and so would be none of a `oneOf` that names both."""
    if not isinstance(shown, Schema):
        return
    _tell_apart(shown.items)
    choices = shown.one_of or ()
    if any(isinstance(one, Schema) and one.type == OpenAPIType.NUMBER for one in choices):
        shown.one_of = [
            one for one in choices if not (isinstance(one, Schema) and one.type == OpenAPIType.INTEGER)
        ]


def _without_ellipsis(items: Schema | Reference | None) -> Schema | Reference | None:
    """Litestar takes the `...` of a bounded `tuple[X, ...]` for a second kind of item."""
    if isinstance(items, Schema) and items.one_of and items.one_of[-1] == Schema():
        return items.one_of[0]
    return items


def _parts(kind: shapes.Type) -> tuple[shapes.Type, ...]:
    kind = kind.type if isinstance(kind, shapes.Metadata) else kind
    return kind.types if isinstance(kind, shapes.UnionType) else (kind,)


@cache
def field_docs(kind: type[Struct]) -> dict[str, str]:
    """The texts under the fields of a struct, by field; those of its bases included."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Struct) and base is not Struct:
            docs |= _docs_in_source(base)
    return docs


def _docs_in_source(kind: type[Any]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    docs: dict[str, str] = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(text):
            docs[field.target.id] = inspect.cleandoc(ast.literal_eval(text.value))  # type: ignore[attr-defined]
    return docs


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
