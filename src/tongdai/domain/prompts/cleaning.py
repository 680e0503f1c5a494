"""Text from anywhere made fit to be read: composed, without markup, pictures, control characters. Pure."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

from tongdai.domain.prompts.vocabulary import LOWER, UPPER
from tongdai.kit.text import composed

_BREAK = re.compile(r"<\s{0,3}(?:br|/?p|/?div|/?li|/?tr|/?h[1-6])\b[^<>]{0,200}>", re.IGNORECASE)
_TAG = re.compile(r"<(?:[a-zA-Z/!][^<>]{0,500})>")
_SPACE = re.compile(r"\s+")
_SUPERSCRIPT = re.compile(r"(?<=m)([²³])")
_VULGAR = re.compile(r"(?<=\d)(?=[½¼¾⅐-⅞])")
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
_ARROW = re.compile(r"[<>]=|[-=]{1,8}>|<-{1,8}")
# Most texts have nothing else, and are as clean as can be.
_USUAL = re.compile(rf"[ -~{LOWER}{UPPER}]*")
# What is not in here is looked at one by one.
_ODD = re.compile(r"[^\w\s!-~₫€£¥°×÷±≤≥≈‰]")
_SAID: Final = str.maketrans({
    "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "‒": "-", "―": "-", "…": "...", "’": "'", "‘": "'",
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "⁄": "/", "∕": "/", "·": ",", "•": ",", "●": ",",
    "。": ".", "、": ",", "′": "'", "º": "°", "№": " số ", "→": ",", "\u00ad": "",
})  # fmt: skip


def cleaned(text: str) -> str:
    """The text with ASCII dashes and quotes, one space between words, and nothing that has no sound.

    A line's end and a paragraph are full stops. Whether there was space at either end is kept.
    """
    if "<" in text:
        text = _TAG.sub(" ", _BREAK.sub("\n", text))
    if "&" in text:
        text = _TAG.sub(" ", html.unescape(text))
    if ">" in text or "<" in text:
        text = _ARROW.sub(lambda m: {">=": "≥", "<=": "≤"}.get(m[0], ","), text)
    if _USUAL.fullmatch(text):
        return _SPACE.sub(" ", text) if "  " in text else text
    text = _ODD.sub(_sounding, _composed(text))
    return _SPACE.sub(" ", _one_line(text) if "\n" in text or "\r" in text else text)


def _composed(text: str) -> str:
    text = _FOREIGN_DIGIT.sub(lambda m: str(unicodedata.decimal(m[0])), composed(text).translate(_SAID))
    text = _VULGAR.sub(" và ", _SUPERSCRIPT.sub(lambda m: "2" if m[1] == "²" else "3", text))
    if unicodedata.is_normalized("NFKC", text):
        return text
    text = text.replace("²", " bình phương").replace("³", " lập phương")
    return unicodedata.normalize("NFKC", text).translate(_SAID)


def _sounding(odd: re.Match[str]) -> str:
    """Marks and letters of any script stay; pictures become a space; what joins or hides leaves nothing."""
    character = odd[0]
    category = unicodedata.category(character)
    if category in ("Cf", "Me") or "\ufe00" <= character <= "\ufe0f":
        return ""
    return character if category in ("Mn", "Mc", "Sc") else " "


def _one_line(text: str) -> str:
    """With a full stop at the end of a line that has no mark there."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    stopped = [line if line[-1] in ".,;:!?" else f"{line}." for line in lines[:-1]] + lines[-1:]
    before, after = " " * text[:1].isspace(), " " * text[-1:].isspace()
    return f"{before}{' '.join(stopped)}{after}"
