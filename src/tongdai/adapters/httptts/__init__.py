"""Voices behind HTTP: the Vietnamese clouds, or any server that is asked for a text and gives sound."""

from tongdai.adapters.httptts.provider import Provider, ProviderError, load_provider
from tongdai.adapters.httptts.speaker import HttpSpeaker

__all__ = ["HttpSpeaker", "Provider", "ProviderError", "load_provider"]
