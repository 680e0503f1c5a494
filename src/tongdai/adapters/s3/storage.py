"""The storage port in a bucket of any S3-compatible store. Requests are signed by Signature Version 4.

An object appears whole or not at all, and S3 keeps what it has acknowledged, so the port's promises are the
store's own. See docs/decisions/0018-recordings.md for the library.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tongdai.ports.storage import StoredFileMissingError, checked_key

if TYPE_CHECKING:
    from obstore import GetOptions

PART_BYTES: Final = 8 * 1024 * 1024
"""Of a long file that is sent in parts; S3 wants 5 MiB at least, and takes 10,000 parts."""
_PARTS_AT_ONCE: Final = 2
"""Per file, which bounds the memory that it takes."""
_PIECE_BYTES: Final = 256 * 1024
_RETRIES: Final = 2
_STATUS: Final = re.compile(r"status code: ([0-9]{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")


@dataclass(frozen=True, slots=True)
class S3Bucket:
    """Where a bucket is, and its keys."""

    name: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    endpoint: str = ""
    """`https://host:port`; "": Amazon's own of the region."""
    path_style: bool = True
    """True: the bucket stands in the path. False: before the host's name."""


class BucketError(OSError):
    """The store cannot be reached, or refuses. Says why, without the keys that its own words may hold."""


class S3Storage:
    """Keeps the file of key `a/b` as the object `a/b`.

    Every method raises BucketError.
    """

    def __init__(self, bucket: S3Bucket, *, timeout_s: float = 30.0) -> None:
        """`timeout_s`: of one request. Connects when it is first used."""
        config = {
            "aws_region": bucket.region,
            "aws_access_key_id": bucket.access_key,
            "aws_secret_access_key": bucket.secret_key,
            "aws_virtual_hosted_style_request": not bucket.path_style,
        }
        if bucket.endpoint:
            config["aws_endpoint"] = bucket.endpoint
        self._store = S3Store(
            bucket.name,
            config=config,  # type: ignore[arg-type]  # its own TypedDict knows other spellings of these
            client_options={
                "allow_http": bucket.endpoint.startswith("http://"),
                "timeout": timedelta(seconds=timeout_s),
                "connect_timeout": timedelta(seconds=min(timeout_s, 5.0)),
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=2 * timeout_s)},
        )

    def path(self, key: str) -> Path | None:
        """None: no file of this host."""
        checked_key(key)
        return None

    async def put(self, key: str, data: bytes) -> None:
        with _told_plainly():
            await obstore.put_async(self._store, checked_key(key), data, use_multipart=False)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        size = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                size += len(chunk)
                yield chunk

        # What `chunks` raises comes out of it, and what was sent until then is given up.
        with _told_plainly():
            await obstore.put_async(
                self._store,
                checked_key(key),
                counted(),
                chunk_size=PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        return size

    async def get(self, key: str) -> bytes:
        return b"".join([piece async for piece in self.stream(key)])

    async def stream(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        options: GetOptions = {}
        if length is not None:
            options = {"range": (start, start + length)}
        elif start:
            options = {"range": {"offset": start}}
        with _told_plainly():
            try:
                found = await obstore.get_async(self._store, checked_key(key), options=options)
            except FileNotFoundError:
                raise StoredFileMissingError(key) from None
            async for piece in found.stream(min_chunk_size=_PIECE_BYTES):
                yield bytes(piece)

    async def delete(self, key: str) -> None:
        # Some stores say that there is none, where S3 does not.
        with _told_plainly(), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, checked_key(key))

    async def exists(self, key: str) -> bool:
        with _told_plainly(), suppress(FileNotFoundError):
            await obstore.head_async(self._store, checked_key(key))
            return True
        return False


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except BaseError as error:
        raise BucketError(_reason(error)) from None


def _reason(error: BaseError) -> str:
    """What happened, and what the store said of it: its status and its code."""
    text = str(error)
    said = [found[1] for found in (_STATUS.search(text), _CODE.search(text)) if found]
    what = text.partition("\n")[0].rpartition(" - ")[2][:200]
    return ", ".join([type(error).__name__, *(said or [what])])
