"""Recordings are heard by whoever holds a link that is whole and good still, and by nobody else."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from tests.api.conftest import Api
from tests.api.recorded import with_recording
from tests.api.world import World, build
from tests.fakes.clock import FakeClock
from tests.fakes.shelf import sound

from tongdai.domain.recordings import Links, mp3_key
from tongdai.kit.crypto import Keyring
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

DATA = sound()


@pytest.fixture
async def world(owner: Api, services: Services) -> World:
    assert owner.person is not None
    return await with_recording(services, owner.person.account_id, await build(owner))


@pytest.fixture
async def link(owner: Api, world: World) -> str:
    [file] = (await owner.get(f"/recordings/{world.recording_id}")).json()["files"]
    return str(file["url"])


async def open_link(nobody: Api, link: str, **headers: str) -> httpx.Response:
    return await nobody.http.get(link, headers={name.replace("_", "-"): one for name, one in headers.items()})


def told(answer: httpx.Response) -> tuple[int, str, str | None]:
    problem = answer.json()
    return answer.status_code, problem["detail"], answer.headers.get("retry-after")


# ---------------------------------------------------------------- what there is


async def test_a_recording_is_shown_with_its_call_and_its_links(
    owner: Api, world: World, clock: FakeClock
) -> None:
    shown = (await owner.get(f"/recordings/{world.recording_id}")).json()

    [file] = shown.pop("files")
    assert shown.pop("sha256")
    assert shown == {
        "id": world.recording_id,
        "call_id": world.call_id,
        "attempt_id": None,
        "incoming_call_id": None,
        "campaign_id": world.campaign_id,
        "kind": "call",
        "step_id": None,
        "state": "stored",
        "reason": None,
        "seconds": 1.0,
        "size_bytes": len(DATA),
        "mp3": "no",
        "created_at": "2026-11-18T10:00:00+07:00",
        "keep_until": "2027-02-16T10:00:00+07:00",
    }
    assert file["format"] == "wav"
    assert file["expires_at"] == "2026-11-18T11:00:00+07:00"
    assert file["url"].startswith(f"/v1/recordings/{world.recording_id}/file?expires=")
    for path in (f"/calls/{world.call_id}/recordings", "/recordings"):
        [listed] = (await owner.get(path)).json()["items"]
        assert listed["id"] == world.recording_id


async def test_recordings_are_listed_by_campaign_and_state_in_pages(
    owner: Api, services: Services, world: World
) -> None:
    assert owner.person is not None
    second = await with_recording(services, owner.person.account_id, world, stored=False)
    one, two = world.recording_id, second.recording_id

    async def listed(**query: object) -> list[int]:
        page = (await owner.get("/recordings", **query)).json()
        return [item["id"] for item in page["items"]]

    assert await listed() == [one, two]
    assert await listed(state="pending") == [two]
    assert await listed(campaign_id=world.campaign_id, state="stored") == [one]
    first = (await owner.get("/recordings", limit=1)).json()
    assert [item["id"] for item in first["items"]] == [one]
    assert await listed(cursor=first["next"]) == [two]


async def test_the_metrics_tell_how_many_wait_for_their_nodes(
    owner: Api, services: Services, clock: FakeClock
) -> None:
    assert owner.person is not None
    await with_recording(services, owner.person.account_id, await build(owner), stored=False)
    clock.advance(timedelta(seconds=40))

    metrics = (await owner.http.get("/metrics")).text

    assert "\ntongdai_recordings_waiting 1.0\n" in metrics
    assert "\ntongdai_recordings_waiting_seconds 40.0\n" in metrics


# ---------------------------------------------------------------- links


async def test_a_link_opens_without_a_key(nobody: Api, link: str, world: World) -> None:
    answer = await open_link(nobody, link)

    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "private"
    assert answer.headers["content-disposition"] == f"inline; filename=recording-{world.recording_id}.wav"


async def test_the_head_of_an_answer_is_the_answers_without_its_sound(nobody: Api, link: str) -> None:
    whole, head = await open_link(nobody, link), await nobody.http.head(link)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == whole.headers
    assert (await nobody.http.head(link.replace("expires=", "expires=1"))).status_code == 404


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=16000-", 16000, len(DATA)),
        ("bytes=-44", len(DATA) - 44, len(DATA)),
        ("bytes=16000-99999999", 16000, len(DATA)),
        ("Bytes=5-9", 5, 10),
    ],
)
async def test_a_player_may_ask_for_a_part(nobody: Api, link: str, asked: str, start: int, end: int) -> None:
    answer = await open_link(nobody, link, range=asked)

    assert answer.status_code == 206
    assert answer.content == DATA[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=999999-", "bytes=-0"])
async def test_a_part_behind_the_end_is_refused(nobody: Api, link: str, asked: str) -> None:
    answer = await open_link(nobody, link, range=asked)

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=5-1", "bytes=-", "bytes=a-b", "x"])
async def test_what_is_no_range_means_the_whole(nobody: Api, link: str, asked: str) -> None:
    answer = await open_link(nobody, link, range=asked)

    assert (answer.status_code, answer.content) == (200, DATA)


async def test_a_part_of_another_version_means_the_whole(nobody: Api, link: str) -> None:
    etag = (await open_link(nobody, link)).headers["etag"]

    assert (await open_link(nobody, link, range="bytes=0-9", if_range=etag)).status_code == 206
    assert (await open_link(nobody, link, range="bytes=0-9", if_range='"other"')).status_code == 200


async def test_every_other_link_is_answered_like_one_to_nothing(
    nobody: Api, link: str, world: World, services: Services, clock: FakeClock
) -> None:
    path, query = urlsplit(link).path, dict(parse_qsl(urlsplit(link).query))
    expires, signature = query["expires"], query["signature"]
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    other = f"/v1/recordings/{world.recording_id + 1}/file"
    links = [
        f"{other}?expires={expires}&signature={signature}",
        f"{path}?expires={expires}&signature={flipped}",
        f"{path}?expires={int(expires) + 1}&signature={signature}",
        f"{path}?expires={expires}",
        f"{path}?signature={signature}",
        path,
        f"{path}?expires=0{expires}&signature={signature}",
        f"{path}?expires={'9' * 90}&signature={signature}",
        f"{path}?expires=-1&signature={signature}",
        f"{path}?expires=%D9%A1&signature={signature}",
        f"{path}?expires={expires}&signature=%F0%9F%98%80",
        # Signed with this installation's key for something else, and by another installation.
        Links(Keyring(bytes(32)), services.recordings).address(world.recording_id, clock.now()),
        Links(services.keyring, services.recordings).address(2**60, clock.now()),
        f"{link}&format=mp3",
    ]

    answers = {told(await open_link(nobody, one)) for one in links}
    clock.advance(timedelta(hours=1))
    answers.add(told(await open_link(nobody, link)))

    [(status, _, retry_after)] = answers
    assert (status, retry_after) == (404, None)


async def test_a_link_is_good_before_the_sound_has_come(
    owner: Api, nobody: Api, services: Services, clock: FakeClock
) -> None:
    assert owner.person is not None
    world = await with_recording(services, owner.person.account_id, await build(owner), stored=False)
    link = Links(services.keyring, services.recordings).told_address(world.recording_id, clock.now())

    early = await open_link(nobody, link)

    assert early.status_code == 404
    assert early.headers["retry-after"] == "5"
    assert early.json()["retryable"] is True
    assert (await owner.get(f"/recordings/{world.recording_id}")).json()["files"] == []


async def test_a_deleted_recording_opens_no_link(owner: Api, nobody: Api, link: str, world: World) -> None:
    assert (await owner.send("DELETE", f"/recordings/{world.recording_id}")).status_code == 204

    assert told(await open_link(nobody, link))[0] == 404
    assert (await owner.get(f"/recordings/{world.recording_id}")).status_code == 404
    assert (await owner.get("/recordings")).json()["items"] == []
    assert (await owner.send("DELETE", f"/recordings/{world.recording_id}")).status_code == 404
    [entry] = [
        one for one in (await owner.get("/audit-log")).json()["items"] if one["action"] == "recording.deleted"
    ]
    assert owner.person is not None
    assert (entry["subject_id"], entry["user_id"]) == (world.recording_id, owner.person.user.id)


async def test_a_file_that_is_gone_from_the_store_is_not_found(
    nobody: Api, link: str, world: World, services: Services
) -> None:
    [stored] = list(services.recorded.path("recordings").rglob("*.wav"))  # type: ignore[union-attr]
    stored.unlink()

    assert told(await open_link(nobody, link))[0] == 404


async def test_an_mp3_is_served_beside_the_wav(
    owner: Api, nobody: Api, services: Services, world: World
) -> None:
    async with services.db.transaction() as tx:
        await tx.execute("UPDATE recordings SET mp3 = 'made', mp3_bytes = 3")
    shown = (await owner.get(f"/recordings/{world.recording_id}")).json()
    [stored] = list(services.recorded.path("recordings").rglob("*.wav"))  # type: ignore[union-attr]
    stored.with_suffix(".mp3").write_bytes(b"mp3")
    assert mp3_key("a/1.wav") == "a/1.mp3"

    answer = await open_link(nobody, shown["files"][1]["url"])

    assert [file["format"] for file in shown["files"]] == ["wav", "mp3"]
    assert (answer.content, answer.headers["content-type"]) == (b"mp3", "audio/mpeg")


async def test_links_are_in_no_log(nobody: Api, link: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="tongdai")
    signature = dict(parse_qsl(urlsplit(link).query))["signature"]

    await open_link(nobody, link)
    await open_link(nobody, link.replace("expires=", "expires=1"))

    # The test's own client may say where it went.
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    assert not any(signature in line for line in ours)


async def test_a_call_shows_the_links_of_each_attempt(
    owner: Api, nobody: Api, services: Services, world: World, clock: FakeClock
) -> None:
    async with services.db.transaction() as tx:
        await tx.execute(
            """WITH made AS (
                   INSERT INTO attempts (account_id, call_id, campaign_id, ordinal, hotline_id, dialled_at)
                   SELECT account_id, call_id, campaign_id, 1, 1, created_at FROM recordings RETURNING id)
               UPDATE recordings SET attempt_id = made.id FROM made"""
        )

    [attempt] = (await owner.get(f"/calls/{world.call_id}")).json()["history"]

    [address] = attempt["record_files"]
    assert (await open_link(nobody, address)).content == DATA


# ---------------------------------------------------------------- rules


async def test_a_rule_is_the_campaigns_or_the_accounts_or_ninety_days(owner: Api, world: World) -> None:
    of_campaign = f"/campaigns/{world.campaign_id}/recording-rule"

    async def rules() -> list[tuple[object, ...]]:
        found = [(await owner.get(path)).json() for path in ("/recording-rule", of_campaign)]
        return [(one["keep_days"], one["from"]) for one in found]

    assert await rules() == [(90, "default"), (90, "default")]
    assert (await owner.send("PUT", "/recording-rule", {"keep_days": 30})).status_code == 200
    assert await rules() == [(30, "account"), (30, "account")]
    assert (await owner.send("PUT", of_campaign, {"keep_days": None})).status_code == 200
    assert await rules() == [(30, "account"), (None, "campaign")]
    assert (await owner.send("DELETE", of_campaign)).status_code == 204
    assert (await owner.send("DELETE", of_campaign)).status_code == 204
    assert await rules() == [(30, "account"), (30, "account")]
    changes = [
        (one["subject_id"], one["before"], one["after"])
        for one in (await owner.get("/audit-log")).json()["items"]
        if one["action"] == "recording_rule.changed"
    ]
    thirty, ever = {"keep_days": 30, "mp3": False}, {"keep_days": None, "mp3": False}
    assert changes == [(0, None, thirty), (world.campaign_id, None, ever), (world.campaign_id, ever, None)]


@pytest.mark.parametrize("body", [{}, {"keep_days": 0}, {"keep_days": 36_501}, {"keep_days": 1, "x": 1}])
async def test_a_doubtful_rule_is_refused(owner: Api, body: object) -> None:
    assert (await owner.send("PUT", "/recording-rule", body)).status_code == 400


async def test_mp3_is_refused_where_nothing_makes_it(owner: Api) -> None:
    answer = await owner.send("PUT", "/recording-rule", {"keep_days": 30, "mp3": True})

    assert answer.status_code == 409
    assert re.search("makes no mp3", answer.json()["detail"])


async def test_an_operator_neither_deletes_nor_changes_rules(colleague: Api, world: World) -> None:
    path = f"/recordings/{world.recording_id}"
    assert (await colleague.get(path)).status_code == 200
    for method, one, body in (
        ("DELETE", path, None),
        ("PUT", "/recording-rule", {"keep_days": 1}),
        ("PUT", f"/campaigns/{world.campaign_id}/recording-rule", {"keep_days": 1}),
        ("DELETE", f"/campaigns/{world.campaign_id}/recording-rule", None),
    ):
        assert (await colleague.send(method, one, body)).status_code == 403, f"{method} {one}"
