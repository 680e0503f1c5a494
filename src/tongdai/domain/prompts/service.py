"""Use cases of audio files. A file is kept once per account and content, however many rows name it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256

from tongdai.domain.prompts import store
from tongdai.domain.prompts.errors import AudioFileInUseError, AudioFileNotFoundError
from tongdai.domain.prompts.model import AudioFile, checked_name, read_sound, storage_key
from tongdai.kit.db import Tx
from tongdai.ports.storage import Storage
from tongdai.ports.telephony import AudioClip


async def add_audio(tx: Tx, storage: Storage, account_id: int, name: str, data: bytes) -> AudioFile:
    """Keep a WAV file. Raises AudioFormatError, AudioTooLargeError, AudioTooLongError, AudioFileInvalidError.

    The file is written before the row: a transaction that fails leaves at most a file that nothing names.
    """
    name = checked_name(name)
    sound = read_sound(data)
    digest = sha256(data).digest()
    key = storage_key(account_id, digest)
    await store.hold_content(tx, key)
    await storage.put(key, data)
    return await store.add(
        tx,
        account_id,
        name=name,
        sha256=digest,
        size_bytes=len(data),
        sample_rate=sound.sample_rate,
        duration_ms=sound.duration_ms,
        storage_key=key,
    )


async def get_audio(tx: Tx, account_id: int, audio_file_id: int) -> AudioFile:
    """Raises AudioFileNotFoundError, for a stranger's file too."""
    row = await store.one(tx, account_id, audio_file_id)
    if row is None:
        raise AudioFileNotFoundError(audio_file_id=audio_file_id)
    return row


async def list_audio(tx: Tx, account_id: int, *, after: int = 0, limit: int = 100) -> list[AudioFile]:
    """Audio files in the order of their ids, beginning after `after`."""
    return await store.page(tx, account_id, after, limit)


async def delete_audio(
    tx: Tx,
    storage: Storage,
    account_id: int,
    audio_file_id: int,
    *,
    in_use: Callable[[int], Awaitable[bool]],
) -> None:
    """Remove an audio file that no script plays (`in_use`, given the file's id, says whether one does).

    Raises AudioFileNotFoundError, AudioFileInUseError. The file goes with the last row that names it, before
    the commit: after it, somebody could already have added the same content again.
    """
    audio = await get_audio(tx, account_id, audio_file_id)
    await store.hold_content(tx, audio.storage_key)
    if await store.one_held(tx, account_id, audio_file_id) is None:
        raise AudioFileNotFoundError(audio_file_id=audio_file_id)
    if await in_use(audio_file_id):
        raise AudioFileInUseError(audio_file_id=audio_file_id)
    await store.remove(tx, account_id, audio_file_id)
    if not await store.is_stored_for_another(tx, account_id, audio.storage_key):
        await storage.delete(audio.storage_key)


def audio_resolver(tx: Tx, account_id: int) -> Callable[[int], Awaitable[AudioClip | None]]:
    """For `scripts.create_script`: finds the account's own audio files, and keeps each one that it found from
    being removed until the transaction ends."""

    async def resolve(audio_file_id: int) -> AudioClip | None:
        row = await store.one_kept(tx, account_id, audio_file_id)
        return None if row is None else AudioClip(row.storage_key, row.duration_s)

    return resolve
