"""From what a customer sent to a Script: shapes first, then what `check` knows. Pure."""

from __future__ import annotations

import re

import msgspec

from tongdai.domain.scripts.check import Fault, check_script
from tongdai.domain.scripts.errors import ScriptInvalidError
from tongdai.domain.scripts.model import KINDS, MAX_STEPS, Script, Step, with_clips

MAX_BYTES = 1_000_000
TOO_LARGE = f"the script is larger than {MAX_BYTES} bytes"
STEP_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_TOP = frozenset({"start", "steps", "kind", "voicemail", "confirm_human", "confirm_text", "voice"})
_PROMPTS = ("prompt", "retry_prompt")
_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(.+)`$", re.DOTALL)
_WHERE = re.compile(r" - at `(?:key in )?\$(.*)`$", re.DOTALL)


def parse_script(raw: object) -> Script:
    """The script in `raw`: JSON as bytes or str, what JSON decodes to, or a Script.

    Raises ScriptInvalidError whose `facts["errors"]` has (path, message) pairs, such as
    ("steps.menu.on.1", "there is no step 'confirm'").
    """
    body = _decode(raw)
    faults = _shape_faults(body)
    if faults or not isinstance(body, dict):
        raise ScriptInvalidError(faults)
    script = _build(body)
    faults = check_script(script)
    if faults:
        raise ScriptInvalidError(faults)
    if len(msgspec.json.encode(script)) > MAX_BYTES:
        raise ScriptInvalidError([("", TOO_LARGE)])
    return script


def _decode(raw: object) -> object:
    if isinstance(raw, Script):
        return msgspec.to_builtins(with_clips(raw, {}))
    if not isinstance(raw, (bytes, str)):
        return raw
    if len(raw) > MAX_BYTES:
        raise ScriptInvalidError([("", TOO_LARGE)])
    try:
        decoded: object = msgspec.json.decode(raw)
    except RecursionError:
        raise ScriptInvalidError([("", "the JSON is nested too deeply")]) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ScriptInvalidError([("", f"this is not JSON: {error}")]) from None
    return decoded


def _shape_faults(body: object) -> list[Fault]:
    if not isinstance(body, dict):
        return [("", "a script is a JSON object")]
    faults = [(_shown(key), "a script has no such field") for key in body if key not in _TOP]
    steps = body.get("steps")
    if not isinstance(steps, dict) or not steps:
        return [*faults, ("steps", "a script needs steps: an object with a step for each id")]
    if len(steps) > MAX_STEPS:
        return [*faults, ("steps", f"a script has at most {MAX_STEPS} steps, not {len(steps)}")]
    for step_id, step in steps.items():
        faults += _step_faults(step_id, step)
    return faults


def _step_faults(step_id: object, step: object) -> list[Fault]:
    path = f"steps.{_shown(step_id)}"
    if not isinstance(step_id, str) or not STEP_ID.fullmatch(step_id):
        return [(path, "a step's id has 1 to 64 of the characters A-Z a-z 0-9 _ -")]
    if not isinstance(step, dict):
        return [(path, "a step is a JSON object")]
    if step.get("kind") not in KINDS:
        return [(f"{path}.kind", f"kind is one of {', '.join(KINDS)}")]
    try:
        _convert_step(step)
    except (msgspec.ValidationError, RecursionError) as error:
        return [_fault(path, str(error))]
    return []


def _convert_step(step: dict[str, object]) -> Step:
    """A step from its JSON. A prompt may be written as one string."""
    given = {
        key: [{"text": value}] if key in _PROMPTS and isinstance(value, str) else value
        for key, value in step.items()
    }
    converted: Step = msgspec.convert(given, Step)
    return converted


def _build(body: dict[str, object]) -> Script:
    steps = body["steps"]
    assert isinstance(steps, dict)  # _shape_faults has refused anything else
    try:
        return msgspec.convert(
            {**body, "steps": {step_id: _convert_step(step) for step_id, step in steps.items()}}, Script
        )
    except (msgspec.ValidationError, RecursionError) as error:
        raise ScriptInvalidError([_fault("", str(error))]) from None


def _fault(path: str, message: str) -> Fault:
    """msgspec's message as (path, message): it writes "… `field` - at `$.on[...]`"."""
    where = _WHERE.search(message)
    inside = "" if where is None else where.group(1).replace("[...]", "").replace("[", ".").replace("]", "")
    what = message if where is None else message[: where.start()]
    field = _FIELD.match(what)
    if field is not None:
        inside += f".{_shown(field.group(1))}"
    return f"{path}{inside}".lstrip("."), what


def _shown(key: object) -> str:
    return str(key)[:64].encode("ascii", "backslashreplace").decode().replace("\0", "\\0")
