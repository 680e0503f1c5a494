"""Scripts and their versions: kept as they were written, and seen by their account alone."""

from __future__ import annotations

import asyncio

import pytest
from tests import factories
from tests.factories import Cast

from tongdai.domain import scripts
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx
from tongdai.ports.telephony import AudioClip

pytestmark = pytest.mark.anyio

Body = dict[str, object]


def body(text: str) -> Body:
    return {"start": "a", "steps": {"a": {"kind": "say", "text": text}}}


def playing(audio_file_id: int) -> Body:
    prompt = [{"text": "Xin chào"}, {"audio_file_id": audio_file_id}]
    return {
        "start": "a",
        "steps": {
            "a": {"kind": "play", "audio_file_id": audio_file_id, "next": "b"},
            "b": {"kind": "gather", "prompt": prompt, "on": {"1": "a"}},
        },
    }


async def only_seven(audio_file_id: int) -> AudioClip | None:
    return AudioClip("audio/1/seven.wav", 2.5) if audio_file_id == 7 else None


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


@pytest.mark.parametrize("name", sorted(scripts.demo_bodies()))
async def test_a_script_is_read_back_as_it_was_written(tx: Tx, cast: Cast, name: str) -> None:
    row = await scripts.create_script(tx, cast.owner.account_id, f" {name} ", scripts.demo_bodies()[name])
    assert (row.name, row.version, row.archived_at) == (name, 1, None)
    assert row.body == scripts.demo_scripts()[name]
    assert await scripts.get_script(tx, cast.colleague.account_id, row.id) == row
    assert await scripts.load_version(tx, cast.owner.account_id, row.id, 1) == row.body


async def test_a_new_version_leaves_the_old_one_as_it_was(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    row = await scripts.create_script(tx, account_id, "nhắc lịch", body("một"))
    again = await scripts.update_script(tx, account_id, row.id, body("hai"), name="nhắc hẹn")
    assert (again.id, again.version, again.name) == (row.id, 2, "nhắc hẹn")
    assert again.body == scripts.parse_script(body("hai"))
    first = await scripts.get_script(tx, account_id, row.id, version=1)
    assert (first.version, first.body) == (1, row.body)
    assert await scripts.load_version(tx, account_id, row.id, 1) == row.body


async def test_a_version_without_a_name_keeps_the_name(tx: Tx, cast: Cast) -> None:
    row = await scripts.create_script(tx, cast.owner.account_id, "nhắc lịch", body("một"))
    again = await scripts.update_script(tx, cast.owner.account_id, row.id, body("hai"))
    assert again.name == "nhắc lịch"


async def test_writers_of_one_script_write_one_version_each(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    async with db.transaction() as tx:
        row = await scripts.create_script(tx, account_id, "nhắc lịch", body("một"))

    async def write(number: int) -> int:
        async with db.transaction() as tx:
            return (await scripts.update_script(tx, account_id, row.id, body(str(number)))).version

    assert sorted(await asyncio.gather(*map(write, range(6)))) == [2, 3, 4, 5, 6, 7]


async def test_an_invalid_version_is_not_counted(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    async with db.transaction() as tx:
        row = await scripts.create_script(tx, account_id, "nhắc lịch", body("một"))
    async with db.transaction() as tx:
        with pytest.raises(scripts.ScriptInvalidError):
            await scripts.update_script(tx, account_id, row.id, body(""))
    async with db.transaction() as tx:
        assert (await scripts.get_script(tx, account_id, row.id)).version == 1


@pytest.mark.parametrize("name", ["", "  ", "a" * 201, "a\0", "a\nb", "\ud800"])
async def test_a_name_that_cannot_be_shown_is_refused(tx: Tx, cast: Cast, name: str) -> None:
    with pytest.raises(scripts.ScriptNameInvalidError) as caught:
        await scripts.create_script(tx, cast.owner.account_id, name, body("một"))
    assert caught.value.facts["errors"] == [("name", "a name has 1 to 200 printable characters")]


async def test_a_stranger_finds_no_script_to_read_change_or_run(tx: Tx, cast: Cast) -> None:
    row = await scripts.create_script(tx, cast.owner.account_id, "nhắc lịch", body("một"))
    stranger = cast.stranger.account_id
    with pytest.raises(scripts.ScriptNotFoundError):
        await scripts.get_script(tx, stranger, row.id)
    with pytest.raises(scripts.ScriptNotFoundError):
        await scripts.update_script(tx, stranger, row.id, "this is not JSON")
    with pytest.raises(scripts.ScriptNotFoundError):
        await scripts.load_version(tx, stranger, row.id, 1)
    assert await scripts.list_scripts(tx, stranger) == []
    assert (await scripts.get_script(tx, cast.owner.account_id, row.id)).version == 1


@pytest.mark.parametrize(("script_id", "version"), [(0, None), (2**70, None), (None, 2), (None, 0)])
async def test_an_unknown_script_or_version_is_not_found(
    tx: Tx, cast: Cast, script_id: int | None, version: int | None
) -> None:
    row = await scripts.create_script(tx, cast.owner.account_id, "nhắc lịch", body("một"))
    wanted = row.id if script_id is None else script_id
    with pytest.raises(scripts.ScriptNotFoundError):
        await scripts.get_script(tx, cast.owner.account_id, wanted, version)
    with pytest.raises(scripts.ScriptNotFoundError):
        await scripts.load_version(tx, cast.owner.account_id, wanted, version or 9)


async def test_scripts_are_listed_in_pages(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    ids = [(await scripts.create_script(tx, account_id, f"kịch bản {n}", body("một"))).id for n in range(3)]
    await scripts.update_script(tx, account_id, ids[0], body("hai"))
    first = await scripts.list_scripts(tx, cast.colleague.account_id, limit=2)
    assert [(entry.id, entry.version) for entry in first] == [(ids[0], 2), (ids[1], 1)]
    rest = await scripts.list_scripts(tx, cast.colleague.account_id, after=first[-1].id, limit=2)
    assert [entry.id for entry in rest] == ids[2:]


async def test_a_script_takes_along_where_its_audio_is_and_shows_it_to_nobody(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    row = await scripts.create_script(tx, account_id, "nhạc", playing(7), resolve_audio=only_seven)
    assert row.body.clips == {}
    assert (await scripts.get_script(tx, account_id, row.id)).body.clips == {}
    loaded = await scripts.load_version(tx, account_id, row.id, 1)
    assert {key: (clip.storage_key, clip.duration_s) for key, clip in loaded.clips.items()} == {
        7: ("audio/1/seven.wav", 2.5)
    }


async def test_a_script_with_a_file_that_is_not_there_is_refused_at_each_place(tx: Tx, cast: Cast) -> None:
    with pytest.raises(scripts.ScriptInvalidError) as caught:
        await scripts.create_script(tx, cast.owner.account_id, "nhạc", playing(8), resolve_audio=only_seven)
    assert caught.value.facts["errors"] == [
        ("steps.a.audio_file_id", "there is no audio file 8"),
        ("steps.b.prompt.1.audio_file_id", "there is no audio file 8"),
    ]


async def test_a_file_that_only_an_old_version_plays_still_is_in_use(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    row = await scripts.create_script(tx, account_id, "nhạc", playing(7), resolve_audio=only_seven)
    await scripts.update_script(tx, account_id, row.id, body("không nhạc"))
    assert await scripts.uses_audio(tx, account_id, 7)
    assert not await scripts.uses_audio(tx, account_id, 8)
    assert not await scripts.uses_audio(tx, cast.stranger.account_id, 7)
