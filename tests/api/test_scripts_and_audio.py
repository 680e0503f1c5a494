"""Scripts with their versions, and the audio files that they play."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.conftest import Api
from tests.api.world import OTP_SCRIPT, SCRIPT, upload, wav

pytestmark = pytest.mark.anyio


def playing(audio_file_id: int) -> dict[str, Any]:
    return {"start": "hello", "steps": {"hello": {"kind": "play", "audio_file_id": audio_file_id}}}


async def send_form(api: Api, files: Any, data: dict[str, str] | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api.key}"}
    return await api.http.post("/v1/audio-files", files=files, data=data, headers=headers)


async def test_a_script_comes_back_as_it_was_sent(owner: Api, viewer: Api) -> None:
    made = await owner.made("/scripts", {"name": "Nhắc đơn", "script": SCRIPT})

    assert (made["version"], made["required_fields"]) == (1, ["ten"])
    assert made["script"] == SCRIPT
    assert (await viewer.get(f"/scripts/{made['id']}")).json() == made


async def test_a_change_is_a_new_version_and_the_old_one_stays(owner: Api) -> None:
    made = await owner.made("/scripts", {"name": "Nhắc đơn", "script": SCRIPT})

    changed = await owner.send("PUT", f"/scripts/{made['id']}", {"name": "Mã", "script": OTP_SCRIPT})

    assert (changed.json()["version"], changed.json()["name"]) == (2, "Mã")
    assert (await owner.get(f"/scripts/{made['id']}")).json() == changed.json()
    assert (await owner.get(f"/scripts/{made['id']}", version=1)).json()["script"] == SCRIPT
    assert (await owner.get(f"/scripts/{made['id']}", version=3)).status_code == 404


async def test_a_list_of_scripts_leaves_the_steps_out(owner: Api) -> None:
    await owner.made("/scripts", {"name": "Nhắc đơn", "script": SCRIPT})

    (item,) = (await owner.get("/scripts")).json()["items"]

    assert set(item) == {"id", "name", "version", "created_at", "archived_at"}


async def test_a_faulty_script_is_refused_with_the_step_and_field(owner: Api) -> None:
    faulty = {"start": "menu", "steps": {"menu": {"kind": "gather", "on": {"1": "nowhere"}, "tries": 9}}}

    answer = await owner.post("/scripts", {"name": "x", "script": faulty})

    assert answer.status_code == 400
    assert "script.steps.menu.tries" in [error["path"] for error in answer.json()["errors"]]
    assert (await owner.get("/scripts")).json()["items"] == []


async def test_a_script_is_checked_without_being_made(viewer: Api) -> None:
    good = await viewer.post("/scripts/validate", SCRIPT)
    bad = await viewer.post("/scripts/validate", {"start": "gone", "steps": SCRIPT["steps"]})

    assert good.json() == {"valid": True, "errors": [], "required_fields": ["ten"]}
    assert bad.status_code == 200
    assert bad.json()["valid"] is False
    assert bad.json()["errors"]
    assert (await viewer.get("/scripts")).json()["items"] == []


async def test_a_script_that_plays_what_is_not_there_is_not_valid(owner: Api, stranger: Api) -> None:
    audio = await upload(stranger)

    verdict = (await owner.post("/scripts/validate", playing(audio["id"]))).json()
    refused = await owner.post("/scripts", {"name": "x", "script": playing(audio["id"])})

    assert (verdict["valid"], [error["path"] for error in verdict["errors"]]) == (
        False,
        ["steps.hello.audio_file_id"],
    )
    assert [error["path"] for error in refused.json()["errors"]] == ["script.steps.hello.audio_file_id"]
    assert (await stranger.post("/scripts/validate", playing(audio["id"]))).json()["valid"] is True


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "x"}, "script"),
        ({"name": "x", "script": SCRIPT, "extra": 1}, "extra"),
        ({"name": "x", "script": 5}, "script"),
        ({"name": "x", "script": {"steps": SCRIPT["steps"]}}, "script.start"),
        ({"name": "x", "script": SCRIPT | {"name": "y"}}, "script.name"),
        ({"name": "\n", "script": SCRIPT}, "name"),
        ({"name": "x", "script": {"start": "a", "steps": {"a": {"kind": "say"}}}}, "script.steps.a.text"),
        (
            {"name": "x", "script": {"start": "a", "steps": {"a": {"kind": "say", "text": "b", "c": 1}}}},
            "script.steps.a.c",
        ),
    ],
)
async def test_a_fault_of_a_script_is_told_by_its_place_in_the_body(
    owner: Api, body: dict[str, Any], path: str
) -> None:
    made = await owner.made("/scripts", {"name": "x", "script": SCRIPT})

    for answer in (
        await owner.post("/scripts", body),
        await owner.send("PUT", f"/scripts/{made['id']}", body),
    ):
        assert answer.status_code == 400
        assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize(
    "raw", [b"null", b"[]", b'"text"', b"5", b'{"start": 1}', b'{"start": "a", "steps": {"a": []}}']
)
async def test_anything_that_is_json_can_be_checked(viewer: Api, raw: bytes) -> None:
    headers = {"Authorization": f"Bearer {viewer.key}"}

    answer = await viewer.http.post("/v1/scripts/validate", content=raw, headers=headers)

    assert answer.status_code == 200
    assert answer.json()["valid"] is False


async def test_an_audio_file_comes_back_byte_by_byte(owner: Api, viewer: Api) -> None:
    sound = wav(seconds=0.5)
    made = await upload(owner, sound, name="Lời chào")

    assert (
        made.items()
        >= {"name": "Lời chào", "size_bytes": len(sound), "sample_rate": 8000, "duration_s": 0.5}.items()
    )
    assert (await viewer.get(f"/audio-files/{made['id']}")).json() == made
    content = await viewer.get(f"/audio-files/{made['id']}/content")
    assert content.content == sound
    assert content.headers["content-type"] == "audio/wav"


async def test_an_audio_file_may_come_in_a_form(owner: Api) -> None:
    plain = await send_form(owner, {"file": ("chao.wav", wav(), "audio/wav")})
    named = await send_form(owner, {"file": ("chao.wav", wav(), "audio/wav")}, {"name": "Lời chào"})

    assert (plain.status_code, plain.json()["name"]) == (201, "chao.wav")
    assert (named.status_code, named.json()["name"]) == (201, "Lời chào")


async def test_what_is_no_sound_is_refused_with_advice(owner: Api) -> None:
    for answer in (
        await send_form(owner, {"file": ("x.mp3", b"ID3 not a wav", "audio/mpeg")}),
        await send_form(owner, {"other": ("x.wav", wav(), "audio/wav")}),
        await owner.http.post(
            "/v1/audio-files", content=b"", headers={"Authorization": f"Bearer {owner.key}"}
        ),
        await owner.http.post(
            "/v1/audio-files",
            content=b"--x\r\n\r\nbroken",
            headers={
                "Authorization": f"Bearer {owner.key}",
                "Content-Type": "multipart/form-data; boundary=x",
            },
        ),
        await owner.http.post(
            "/v1/audio-files",
            content=b"x",
            headers={"Authorization": f"Bearer {owner.key}", "Content-Type": "multipart/form-data"},
        ),
        await owner.http.post(
            "/v1/audio-files",
            content=b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff\r\n--x--\r\n',
            headers={
                "Authorization": f"Bearer {owner.key}",
                "Content-Type": "multipart/form-data; boundary=x",
            },
        ),
    ):
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_sound_above_the_limit_is_too_large(owner: Api) -> None:
    answer = await owner.http.post(
        "/v1/audio-files", content=b"0" * 21_000_000, headers={"Authorization": f"Bearer {owner.key}"}
    )

    assert answer.status_code == 413


async def test_an_audio_file_is_deleted_unless_a_script_plays_it(owner: Api) -> None:
    used, spare = await upload(owner, wav(pitch=300)), await upload(owner, wav(pitch=500))
    await owner.made("/scripts", {"name": "x", "script": playing(used["id"])})

    assert (await owner.send("DELETE", f"/audio-files/{used['id']}")).status_code == 409
    assert (await owner.send("DELETE", f"/audio-files/{spare['id']}")).status_code == 204

    assert (await owner.get(f"/audio-files/{spare['id']}/content")).status_code == 404
    assert [item["id"] for item in (await owner.get("/audio-files")).json()["items"]] == [used["id"]]


async def test_a_script_plays_only_the_accounts_own_files(owner: Api, stranger: Api) -> None:
    theirs = await upload(stranger)

    foreign = await owner.post("/scripts", {"name": "x", "script": playing(theirs["id"])})
    unknown = await owner.post("/scripts", {"name": "x", "script": playing(2**62)})
    impossible = await owner.post("/scripts", {"name": "x", "script": playing(2**70)})

    assert foreign.status_code == unknown.status_code == impossible.status_code == 400
    assert foreign.text.replace(str(theirs["id"]), "?") == unknown.text.replace(str(2**62), "?")


async def test_where_a_file_is_stored_is_told_to_nobody(owner: Api) -> None:
    made = await upload(owner)
    script = await owner.made("/scripts", {"name": "x", "script": playing(made["id"])})

    assert "storage" not in str(made)
    assert script["script"] == playing(made["id"])
