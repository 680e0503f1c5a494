"""Sounds on disk: found while they are there, removed when unused for long, never while in a call."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fakes.clock import FakeClock

from tongdai.domain.prompts.cache import GRACE_S, NOTED_EVERY_S, SCRATCH, SoundCache
from tongdai.ports.speech import Sound

SECOND = b"\xd5" * 8000


def cache_of(folder: Path, clock: FakeClock, max_bytes: int = 10**9) -> SoundCache:
    return SoundCache(folder, max_bytes=max_bytes, clock=clock)


def on_disk(folder: Path) -> set[str]:
    return {str(path.relative_to(folder))[:-5] for path in folder.glob("*/*.alaw")}


@pytest.fixture
def now() -> FakeClock:
    return FakeClock()


def test_what_was_kept_is_found_again_with_its_length(tmp_path: Path, now: FakeClock) -> None:
    cache = cache_of(tmp_path, now)
    assert cache.keep("ab/abc", SECOND) == Sound("ab/abc", 1.0)
    assert cache.remembered("ab/abc") == Sound("ab/abc", 1.0)
    assert (tmp_path / "ab/abc.alaw").read_bytes() == SECOND
    assert cache_of(tmp_path, now).look_up(["ab/abc", "cd/cde"]) == {"ab/abc": Sound("ab/abc", 1.0)}


def test_an_engine_of_another_user_can_read_it_whatever_the_umask(tmp_path: Path, now: FakeClock) -> None:
    before = os.umask(0o077)
    try:
        cache_of(tmp_path / "s", now).keep("ab/abc", SECOND)
    finally:
        os.umask(before)
    modes = [(tmp_path / path).stat().st_mode & 0o777 for path in ("s", "s/ab", "s/ab/abc.alaw")]
    assert modes == [0o755, 0o755, 0o644]


def test_an_empty_file_is_none(tmp_path: Path, now: FakeClock) -> None:
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab/abc.alaw").touch()
    assert cache_of(tmp_path, now).look_up(["ab/abc"]) == {}


def test_memory_does_not_outlive_the_file_by_more_than_a_note(tmp_path: Path, now: FakeClock) -> None:
    cache = cache_of(tmp_path, now)
    cache.keep("ab/abc", SECOND)
    (tmp_path / "ab/abc.alaw").unlink()
    now.advance(timedelta(seconds=NOTED_EVERY_S))
    assert cache.remembered("ab/abc") is None
    assert cache.look_up(["ab/abc"]) == {}


def test_the_longest_unused_goes_first_and_what_is_used_stays(tmp_path: Path, now: FakeClock) -> None:
    cache = cache_of(tmp_path, now, max_bytes=5 * len(SECOND))
    for number in range(5):
        cache.keep(f"aa/{number}", SECOND)
        now.advance(timedelta(seconds=GRACE_S))
    assert cache.look_up(["aa/0"])
    cache.keep("aa/5", SECOND)
    assert on_disk(tmp_path) == {"aa/0", "aa/3", "aa/4", "aa/5"}


def test_nothing_that_was_used_within_the_hour_goes_whatever_the_cap(tmp_path: Path, now: FakeClock) -> None:
    cache = cache_of(tmp_path, now, max_bytes=len(SECOND))
    for number in range(8):
        cache.keep(f"aa/{number}", SECOND)
        now.advance(timedelta(seconds=GRACE_S / 10))
    assert len(on_disk(tmp_path)) == 8


def test_a_use_by_another_process_counts(tmp_path: Path, now: FakeClock) -> None:
    ours, theirs = cache_of(tmp_path, now, max_bytes=2 * len(SECOND)), cache_of(tmp_path, now)
    ours.keep("aa/0", SECOND)
    ours.keep("aa/1", SECOND)
    now.advance(timedelta(seconds=GRACE_S + 1))
    theirs.look_up(["aa/0"])
    ours.keep("aa/2", SECOND)
    assert on_disk(tmp_path) == {"aa/0", "aa/2"}


def test_what_a_dead_process_left_half_written_goes_too(tmp_path: Path, now: FakeClock) -> None:
    cache = cache_of(tmp_path, now, max_bytes=len(SECOND))
    cache.keep("aa/0", SECOND)
    left = tmp_path / "aa" / f"{SCRATCH}x"
    left.write_bytes(SECOND)
    os.utime(left, (0, 0))
    now.advance(timedelta(seconds=GRACE_S + 1))
    cache.make_room()
    assert not left.exists()


def test_files_that_are_not_ours_stay(tmp_path: Path, now: FakeClock) -> None:
    other = tmp_path / "custom"
    other.mkdir()
    (other / "hello.alaw").write_bytes(SECOND * 9)
    os.utime(other / "hello.alaw", (0, 0))
    cache = cache_of(tmp_path, now, max_bytes=len(SECOND))
    cache.keep("aa/0", SECOND)
    now.advance(timedelta(seconds=GRACE_S + 1))
    cache.make_room()
    assert (other / "hello.alaw").exists()


def test_a_reader_never_sees_half_a_file(tmp_path: Path, now: FakeClock) -> None:
    cache = cache_of(tmp_path, now)
    sizes: set[int] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                sizes.add((tmp_path / "aa/0.alaw").stat().st_size)
            except FileNotFoundError:
                continue

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        cache.keep("aa/0", SECOND)
    done.set()
    reader.join()
    assert sizes == {len(SECOND)}


def test_a_disk_that_cannot_be_written_is_told(tmp_path: Path, now: FakeClock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        cache_of(tmp_path / "file", now).keep("aa/0", SECOND)
