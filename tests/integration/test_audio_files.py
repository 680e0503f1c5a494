"""Audio files: what a telephone can play is kept, once, and for its account alone."""

from __future__ import annotations

import asyncio
import stat
import struct
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import factories
from tests.factories import Cast

from tongdai.adapters.files import FileStorage
from tongdai.domain import prompts, scripts
from tongdai.domain.prompts.model import read_sound
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx
from tongdai.ports.storage import StorageKeyError, StoredFileMissingError

pytestmark = pytest.mark.anyio


def wav(
    seconds: float = 1.0,
    *,
    tag: int = 1,
    rate: int = 8000,
    channels: int = 1,
    bits: int = 16,
    extra: bytes = b"",
    frame_bytes: int | None = None,
) -> bytes:
    frame = channels * bits // 8 if frame_bytes is None else frame_bytes
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)
    sound = b"\x01" * (int(seconds * rate) * (channels * bits // 8))
    fmt = b"fmt " + struct.pack("<I", len(layout)) + layout
    data = b"data" + struct.pack("<I", len(sound)) + sound
    inside = b"WAVE" + fmt + extra + data
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path / "deep" / "files")


def files_of(storage: FileStorage) -> list[Path]:
    root = storage.path("x").parent
    return [place for place in root.rglob("*") if place.is_file()]


async def nobody_plays_it(_: int) -> bool:
    return False


# ---------------------------------------------------------------- what a telephone can play


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("tag", "bits"), [(1, 8), (1, 16), (6, 8), (7, 8)])
async def test_every_telephone_format_is_taken(tag: int, bits: int, channels: int, rate: int) -> None:
    sound = read_sound(wav(1.5, tag=tag, bits=bits, channels=channels, rate=rate))
    assert (sound.sample_rate, sound.channels, sound.duration_ms) == (rate, channels, 1500)


async def test_other_chunks_before_the_sound_are_passed_over() -> None:
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    assert read_sound(wav(2, extra=odd)).duration_ms == 2000


async def test_a_file_that_was_written_to_a_pipe_is_as_long_as_what_is_there() -> None:
    whole = wav(1)
    place = whole.index(b"data") + 4
    streamed = whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :]
    assert read_sound(streamed).duration_ms == 1000


async def test_an_extensible_header_is_read_by_its_sub_format() -> None:
    layout = struct.pack("<HHIIHHHHIH14s", 0xFFFE, 1, 8000, 16000, 2, 16, 22, 16, 4, 1, b"\0" * 14)
    data = b"\0\0" * 8000
    inside = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", 16000) + data
    assert read_sound(b"RIFF" + struct.pack("<I", len(inside)) + inside).duration_ms == 1000


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (b"", prompts.AudioFormatError, "ffmpeg"),
        (b"ID3\x04 an mp3", prompts.AudioFormatError, "not a WAV file"),
        (b"RIFF\0\0\0\0WAVE", prompts.AudioFormatError, "does not say how"),
        (wav(tag=3, bits=32), prompts.AudioFormatError, "neither PCM"),
        (wav(bits=24), prompts.AudioFormatError, "neither PCM"),
        (wav(tag=0x55), prompts.AudioFormatError, "neither PCM"),
        (wav(channels=3), prompts.AudioFormatError, "3 channels"),
        (wav(rate=7999), prompts.AudioFormatError, "7999 samples"),
        (wav(0.1, rate=96000), prompts.AudioFormatError, "96000 samples"),
        (wav(frame_bytes=7), prompts.AudioFormatError, "contradicts itself"),
        (wav(0), prompts.AudioFormatError, "no sound"),
        (wav()[:44], prompts.AudioFormatError, "no sound"),
        (wav(601, tag=7, bits=8), prompts.AudioTooLongError, "601 seconds"),
        (b"\0" * 20_000_001, prompts.AudioTooLargeError, "20000001 bytes"),
    ],
)
async def test_what_a_telephone_cannot_play_is_refused_with_what_to_do(
    data: bytes, error: type[prompts.AudioFileInvalidError], says: str
) -> None:
    with pytest.raises(error) as caught:
        read_sound(data)
    assert says in str(caught.value.facts["errors"])


@given(st.binary(max_size=200), st.integers(0, 60))
def test_no_bytes_break_the_check(noise: bytes, place: int) -> None:
    for data in (noise, b"RIFF\0\0\0\0WAVE" + noise, wav(0.01)[:place] + noise + wav(0.01)[place:]):
        try:
            assert read_sound(data).duration_ms > 0
        except prompts.AudioFileInvalidError as error:
            assert error.facts["errors"]  # noqa: PT017 - either way is right for random bytes


# ---------------------------------------------------------------- keeping


async def test_a_file_is_kept_and_found_by_the_whole_account(
    tx: Tx, cast: Cast, storage: FileStorage
) -> None:
    data = wav(2.5)
    added = await prompts.add_audio(tx, storage, cast.owner.account_id, " Lời chào ", data)
    assert (added.name, added.sample_rate, added.duration_ms) == ("Lời chào", 8000, 2500)
    assert added.size_bytes == len(data)
    assert await storage.get(added.storage_key) == data
    assert await prompts.get_audio(tx, cast.colleague.account_id, added.id) == added
    assert await prompts.list_audio(tx, cast.colleague.account_id) == [added]


@pytest.mark.parametrize("name", ["", " ", "a" * 201, "a\0b", "a\nb"])
async def test_a_name_that_cannot_be_shown_is_refused(
    tx: Tx, cast: Cast, storage: FileStorage, name: str
) -> None:
    with pytest.raises(prompts.AudioFileInvalidError):
        await prompts.add_audio(tx, storage, cast.owner.account_id, name, wav())
    assert files_of(storage) == []


async def test_what_is_refused_is_not_kept(tx: Tx, cast: Cast, storage: FileStorage) -> None:
    with pytest.raises(prompts.AudioFormatError):
        await prompts.add_audio(tx, storage, cast.owner.account_id, "nhạc", b"not a WAV file")
    assert await prompts.list_audio(tx, cast.owner.account_id) == []
    assert files_of(storage) == []


async def test_a_stranger_finds_no_file_to_read_delete_or_play(
    tx: Tx, cast: Cast, storage: FileStorage
) -> None:
    added = await prompts.add_audio(tx, storage, cast.owner.account_id, "Lời chào", wav())
    stranger = cast.stranger.account_id
    with pytest.raises(prompts.AudioFileNotFoundError):
        await prompts.get_audio(tx, stranger, added.id)
    with pytest.raises(prompts.AudioFileNotFoundError):
        await prompts.delete_audio(tx, storage, stranger, added.id, in_use=nobody_plays_it)
    assert await prompts.list_audio(tx, stranger) == []
    assert await prompts.audio_resolver(tx, stranger)(added.id) is None
    assert await storage.exists(added.storage_key)


async def test_the_same_content_is_kept_once_per_account(tx: Tx, cast: Cast, storage: FileStorage) -> None:
    for account_id in (cast.owner.account_id, cast.owner.account_id, cast.stranger.account_id):
        await prompts.add_audio(tx, storage, account_id, "Lời chào", wav())
    assert len(files_of(storage)) == 2


async def test_a_file_goes_with_the_last_row_that_names_it(tx: Tx, cast: Cast, storage: FileStorage) -> None:
    account_id = cast.owner.account_id
    first = await prompts.add_audio(tx, storage, account_id, "một", wav())
    second = await prompts.add_audio(tx, storage, account_id, "hai", wav())
    await prompts.delete_audio(tx, storage, account_id, first.id, in_use=nobody_plays_it)
    assert await storage.exists(second.storage_key)
    await prompts.delete_audio(tx, storage, account_id, second.id, in_use=nobody_plays_it)
    assert not await storage.exists(second.storage_key)
    assert await prompts.list_audio(tx, account_id) == []
    with pytest.raises(prompts.AudioFileNotFoundError):
        await prompts.delete_audio(tx, storage, account_id, second.id, in_use=nobody_plays_it)


async def test_a_file_that_a_script_plays_is_not_deleted(tx: Tx, cast: Cast, storage: FileStorage) -> None:
    account_id = cast.owner.account_id
    added = await prompts.add_audio(tx, storage, account_id, "Lời chào", wav(3))
    row = await scripts.create_script(
        tx,
        account_id,
        "chào",
        {"start": "a", "steps": {"a": {"kind": "play", "audio_file_id": added.id}}},
        resolve_audio=prompts.audio_resolver(tx, account_id),
    )
    clip = (await scripts.load_version(tx, account_id, row.id, 1)).clips[added.id]
    assert (clip.storage_key, clip.duration_s) == (added.storage_key, 3.0)
    with pytest.raises(prompts.AudioFileInUseError):
        await prompts.delete_audio(
            tx, storage, account_id, added.id, in_use=partial(scripts.uses_audio, tx, account_id)
        )
    assert await storage.exists(added.storage_key)


async def test_adding_and_deleting_the_same_content_at_once_never_loses_a_file(
    db: Database, cast: Cast, storage: FileStorage
) -> None:
    account_id = cast.owner.account_id

    async def add() -> prompts.AudioFile:
        async with db.transaction() as tx:
            return await prompts.add_audio(tx, storage, account_id, "Lời chào", wav())

    async def delete(audio_file_id: int) -> None:
        async with db.transaction() as tx:
            await prompts.delete_audio(tx, storage, account_id, audio_file_id, in_use=nobody_plays_it)

    kept = await add()
    for _ in range(10):
        kept, _nothing = await asyncio.gather(add(), delete(kept.id))
        assert await storage.exists(kept.storage_key)


# ---------------------------------------------------------------- the folder


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "../a", "a/../b", "a/..", ".a", "a/.b", "a\0", "a b", "a\\b", "á", "a" * 600],
)
async def test_a_key_that_could_leave_the_folder_is_refused(storage: FileStorage, key: str) -> None:
    for refused in (storage.get, storage.delete, storage.exists):
        with pytest.raises(StorageKeyError):
            await refused(key)
    with pytest.raises(StorageKeyError):
        await storage.put(key, b"x")
    with pytest.raises(StorageKeyError):
        storage.path(key)


async def test_files_are_for_their_owner_alone(storage: FileStorage) -> None:
    await storage.put("a/b/c.wav", b"x")
    path = storage.path("a/b/c.wav")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent, storage.path("a").parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_file_is_replaced_whole_and_leaves_no_scraps(storage: FileStorage) -> None:
    await storage.put("a/b.wav", b"first")
    await storage.put("a/b.wav", b"second")
    assert await storage.get("a/b.wav") == b"second"
    assert files_of(storage) == [storage.path("a/b.wav")]


async def test_a_write_that_fails_leaves_no_scraps(storage: FileStorage) -> None:
    await storage.put("a/b/c.wav", b"x")
    with pytest.raises(IsADirectoryError):
        await storage.put("a/b", b"y")
    assert files_of(storage) == [storage.path("a/b/c.wav")]


async def test_what_is_not_there_is_missing_and_may_be_deleted(storage: FileStorage) -> None:
    with pytest.raises(StoredFileMissingError):
        await storage.get("a/b.wav")
    assert not await storage.exists("a/b.wav")
    await storage.delete("a/b.wav")
