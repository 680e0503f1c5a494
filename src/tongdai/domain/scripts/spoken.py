"""All that a script may say on a call, in the form in which it is said: what is to be prepared. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tongdai.domain.scripts.model import (
    ReadCodeStep,
    Script,
    audio_files,
    required_fields,
    texts,
    used_fields,
)
from tongdai.domain.scripts.voice import Voice
from tongdai.ports.telephony import PromptItem, SpokenCode

_ANY_VALUE = "Lan"
"""Stands for what a contact brings: what is said around it does not depend on it, as a rule."""
_ANY_CODE = "0123456789"


def spoken_items(
    script: Script, fields: Mapping[str, object], more_texts: Iterable[str] = ()
) -> list[PromptItem]:
    """What a call with these fields may say: texts, audio files, and a code in place of every code.

    `more_texts`: what is said on the call besides the script, as the announcement of a recording.
    """
    voice = Voice(fields, script.clips, script.voice)
    items: list[PromptItem] = []
    for step in script.steps.values():
        for _, text in texts(step):
            items += voice.text(text)
        for _, audio_file_id in audio_files(step):
            items += voice.clip(audio_file_id)
        if isinstance(step, ReadCodeStep):
            items.append(SpokenCode(_ANY_CODE, script.voice))
    if script.kind == "otp" and script.confirm_human:
        items += voice.text(script.confirm_text)
    for text in more_texts:
        items += voice.text(text)
    return list(dict.fromkeys(items))


def constant_items(script: Script, more_texts: Iterable[str] = ()) -> list[PromptItem]:
    """What every call may say: the pieces around the fields, for one that is made up."""
    return spoken_items(script, dict.fromkeys(required_fields(script), _ANY_VALUE), more_texts)


def says_fields(script: Script) -> bool:
    """False: it says the same to everybody."""
    return bool(used_fields(script))
