"""How a provider of voices is asked, and how it answers: a TOML file. Pure, but for reading it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Meta, Struct

SHIPPED: Final = Path(__file__).with_name("providers")
"""Files of the providers that are named by a word."""

_PLACE: Final = re.compile(r"\{(text|voice|key)\}")
_VOICE: Final = re.compile(r"[A-Za-z0-9_.+-]{1,100}")
_HEADER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTENT_TYPES: Final = {
    "text": "text/plain; charset=utf-8",
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
}

Scalar = str | bool | int | float
Path_ = Annotated[str, Meta(pattern=r"^(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)?$")]
"""A member of a JSON object, or one of an object within it: `data.url`."""


class ProviderError(ValueError):
    """The file does not describe a provider. The message says what to change."""


class AnswerShape(Struct, frozen=True, forbid_unknown_fields=True):
    """How sound comes back."""

    audio: Literal["body", "link"] = "body"
    """`body`: the answer is the sound, a WAV or MP3 file or samples. `link`: it is a JSON object that holds
    the address of one."""
    link: Path_ = ""
    """Where in the object that address is."""
    code: Path_ = ""
    """Where in the object the provider says whether it worked; empty: nowhere."""
    ok: Scalar = 0
    """What it says there when it did."""
    wait_s: Annotated[float, Meta(gt=0, le=600)] = 30.0
    """How long the file behind the link may take to appear, and how often it is looked for."""
    poll_s: Annotated[float, Meta(ge=0.01, le=60)] = 1.0
    rate: Annotated[int, Meta(ge=8000, le=48000)] = 16000
    """Samples a second, where plain samples (16 bit, little-endian, mono) come without a file around them."""


class Provider(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`{text}`, `{voice}` and `{key}` stand in `headers` and `fields` for what they name."""

    url: str
    voice: str
    """The one that speaks where none is named."""
    body: Literal["text", "json", "form"] = "json"
    """`text`: the text alone. `json`, `form`: `fields`."""
    headers: dict[str, str] = {}
    fields: dict[str, Scalar] = {}
    min_chars: Annotated[int, Meta(ge=1, le=20)] = 1
    max_chars: Annotated[int, Meta(ge=20)] = 2000
    answer: AnswerShape = AnswerShape()

    def fault(self) -> str | None:
        """What is wrong with it; None: nothing."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return "url: an address begins with http:// or https://"
        if not is_voice(self.voice):
            return "voice: a name of a voice has letters, digits and . _ + -"
        if self.answer.audio == "link" and not self.answer.link:
            return "answer.link: where is the link?"
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name) or "{text}" in value or not value.isprintable():
                return f"headers.{name[:40]}: this cannot be a header"
        if self.body != "text" and not any("{text}" in str(value) for value in self.fields.values()):
            return "fields: none of them holds {text}"
        return None

    def request(self, text: str, voice: str, key: str) -> tuple[dict[str, str], bytes]:
        """Headers and body. A text that is too short for the provider is lengthened by a full stop."""
        if len(text) < self.min_chars:
            text = text.ljust(self.min_chars - 1) + "."
        values = {"text": text, "voice": voice or self.voice, "key": key}
        headers = {"Content-Type": _CONTENT_TYPES[self.body]}
        headers |= {name: _filled(value, values) for name, value in self.headers.items()}
        if self.body == "text":
            return headers, text.encode()
        fields = {
            name: _filled(value, values) if isinstance(value, str) else value
            for name, value in self.fields.items()
        }
        if self.body == "json":
            return headers, json.dumps(fields, ensure_ascii=False).encode()
        return headers, urlencode({name: _form(value) for name, value in fields.items()}).encode()


def is_voice(name: str) -> bool:
    return _VOICE.fullmatch(name) is not None


def load_provider(named: str, url: str = "") -> Provider:
    """The provider of a shipped name or of a file; `url` replaces its address. Raises ProviderError."""
    path = SHIPPED / f"{named}.toml" if re.fullmatch(r"[a-z]+", named) else Path(named)
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        provider = msgspec.convert(raw | ({"url": url} if url else {}), Provider)
    except OSError as error:
        names = ", ".join(sorted(one.stem for one in SHIPPED.glob("*.toml")))
        reason = f"{error.strerror}; {names} are shipped, another is the path of a file"
        raise ProviderError(f"{named}: {reason}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ProviderError(f"{named}: {error}") from None
    if fault := provider.fault():
        raise ProviderError(f"{named}: {fault}")
    return provider


def found(answer: object, path: str) -> Any:
    """The member of a JSON object; None when there is none."""
    for name in path.split("."):
        if not isinstance(answer, dict):
            return None
        answer = answer.get(name)
    return answer


def _filled(template: str, values: Mapping[str, str]) -> str:
    """In one go: a text that holds `{key}` says so, and does not get the key."""
    return _PLACE.sub(lambda place: values[place.group(1)], template)


def _form(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
