"""`tongdai speech`: hear a voice before it calls anybody."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tongdai import settings as settings_module
from tongdai.kit.wav import wav_of
from tongdai.settings import Settings, SettingsError

if TYPE_CHECKING:
    from tongdai.ports.speech import Pcm


@click.group()
def speech() -> None:
    """Hear what a telephone would: words, voices and levels as on a call."""


@speech.command()
@click.argument("text")
@click.option("--voice", help="provider:name, as espeak:vi-vn-x-south. Without it: speech_voice.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="The WAV file to write, 8 kHz mono. Without it the words alone are shown.",
)
@click.option("--wide", is_flag=True, help="As the voice gives it, not as the telephone line carries it.")
@click.pass_obj
def say(config: Path | None, text: str, voice: str | None, out: Path | None, wide: bool) -> None:
    """Speak TEXT into a WAV file.

    Numbers, dates and amounts are read as on a call. Needs no database.
    """
    settings = settings_module.load(config)
    words = _words(text)
    click.echo(words)
    if out is None:
        return
    pcm, took_s = asyncio.run(_spoken(settings, words, voice or settings.speech_voice))
    if not wide:
        pcm = _as_on_the_line(pcm)
    out.write_bytes(wav_of(pcm.samples, pcm.rate))
    click.echo(f"{out}: {pcm.seconds:.1f} s of sound, made in {took_s * 1000:.0f} ms")


@speech.command()
@click.pass_obj
def voices(config: Path | None) -> None:
    """List the providers of voices that are set up, and the files of Piper's."""
    from tongdai.bootstrap import speakers

    settings = settings_module.load(config)
    for provider in speakers(settings):
        click.echo(f"{provider}:…")
    if settings.piper_voices:
        for model in sorted(Path(settings.piper_voices).glob("*.onnx")):
            click.echo(f"piper:{model.stem}")


def _words(text: str) -> str:
    from tongdai.domain.prompts.speakable import speakable

    words = speakable(text)
    if not words:
        raise SettingsError("nothing in this text has a sound")
    return words


async def _spoken(settings: Settings, words: str, voice: str) -> tuple[Pcm, float]:
    """Their sound, and the seconds that it took. Raises SettingsError."""
    from tongdai.bootstrap import speakers
    from tongdai.ports.speech import SpeechFailedError

    provider, _, name = voice.partition(":")
    found = speakers(settings)
    speaker = found.get(provider)
    if speaker is None:
        raise SettingsError(
            f"there is no voice {voice!r}; set up are {', '.join(f'{one}:…' for one in found)}"
        )
    await speaker.start()
    began = time.monotonic()
    try:
        return await speaker.speak(words, name), time.monotonic() - began
    except SpeechFailedError as error:
        raise SettingsError(f"{voice}: {error.reason}") from None
    finally:
        await speaker.stop()


def _as_on_the_line(pcm: Pcm) -> Pcm:
    """Coded as A-law and back. Raises SettingsError for silence."""
    import numpy as np

    from tongdai.domain.prompts import levels
    from tongdai.ports.speech import Pcm as Sound

    try:
        heard = levels.from_a_law(levels.line_sound(pcm))
    except levels.SilentError:
        raise SettingsError("the voice gave silence") from None
    return Sound((heard * 32767).astype(np.dtype("<i2")).tobytes(), levels.LINE_RATE)
