"""Use cases of scripts. A version never changes once it is written: a campaign keeps the one it was given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tongdai.domain.scripts import store
from tongdai.domain.scripts.errors import (
    ScriptInvalidError,
    ScriptNameInvalidError,
    ScriptNotFoundError,
)
from tongdai.domain.scripts.model import Clip, Script, ScriptEntry, ScriptRow, audio_files, with_clips
from tongdai.domain.scripts.parse import parse_script
from tongdai.kit.db import Tx
from tongdai.ports.telephony import AudioClip

MAX_NAME_CHARS = 200

ResolveAudio = Callable[[int], Awaitable[AudioClip | None]]
"""Finds an audio file of the script's account by its id; None when the account has no such file."""


async def create_script(
    tx: Tx, account_id: int, name: str, body: object, *, resolve_audio: ResolveAudio | None = None
) -> ScriptRow:
    """A new script, version 1. `body` is what `parse_script` takes.

    `resolve_audio` is needed for scripts that play files: `prompts.audio_resolver(tx, account_id)`.
    Raises ScriptInvalidError, ScriptNameInvalidError.
    """
    script = await check_script(body, resolve_audio=resolve_audio)
    script_id = await store.add_script(tx, account_id, _checked_name(name))
    await store.add_version(tx, account_id, script_id, 1, script)
    return await get_script(tx, account_id, script_id)


async def update_script(
    tx: Tx,
    account_id: int,
    script_id: int,
    body: object,
    *,
    name: str | None = None,
    resolve_audio: ResolveAudio | None = None,
) -> ScriptRow:
    """Write the next version, and rename the script when a name is given. Earlier versions stay as they are.

    Raises ScriptNotFoundError (for a stranger's script and an archived one too), ScriptInvalidError,
    ScriptNameInvalidError.
    """
    new_name = None if name is None else _checked_name(name)
    # Before the body is looked at: a stranger hears that there is no such script, whatever they sent.
    if not await store.hold_script(tx, account_id, script_id):
        raise ScriptNotFoundError(script_id=script_id)
    script = await check_script(body, resolve_audio=resolve_audio)
    version = await store.next_version(tx, account_id, script_id, new_name)
    await store.add_version(tx, account_id, script_id, version, script)
    return await get_script(tx, account_id, script_id)


async def get_script(tx: Tx, account_id: int, script_id: int, version: int | None = None) -> ScriptRow:
    """A script in one of its versions; None: the current one. Raises ScriptNotFoundError."""
    row = await store.script(tx, account_id, script_id, version)
    if row is None:
        raise ScriptNotFoundError(script_id=script_id, version=version)
    return row


async def list_scripts(tx: Tx, account_id: int, *, after: int = 0, limit: int = 100) -> list[ScriptEntry]:
    """Scripts without their steps, in the order of their ids, beginning after `after`."""
    return await store.scripts(tx, account_id, after, limit)


async def load_version(tx: Tx, account_id: int, script_id: int, version: int) -> Script:
    """What a call runs, its audio files resolved. Raises ScriptNotFoundError."""
    script = await store.version_body(tx, account_id, script_id, version)
    if script is None:
        raise ScriptNotFoundError(script_id=script_id, version=version)
    return script


async def uses_audio(tx: Tx, account_id: int, audio_file_id: int) -> bool:
    """Whether any version of a script of the account plays the file: campaigns may still run old ones."""
    return await store.uses_audio(tx, account_id, audio_file_id)


async def check_script(body: object, *, resolve_audio: ResolveAudio | None = None) -> Script:
    """The script, ready to be written: `create_script` without writing. Raises ScriptInvalidError."""
    script = parse_script(body)
    clips: dict[int, Clip] = {}
    faults: list[tuple[str, str]] = []
    for step_id, step in script.steps.items():
        for path, audio_file_id in audio_files(step):
            found = clips.get(audio_file_id) or await _clip(audio_file_id, resolve_audio)
            if found is None:
                faults.append((f"steps.{step_id}.{path}", f"there is no audio file {audio_file_id}"))
            else:
                clips[audio_file_id] = found
    if faults:
        raise ScriptInvalidError(faults)
    return with_clips(script, clips)


async def _clip(audio_file_id: int, resolve_audio: ResolveAudio | None) -> Clip | None:
    clip = None if resolve_audio is None else await resolve_audio(audio_file_id)
    return None if clip is None else Clip(clip.storage_key, clip.duration_s)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise ScriptNameInvalidError(
            errors=[("name", f"a name has 1 to {MAX_NAME_CHARS} printable characters")]
        )
    return name
