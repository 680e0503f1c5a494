"""What a campaign says is there before it dials, and it waits with the reason while it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import until
from tests.fakes.speakers import PlayedSpeaker, failing, sounding

from tongdai.adapters.files import FileStorage
from tongdai.domain import routing, scripts
from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.dialer.model import Line, Plan
from tongdai.domain.dialer.speech import Speech as CampaignSpeech
from tongdai.domain.prompts.preparing import FAILED, NOT_READY, Preparer
from tongdai.domain.prompts.sounds import SoundBook
from tongdai.kit.db import Database
from tongdai.ports.telephony import PromptItem, Speech, SpokenCode

pytestmark = pytest.mark.anyio

HELLO = Speech("Xin chào quý khách")


class Shop:
    """One campaign whose calls a test changes."""

    def __init__(self, book: SoundBook) -> None:
        self.constant: list[PromptItem] = [HELLO]
        self.calls: list[tuple[int, Sequence[PromptItem]]] = []
        self.preparer = Preparer[str](
            book,
            constant=self._constant,
            upcoming=self._upcoming,
            pause_s=0.01,
            patience_s=0.05,
            retry_s=0.01,
        )

    async def _constant(self, _: str) -> Sequence[PromptItem]:
        return self.constant

    async def _upcoming(self, _: str) -> Sequence[tuple[int, Sequence[PromptItem]]]:
        return self.calls

    def ready(self) -> str | None:
        return self.preparer.ready("a")

    async def until(self, reason: str | None) -> None:
        await until(lambda: self.ready() == reason)


@asynccontextmanager
async def booked(folder: Path, fallback: str = "", **speakers: PlayedSpeaker) -> AsyncIterator[SoundBook]:
    book = SoundBook(
        speakers,
        FileStorage(folder / "files"),
        folder / "sounds",
        voice="one:a",
        fallback=fallback,
        max_bytes=10**9,
        rest_s=0.0,
        between_tries_s=0,
    )
    yield book
    await book.stop()


@asynccontextmanager
async def running(work: Callable[[], object]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work())  # type: ignore[call-overload]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def shop(folder: Path, one: PlayedSpeaker) -> AsyncIterator[tuple[Shop, SoundBook]]:
    async with booked(folder, one=one) as book:
        made = Shop(book)
        async with running(made.preparer.run):
            yield made, book


def called(name: str) -> list[PromptItem]:
    return [Speech(f"Chào {name}", ("Chào ", name))]


async def test_a_campaign_waits_until_what_everybody_hears_is_there(tmp_path: Path) -> None:
    one = PlayedSpeaker()
    one.hold()
    async with shop(tmp_path, one) as (campaign, book):
        campaign.constant = [HELLO, SpokenCode("0")]
        assert campaign.ready() == NOT_READY
        await one.until_asked(1)
        assert campaign.ready() == NOT_READY
        one.release()
        await campaign.until(None)
        assert book.known([HELLO, SpokenCode("739154")]) is not None


async def test_nobody_who_comes_next_is_dialled_before_their_name_can_be_said(tmp_path: Path) -> None:
    one = PlayedSpeaker()
    async with shop(tmp_path, one) as (campaign, book):
        campaign.calls = [(1, called("Lan"))]
        await campaign.until(None)
        assert book.known(called("Lan")) is not None
        one.hold()
        campaign.calls = [(2, called("Minh")), (3, called("Hoa"))]
        await campaign.until(NOT_READY)
        one.release()
        await campaign.until(None)
        await until(lambda: book.known(called("Minh")) and book.known(called("Hoa")))


async def test_a_campaign_dials_on_while_only_later_calls_are_missing(tmp_path: Path) -> None:
    one = PlayedSpeaker()
    async with shop(tmp_path, one) as (campaign, _):
        campaign.calls = [(1, called("Lan")), (2, called("An"))]
        await campaign.until(None)
        asked = len(one.asked)
        one.hold()
        campaign.calls = [(1, called("Lan")), (2, called("An")), (3, called("Hoa")), (4, called("Mai"))]
        await one.until_asked(asked + 2)
        for _ in range(20):
            assert campaign.ready() is None
            await asyncio.sleep(0.01)


async def test_a_voice_that_fails_stops_the_campaign_with_the_reason_until_it_is_back(tmp_path: Path) -> None:
    one = PlayedSpeaker(failing())
    async with shop(tmp_path, one) as (campaign, _):
        await campaign.until(FAILED)
        one.answer = sounding
        await campaign.until(None)
        one.answer = failing()
        campaign.calls = [(1, called("Lan"))]
        await campaign.until(FAILED)


async def test_with_a_fallback_no_campaign_stops(tmp_path: Path) -> None:
    one, two = PlayedSpeaker(failing()), PlayedSpeaker()
    async with booked(tmp_path, fallback="two:b", one=one, two=two) as book:
        campaign = Shop(book)
        campaign.calls = [(1, called("Lan"))]
        async with running(campaign.preparer.run):
            await campaign.until(None)
    assert ("b", "Lan") in two.asked


async def test_a_text_that_no_voice_takes_stops_nobody_else(tmp_path: Path) -> None:
    def picky(text: str) -> object:
        return failing("too long", retry=False)(text) if text == "Lan" else sounding(text)

    async with shop(tmp_path, PlayedSpeaker(picky)) as (campaign, book):  # type: ignore[arg-type]
        campaign.calls = [(1, called("Lan")), (2, called("Hoa"))]
        await campaign.until(None)
        await until(lambda: book.known(called("Hoa")))


async def test_a_campaign_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    async with booked(tmp_path, one=PlayedSpeaker()) as book:

        async def constant(campaign: str) -> Sequence[PromptItem]:
            if campaign == "broken":
                raise ValueError("no such script")
            return [HELLO]

        async def upcoming(_: str) -> None:
            return None

        preparer = Preparer[str](book, constant=constant, upcoming=upcoming, retry_s=0.01)
        async with running(preparer.run):
            await until(lambda: preparer.ready("broken") and preparer.ready("good") is None)
            assert preparer.ready("broken") == NOT_READY


# ---------------------------------------------------------------- of real campaigns


def plan_of(campaign_id: int, account_id: int, *, node_limit: int | None) -> Plan:
    line = Line(
        hotline_id=1,
        trunk_id=1,
        engine="asterisk/7" if node_limit else "sandbox",
        number="842471000000",
        network=None,
        dial_format="national",
        presented_format="national",
        hotline_limit=1,
        trunk_limit=2,
        node_limit=node_limit,
    )
    return Plan(
        campaign_id=campaign_id,
        account_id=account_id,
        user_id=1,
        is_otp=False,
        script_id=1,
        script_version=1,
        config=CampaignConfig(record_announcement=""),
        campaign_limit=3,
        account_limit=4,
        lines=(line,),
    )


BODY = {
    "start": "a",
    "steps": {"a": {"kind": "say", "text": "Chào {ten}, mời {ten|quý khách} nghe máy."}},
}


async def test_the_next_calls_of_a_campaign_are_spoken_before_they_are_due(
    db: Database, desk: Desk, tmp_path: Path
) -> None:
    one = PlayedSpeaker()
    script = scripts.parse_script(BODY)

    async def load(account_id: int, script_id: int, version: int) -> scripts.Script:
        return script

    campaign = await desk.campaign()
    async with db.transaction() as tx:
        await tx.execute(
            """INSERT INTO calls (account_id, campaign_id, user_id, number, number_given, fields, due_at)
               SELECT %s, %s, %s, '84912345' || n, '0912345' || n,
                      jsonb_build_object('ten', 'Lan' || chr(64 + n)),
                      clock_timestamp() + n * interval '1 minute'
               FROM generate_series(1, 20) n""",
            (desk.owner.account_id, campaign, desk.owner.user.id),
        )
    async with booked(tmp_path, one=one) as book:
        speech = CampaignSpeech(db, book, load, look_ahead=5)
        async with running(speech.run):
            plan = plan_of(campaign, desk.owner.account_id, node_limit=9)
            assert speech.why_not(plan) == NOT_READY
            await until(lambda: speech.why_not(plan) is None)
            await until(lambda: any("LanE" in text for _, text in one.asked))
    said = {text for _, text in one.asked}
    assert {"Chào", "mời", "nghe máy."} <= said
    assert not any("LanF" in text for text in said)


async def test_what_callers_hear_is_spoken_before_anybody_calls(
    db: Database, desk: Desk, tmp_path: Path
) -> None:
    one = PlayedSpeaker()
    account = desk.owner.account_id
    async with db.transaction() as tx:
        script = await scripts.create_script(
            tx,
            account,
            "answers",
            {"start": "a", "steps": {"a": {"kind": "say", "text": "Xin chào, mời để lại lời nhắn."}}},
        )
        trunk = await factories.trunk(tx, account)
        await tx.execute("UPDATE trunks SET engine = 'asterisk' WHERE id = %s", [trunk.id])
        line = await factories.hotline(tx, account, trunk_id=trunk.id)
        await routing.update_hotline(
            tx, account, line.id, inbound_script_id=script.id, inbound_script_version=1
        )

    async def load(account_id: int, script_id: int, version: int) -> scripts.Script:
        async with db.transaction() as tx:
            return await scripts.load_version(tx, account_id, script_id, version)

    async with booked(tmp_path, one=one) as book:
        speech = CampaignSpeech(db, book, load)
        async with running(speech.run):
            await until(lambda: any("lời nhắn" in text for _, text in one.asked))


async def test_a_campaign_on_lines_that_play_no_files_waits_for_no_voice(
    db: Database, desk: Desk, tmp_path: Path
) -> None:
    one = PlayedSpeaker(failing())

    async def load(account_id: int, script_id: int, version: int) -> scripts.Script:
        raise AssertionError("nobody needs it")

    async with booked(tmp_path, one=one) as book:
        speech = CampaignSpeech(db, book, load)
        assert speech.why_not(plan_of(1, desk.owner.account_id, node_limit=None)) is None
    assert one.asked == []


def test_what_is_prepared_for_everybody_is_what_every_call_says(clock: FakeClock) -> None:
    from tongdai.domain.prompts.pieces import pieces_of_speech
    from tongdai.domain.scripts.spoken import constant_items, spoken_items

    script = scripts.parse_script(
        {
            "start": "a",
            "steps": {
                "a": {"kind": "say", "text": "Chào {ten}, số tiền {tien} đồng đến hạn.", "next": "b"},
                "b": {"kind": "gather", "prompt": "Nhấn phím 1 để nghe lại", "on": {"1": "a"}},
            },
        }
    )

    def words(items: Sequence[PromptItem]) -> list[str]:
        return [piece.words for item in items if isinstance(item, Speech) for piece in pieces_of_speech(item)]

    constant = words(constant_items(script))
    for fields in ({"ten": "Lan", "tien": "5.000"}, {"ten": "chị Hoa", "tien": "1200000"}):
        own = words(spoken_items(script, fields))
        assert len([word for word in own if word not in constant]) <= 2
