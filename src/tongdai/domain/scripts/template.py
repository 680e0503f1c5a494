"""Text with `{fields}`: what a sentence needs and how it reads for one person.

`{name}` is a field that every contact should have; without a value it is spoken as nothing. `{name|words}` is
optional: without a value the words are spoken, and `{name|}` speaks nothing. `{{` and `}}` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from tongdai.kit.text import composed

MAX_VALUE_CHARS = 1000
"""Longest field value that is spoken. What lies beyond is cut, so that one cell cannot fill a call."""

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
# One word of letters of any script, digits and _; several words may be joined by a space, dot or hyphen.
_FIELD_NAME = re.compile(r"\w+(?:[ .-]\w+)*")
_MAX_NAME_CHARS = 64
_SPACE = re.compile(r"\s+")
_SPACE_BEFORE_MARK = re.compile(r" +([,.;:!?])")
_MARKS = frozenset(",.;:!?")
_MARKS_ONLY = re.compile(r"^[\s,.;:!?]+$")


class TemplateError(ValueError):
    """The text is not a template. The message says what to change."""


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A place in a text that a contact's field fills."""

    name: str
    default: str | None
    """Spoken when the contact has no value. None: the field was expected."""


def field_name(name: str) -> str:
    """The form under which a field is compared: composed Unicode, no space around it."""
    return composed(name).strip()


def is_field_name(name: str) -> bool:
    return len(name) <= _MAX_NAME_CHARS and _FIELD_NAME.fullmatch(name) is not None


def split_template(text: str) -> list[str | FieldRef]:
    """The text cut into plain pieces and fields. Raises TemplateError."""
    pieces: list[str | FieldRef] = []
    end = 0
    for match in _TOKEN.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        token = match.group()
        if match.group(1) is not None:
            pieces.append(_field_ref(match.group(1)))
        elif token in ("{{", "}}"):
            pieces.append(token[0])
        else:
            raise TemplateError(
                f"'{token}' at character {match.start() + 1} has no partner; a brace is written '{token * 2}'"
            )
    pieces.append(text[end:])
    return [piece for piece in pieces if piece != ""]


def _field_ref(inside: str) -> FieldRef:
    name, separator, default = inside.partition("|")
    name = field_name(name)
    if not is_field_name(name):
        raise TemplateError(
            f"'{{{inside}}}' is not a field: a name is 1 to {_MAX_NAME_CHARS} letters, digits and _"
        )
    return FieldRef(name, default.strip() if separator else None)


def fields_of(text: str) -> list[FieldRef]:
    """The fields that a text names, in order. Raises TemplateError."""
    return [piece for piece in split_template(text) if isinstance(piece, FieldRef)]


def field_values(fields: Mapping[str, object]) -> dict[str, str]:
    """A contact's fields as they are spoken and compared: names and values composed and trimmed."""
    return {field_name(str(name)): field_value(value) for name, value in fields.items()}


def field_value(value: object) -> str:
    """A value as it is spoken and compared. Nothing is ''."""
    if value is None:
        return ""
    return composed(str(value)).strip()[:MAX_VALUE_CHARS]


def render(text: str, values: Mapping[str, str]) -> str:
    """What is spoken to one person; '' when there is nothing to say.

    `values` comes from `field_values`. A value is put in as it is, never read as a template. The gap that an
    empty field leaves is closed: runs of spaces become one, and none stays before a mark.
    """
    return _tidied("".join(_filled(text, values)))


def render_pieces(text: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """The same, cut where fields were filled in: joined, the pieces are what `render` returns.

    Marks stay with the words of the text. There is no cut within a word or a number, nor between two numbers:
    they are read together. A text that has nothing to cut is one piece, and one without words is none.
    """
    pieces: list[str] = []
    for piece in _filled(text, values):
        _append(pieces, _SPACE_BEFORE_MARK.sub(r"\1", _SPACE.sub(" ", piece)))
    if pieces:
        pieces[-1] = pieces[-1].rstrip()
    return () if _MARKS_ONLY.match("".join(pieces)) else tuple(piece for piece in pieces if piece)


def _append(pieces: list[str], piece: str) -> None:
    """Add a piece of single spaces, leaving no gap before it and cutting nothing that is read together."""
    if not pieces or pieces[-1].endswith(" "):
        piece = piece.lstrip()
    if not piece:
        return
    if not pieces:
        pieces.append(piece)
        return
    if piece[0] in _MARKS:
        pieces[-1] = pieces[-1].rstrip()
    elif piece[0] == " " and len(piece) > 1 and piece[1] in _MARKS:
        piece = piece[1:]
    if _may_cut(pieces[-1], piece):
        pieces.append(piece)
    else:
        pieces[-1] += piece


def _may_cut(left: str, right: str) -> bool:
    if left[-1:] == " " or right[0] == " ":
        return not (left.rstrip()[-1:].isdigit() and right.lstrip()[:1].isdigit())
    return right[0] in _MARKS and right[1:2] == " "


def _filled(text: str, values: Mapping[str, str]) -> list[str]:
    return [
        piece if isinstance(piece, str) else values.get(piece.name, "") or (piece.default or "")
        for piece in _pieces(text)
    ]


@lru_cache(maxsize=4096)
def _pieces(text: str) -> tuple[str | FieldRef, ...]:
    """A campaign says the same few texts in each of its calls."""
    merged: list[str | FieldRef] = []
    for piece in split_template(text):
        if isinstance(piece, str) and merged and isinstance(before := merged[-1], str):
            merged[-1] = before + piece
        else:
            merged.append(piece)
    return tuple(merged)


@lru_cache(maxsize=4096)
def _tidied(spoken: str) -> str:
    """Memorised, because most texts have no field, and read the same for everybody."""
    tidy = _SPACE_BEFORE_MARK.sub(r"\1", _SPACE.sub(" ", spoken)).strip()
    return "" if _MARKS_ONLY.match(tidy) else tidy
