"""Prompts for one person: texts with their fields filled in, audio files with their place. Pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tongdai.domain.scripts.model import Clip, Part
from tongdai.domain.scripts.template import field_name, field_values, render, render_pieces
from tongdai.ports.telephony import AudioClip, PromptItem, Speech

_log = logging.getLogger(__name__)


class Voice:
    """`voice` is the one that speaks, `provider:name`; "": the installation's own."""

    def __init__(self, fields: Mapping[str, object], clips: Mapping[int, Clip], voice: str = "") -> None:
        self._values = field_values(fields)
        self._clips = clips
        self._voice = voice

    def value(self, field: str) -> str:
        """A field's value; '' when the contact has none."""
        return self._values.get(field_name(field), "")

    def text(self, text: str) -> list[PromptItem]:
        """Empty when nothing is left to say."""
        spoken = render(text, self._values)
        if not spoken:
            return []
        pieces = render_pieces(text, self._values) if "{" in text else ()
        return [Speech(spoken, pieces if len(pieces) > 1 else (), self._voice)]

    def clip(self, audio_file_id: int) -> list[PromptItem]:
        clip = self._clips.get(audio_file_id)
        if clip is None:
            # A version is written only with its clips; a script that never was may still be run without them.
            _log.warning("an audio file of the script is missing", extra={"audio_file_id": audio_file_id})
            return []
        return [AudioClip(clip.storage_key, clip.duration_s)]

    def prompt(self, parts: tuple[Part, ...]) -> list[PromptItem]:
        items: list[PromptItem] = []
        for part in parts:
            if part.text is not None:
                items += self.text(part.text)
            elif part.audio_file_id is not None:
                items += self.clip(part.audio_file_id)
        return items
