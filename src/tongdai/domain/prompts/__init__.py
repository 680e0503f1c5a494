"""Audio files that scripts play: checked, kept once per content, removed with their last use."""

from tongdai.domain.prompts.errors import (
    AudioFileInUseError,
    AudioFileInvalidError,
    AudioFileNotFoundError,
    AudioFormatError,
    AudioTooLargeError,
    AudioTooLongError,
)
from tongdai.domain.prompts.model import MAX_BYTES, AudioFile
from tongdai.domain.prompts.service import add_audio, audio_resolver, delete_audio, get_audio, list_audio

__all__ = [
    "MAX_BYTES",
    "AudioFile",
    "AudioFileInUseError",
    "AudioFileInvalidError",
    "AudioFileNotFoundError",
    "AudioFormatError",
    "AudioTooLargeError",
    "AudioTooLongError",
    "add_audio",
    "audio_resolver",
    "delete_audio",
    "get_audio",
    "list_audio",
]
