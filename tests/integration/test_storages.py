"""Every store keeps the storage port's promises: files on disk, and a bucket of a real S3 server."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.s3server import S3Server, s3_server

from tongdai.adapters.files import FileStorage
from tongdai.adapters.s3 import BucketError, S3Storage
from tongdai.ports.storage import Storage, StorageKeyError, StoredFileMissingError

pytestmark = pytest.mark.anyio

KEY = "recordings/7/2026/11/1.wav"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["files", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "files":
        return FileStorage(tmp_path)
    server: S3Server = request.getfixturevalue("s3")
    return S3Storage(server.bucket)


def bytes_of(number: int, size: int) -> bytes:
    block = hashlib.sha256(str(number).encode()).digest()
    return (block * (size // len(block) + 1))[:size]


async def pieces(*sizes: int, fails: bool = False) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes_of(number, size)
    if fails:
        raise ZeroDivisionError


async def read(storage: Storage, key: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([piece async for piece in storage.stream(key, start, length)])


@pytest.mark.parametrize("sizes", [(), (1,), (300_000, 0, 5), (9_000_000, 8_000_000, 3_000_000)])
async def test_what_was_put_comes_back_byte_for_byte(storage: Storage, sizes: tuple[int, ...]) -> None:
    whole = b"".join(bytes_of(number, size) for number, size in enumerate(sizes))

    assert await storage.put_stream(KEY, pieces(*sizes)) == len(whole)
    assert await storage.get(KEY) == whole
    assert await read(storage, KEY) == whole

    await storage.put(KEY, whole[:10])
    assert await storage.get(KEY) == whole[:10]


async def test_a_part_of_a_file_is_that_part(storage: Storage) -> None:
    whole = bytes_of(1, 1_000_000)
    await storage.put(KEY, whole)

    assert await read(storage, KEY, 0, 1) == whole[:1]
    assert await read(storage, KEY, 44, 600_000) == whole[44:600_044]
    assert await read(storage, KEY, 999_990) == whole[999_990:]
    assert await read(storage, KEY, 999_990, 10) == whole[999_990:]


@pytest.mark.parametrize("sizes", [(10,), (9_000_000, 9_000_000)])
async def test_what_breaks_off_leaves_what_was_there_before(
    storage: Storage, sizes: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    await storage.put(KEY, b"before")

    with pytest.raises(ZeroDivisionError):
        await storage.put_stream(KEY, pieces(*sizes, fails=True))

    assert await storage.get(KEY) == b"before"
    if isinstance(storage, S3Storage):
        assert request.getfixturevalue("s3").unfinished_uploads() == 0, (
            "parts cost money until they are given up"
        )


async def test_what_is_not_there_is_missing_and_may_be_deleted(storage: Storage) -> None:
    key = "recordings/7/none.wav"
    assert not await storage.exists(key)
    with pytest.raises(StoredFileMissingError):
        await storage.get(key)
    with pytest.raises(StoredFileMissingError):
        await read(storage, key, 5, 5)
    await storage.delete(key)

    await storage.put(key, b"1")
    assert await storage.exists(key)
    await storage.delete(key)
    await storage.delete(key)
    assert not await storage.exists(key)


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/.b", "a b", "a\n", "a/" + "b" * 600])
async def test_a_key_that_is_none_is_refused_everywhere(storage: Storage, key: str) -> None:
    for refused in (
        storage.put(key, b""),
        storage.put_stream(key, pieces(1)),
        storage.get(key),
        storage.delete(key),
        storage.exists(key),
        read(storage, key),
    ):
        with pytest.raises(StorageKeyError):
            await refused
    with pytest.raises(StorageKeyError):
        storage.path(key)


async def test_a_bucket_takes_nothing_that_was_signed_with_another_key(s3: S3Server) -> None:
    for bucket in (replace(s3.bucket, secret_key="wrong"), replace(s3.bucket, access_key="nobody")):
        stranger = S3Storage(bucket)
        for size in (10, 9_000_000):
            with pytest.raises(BucketError) as refused:
                await stranger.put_stream("a/b", pieces(size))
            assert str(refused.value) in (
                "PermissionDeniedError, 403, SignatureDoesNotMatch",
                "PermissionDeniedError, 403, InvalidAccessKeyId",
            )
    assert not await S3Storage(s3.bucket).exists("a/b")
    assert "wrong" not in repr(replace(s3.bucket, secret_key="wrong"))


async def test_a_store_that_is_away_is_an_error_within_its_time(s3: S3Server) -> None:
    away = S3Storage(replace(s3.bucket, endpoint="http://127.0.0.1:9"), timeout_s=2.0)

    for asked in (away.put("a/b", b"1"), away.get("a/b"), away.exists("a/b"), away.delete("a/b")):
        with pytest.raises(BucketError, match="error sending request"):
            await asked
    assert away.path("a/b") is None
