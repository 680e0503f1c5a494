"""eSpeak NG's voices, spoken by a process of their own."""

from tongdai.adapters.espeak.speaker import EspeakSpeaker

__all__ = ["EspeakSpeaker"]
