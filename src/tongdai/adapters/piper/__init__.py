"""Piper's voices, spoken by the program `piper`."""

from tongdai.adapters.piper.speaker import PiperSpeaker

__all__ = ["PiperSpeaker"]
