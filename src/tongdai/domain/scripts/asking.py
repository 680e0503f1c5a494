"""Asking for keys: prompts, silences and tries, until there is a value or none is to be had. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tongdai.domain.scripts.keypad import Keypad
from tongdai.domain.scripts.model import GatherStep, Part
from tongdai.domain.scripts.results import Result
from tongdai.domain.scripts.stage import Stage
from tongdai.domain.scripts.voice import Voice


@dataclass(slots=True)
class _Entry:
    """A gather that is under way."""

    step: GatherStep
    accept: Callable[[str], bool]
    """Takes a value; False: it is invalid."""
    give_up: Callable[[str], None]
    """Told `Result.NO_INPUT` or `Result.INVALID_INPUT` once the tries are used."""
    tries_left: int
    entered: str = ""


class Asking:
    """The questions of one call, one at a time."""

    def __init__(self, stage: Stage, keys: Keypad, voice: Voice) -> None:
        self._stage = stage
        self._keys = keys
        self._voice = voice

    def ask(self, step: GatherStep, accept: Callable[[str], bool], give_up: Callable[[str], None]) -> None:
        """`accept` takes a value, or says that it is invalid; `give_up` is told why once no try is left."""
        if step.clear_before:
            self._keys.forget_unused()
        self._try(_Entry(step, accept, give_up, step.tries), step.prompt)

    def _try(self, entry: _Entry, prompt: tuple[Part, ...]) -> None:
        entry.entered = ""
        if entry.step.barge_in and self._keys.waiting:
            self._collect(entry)
            return
        playing = self._stage.play(self._voice.prompt(prompt), lambda _: self._collect(entry))
        if playing is not None and entry.step.barge_in:
            self._stage.on_key(lambda: self._interrupt(entry, playing))

    def _interrupt(self, entry: _Entry, playing: int) -> None:
        self._stage.stop_play(playing)
        self._collect(entry)

    def _collect(self, entry: _Entry) -> None:
        """Use the keys that wait; when they are no whole value yet, listen for more."""
        entry.entered, complete = self._keys.take(entry.step, entry.entered)
        if complete:
            self._evaluate(entry)
            return
        timer = self._stage.pause(entry.step.timeout_s, lambda _: self._silence(entry))

        def key_pressed() -> None:
            self._stage.cancel_pause(timer)
            self._collect(entry)

        self._stage.on_key(key_pressed)

    def _silence(self, entry: _Entry) -> None:
        if entry.entered:
            self._evaluate(entry)
        else:
            self._failed(entry, Result.NO_INPUT)

    def _evaluate(self, entry: _Entry) -> None:
        if not entry.accept(entry.entered):
            self._failed(entry, Result.INVALID_INPUT)

    def _failed(self, entry: _Entry, why: str) -> None:
        entry.tries_left -= 1
        if entry.tries_left > 0:
            self._try(entry, entry.step.retry_prompt + entry.step.prompt)
        else:
            entry.give_up(why)
