"""What makes a well-formed script a sound one: every fault with the step and the field it is in. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tongdai.domain.scripts.model import (
    KEYS,
    MAX_TEXT_CHARS,
    BranchStep,
    Case,
    GatherStep,
    HangUpStep,
    Part,
    ReadCodeStep,
    RecordStep,
    Script,
    Step,
    TransferStep,
    audio_files,
    links,
    texts,
    transfer_targets,
)
from tongdai.domain.scripts.template import TemplateError, field_name, is_field_name, split_template

Fault = tuple[str, str]
"""(path, message): "steps.menu.on.1" and what is wrong there."""

VOICE = re.compile(r"[a-z]{1,20}:[A-Za-z0-9_.+-]{1,100}")
"""A provider of voices, and what it calls one of them."""

_END_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SIP = re.compile(r"sips?:[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?")
_PHONE = re.compile(r"(?:\+?84|0)([2-9][0-9]{7,9})")
_MAX_ROWID = 2**63 - 1


def transfer_target(target: str) -> str | None:
    """A target as the telephony port wants it: 84… or a SIP address. None: it is neither.

    Service numbers (1800, 1900) are refused: they bill whoever dials them.
    """
    if phone := _PHONE.fullmatch(target):
        return "84" + phone.group(1)
    return target if _SIP.fullmatch(target) else None


def check_script(script: Script) -> list[Fault]:
    """Every fault of a script, in the order of its steps. An empty list: it can run and will end."""
    faults = _root_faults(script)
    for step_id, step in script.steps.items():
        faults += [(f"steps.{step_id}.{path}", message) for path, message in _step_faults(step, script.kind)]
        faults += [
            (f"steps.{step_id}.{path}", f"there is no step '{_short(target)}'")
            for path, target in links(step)
            if target not in script.steps
        ]
    if not faults:
        faults += _unreachable(script)
        faults += _endless(script)
    return faults


def _root_faults(script: Script) -> list[Fault]:
    faults = [
        (path, f"there is no step '{_short(target)}'")
        for path, target in (("start", script.start), ("voicemail", script.voicemail))
        if target is not None and target not in script.steps
    ]
    faults += text_faults("confirm_text", script.confirm_text)
    reads = any(isinstance(step, ReadCodeStep) for step in script.steps.values())
    if script.kind == "otp" and not reads:
        faults.append(("steps", "a script of kind otp needs a read_code step"))
    if script.kind == "otp" and script.voicemail is not None:
        faults.append(("voicemail", "an otp script leaves nothing on a machine"))
    if script.voice and not VOICE.fullmatch(script.voice):
        faults.append(("voice", "a voice is its provider's name, a colon and its own name, as espeak:vi"))
    if script.confirm_human and script.kind != "otp":
        faults.append(("confirm_human", "only a script of kind otp asks for a key before it reads"))
    return faults


def _step_faults(step: Step, kind: str) -> Iterator[Fault]:
    for path, text in texts(step):
        yield from text_faults(path, text)
    for path, audio_id in audio_files(step):
        if not 0 < audio_id <= _MAX_ROWID:
            yield path, "this is not the id of an audio file"
    if isinstance(step, GatherStep):
        yield from _gather_faults(step)
    elif isinstance(step, BranchStep):
        yield from _branch_faults(step)
    else:
        yield from _other_faults(step, kind)


def _other_faults(step: Step, kind: str) -> Iterator[Fault]:
    if isinstance(step, ReadCodeStep) and kind != "otp":
        yield "kind", "read_code belongs in a script of kind otp"
    elif isinstance(step, RecordStep) and kind == "otp":
        yield "kind", "a call that reads a one-time code is never recorded"
    elif isinstance(step, TransferStep):
        yield from _transfer_faults(step)
    elif (
        isinstance(step, HangUpStep) and step.end_code is not None and not _END_CODE.fullmatch(step.end_code)
    ):
        yield "end_code", "an end code has 1 to 64 of the characters A-Z a-z 0-9 _ . -"


def _transfer_faults(step: TransferStep) -> Iterator[Fault]:
    if (step.target is None) == (not step.targets):
        yield "target", "a transfer has either a target or targets"
        return
    seen: set[str] = set()
    for index, given in enumerate(transfer_targets(step)):
        path = "target" if step.targets == () else f"targets.{index}"
        target = transfer_target(given)
        if target is None:
            yield path, "a target is a Vietnamese number (0… or 84…) or a SIP address (sip:name@host)"
        elif target in seen:
            yield path, "this target is there already"
        else:
            seen.add(target)


def text_faults(path: str, text: str) -> Iterator[Fault]:
    """What is wrong with a text that is to be spoken, wherever it is written."""
    if not text.strip():
        yield path, "the text is empty"
    elif len(text) > MAX_TEXT_CHARS:
        yield path, f"the text has {len(text)} characters; {MAX_TEXT_CHARS} are allowed"
    elif not _storable(text):
        yield path, "the text has a character that cannot be stored (NUL or half of a surrogate pair)"
    else:
        try:
            split_template(text)
        except TemplateError as error:
            yield path, str(error)


def _gather_faults(step: GatherStep) -> Iterator[Fault]:
    for name, prompt in (("prompt", step.prompt), ("retry_prompt", step.retry_prompt)):
        for index, part in enumerate(prompt):
            if not _is_one(part):
                yield f"{name}.{index}", "a part of a prompt has either a text or an audio_file_id"
    if not step.on and step.next is None:
        yield "on", "say where each key leads (on), or where any key leads (next)"
    if step.min_digits > step.max_digits:
        yield "min_digits", f"it is more than max_digits ({step.max_digits})"
    for value in step.on:
        if problem := _value_problem(step, value):
            yield f"on.{_short(value)}", problem


def _is_one(part: Part) -> bool:
    return (part.text is None) != (part.audio_file_id is None)


def _value_problem(step: GatherStep, value: str) -> str | None:
    if not value or not all(key in KEYS for key in value):
        return "this is not a key: 0 to 9, * and #"
    if not step.min_digits <= len(value) <= step.max_digits:
        return f"nobody can enter this: the step takes {step.min_digits} to {step.max_digits} digits"
    if step.max_digits > 1 and step.terminator is not None and step.terminator in value:
        return f"nobody can enter this: {step.terminator} ends the entry"
    return None


def _branch_faults(step: BranchStep) -> Iterator[Fault]:
    if step.field is not None and not is_field_name(field_name(step.field)):
        yield "field", "this is not a field: a name has letters, digits and _"
    if not step.cases:
        yield "cases", "a branch needs at least one case"
    for index, case in enumerate(step.cases):
        if sum(test is not None for test in (case.equals, case.one_of, case.present)) != 1:
            yield f"cases.{index}", "a case has exactly one of equals, in and present"
        if not all(_storable(value) and len(value) <= MAX_TEXT_CHARS for value in _values(case)):
            yield f"cases.{index}", "a value is too long, or has a character that cannot be stored"


def _values(case: Case) -> tuple[str, ...]:
    return (case.one_of or ()) + ((case.equals,) if case.equals is not None else ())


def _storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _unreachable(script: Script) -> list[Fault]:
    found: set[str] = set()
    waiting = [script.start] + ([script.voicemail] if script.voicemail is not None else [])
    while waiting:
        step_id = waiting.pop()
        if step_id not in found:
            found.add(step_id)
            waiting += [target for _, target in links(script.steps[step_id])]
    return [(f"steps.{step_id}", "no step leads here") for step_id in script.steps if step_id not in found]


def _endless(script: Script) -> list[Fault]:
    """Loops that somebody silent would never leave: those in which no key has to be pressed."""
    faults: list[Fault] = []
    finished: set[str] = set()
    for root in script.steps:
        faults += _loops_from(script, root, finished)
    return faults


def _loops_from(script: Script, root: str, finished: set[str]) -> Iterator[Fault]:
    if root in finished:
        return
    trail = {root}
    stack = [(root, iter(_silent_links(script.steps[root])))]
    while stack:
        step_id, remaining = stack[-1]
        link = next(remaining, None)
        if link is None:
            stack.pop()
            trail.discard(step_id)
            finished.add(step_id)
            continue
        path, target = link
        if target in trail:
            yield (
                f"steps.{step_id}.{path}",
                f"this leads back to '{target}' without a key: the call never ends",
            )
        elif target not in finished:
            trail.add(target)
            stack.append((target, iter(_silent_links(script.steps[target]))))


def _silent_links(step: Step) -> list[tuple[str, str]]:
    return [
        (path, target)
        for path, target in links(step)
        if not isinstance(step, GatherStep) or path == "on_timeout"
    ]


def _short(text: str) -> str:
    return text[:64].encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
