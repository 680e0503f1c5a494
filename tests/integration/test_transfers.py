"""Transfers: what the phones that they ring hold, how long, and what it costs; with a dialer that runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, LiteralString

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.dialling import PROMPT, dialing, eventually, rows, until
from tests.fakes.engine import PlayedEngine, silent
from tests.integration.test_dialer_money import prepaid, wallet

from tongdai.domain import contacts, live, scripts
from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.dialer.upkeep import recount_limits
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    DialRequest,
    EndCause,
    Ended,
    HangUp,
    LegKnowledge,
    Ringing,
    Speech,
    Transfer,
    TransferEnded,
)

pytestmark = pytest.mark.anyio

AGENT = "02473009999"
COLLEAGUE = "0912000111"
ADDRESS = "sip:an@pbx.example.vn"
NAMES = ("sip:101@pbx.example.vn", "sip:an.0912000111@pbx.example.vn")

ALONE = "Tổng đài viên đang bận"


class Office:
    """A desk whose calls are transferred as soon as they are answered, on an engine that the test plays."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.engine = PlayedEngine(answered)
        self.trunk_id = 0
        self.campaign_id = 0

    async def open(self, *targets: str, config: CampaignConfig | None = None, **more: Any) -> None:
        own = self.desk.owner.account_id
        number = more.pop("number", "02473001234")
        caps = {name: more.pop(name) for name in ("max_channels", "max_cps") if name in more}
        self.trunk_id = (await factories.trunk(self.desk.db, own, **caps)).id
        line = await factories.hotline(self.desk.db, own, trunk_id=self.trunk_id, number=number)
        step = {"kind": "transfer", "targets": list(targets), "ring_s": 20, "on_failed": "alone", **more}
        body = {"start": "talk", "steps": {"talk": step, "alone": {"kind": "say", "text": ALONE}}}
        async with self.desk.db.transaction() as tx:
            script = await scripts.create_script(tx, own, "Chuyển máy", body)
        made = await factories.campaign(
            self.desk.db, self.desk.owner, script_id=script.id, hotline_ids=[line.id], config=config
        )
        self.campaign_id = made.id

    async def give(self, number: str = "0912345678") -> int:
        (call_id,) = await self.desk.give(self.campaign_id, number)
        return call_id

    def transfers(self) -> list[Transfer]:
        return [command for _, _, command in self.engine.commanded if isinstance(command, Transfer)]

    async def transfer(self, number: int = 1) -> Transfer:
        """The so manieth transfer that the engine is told."""
        await until(lambda: len(self.transfers()) >= number)
        return self.transfers()[number - 1]

    def leg_id(self) -> int:
        return self.engine.dialled[-1].leg_id

    def talked(self, seconds: float, seq: int = 3, *, id: int = 1) -> None:
        """The first of the phones was answered, and the talk is over."""
        connected = self.transfers()[-1].legs[0].leg_id
        leg_id = self.leg_id()
        self.engine.tell(TransferEnded(leg_id, seq, 10.0 + seconds, id, True, seconds, connected))

    def unanswered(self, seq: int = 3, *, id: int = 1) -> None:
        self.engine.tell(TransferEnded(self.leg_id(), seq, 25.0, id, False, 0.0))

    def ended(self, seq: int, at: float = 60.0) -> None:
        self.engine.tell(Ended(self.leg_id(), seq, at, EndCause.NORMAL, 5.0))

    async def live(self, scope: str) -> int:
        """Channels that the cap of the trunk, the account or the campaign counts."""
        held = {
            "trunk": self.trunk_id,
            "account": self.desk.owner.account_id,
            "campaign": self.campaign_id,
        }[scope]
        [(live,)] = await rows(
            self.desk.db,
            f"SELECT live FROM limits WHERE id = (SELECT limit_id FROM {scope}s WHERE id = %s)",
            held,
        )
        return int(live)

    async def phones(self) -> list[tuple[Any, ...]]:
        """(number, state, outcome, reserved) of each that was ever rung."""
        return await rows(
            self.desk.db,
            "SELECT number, state, outcome, reserved FROM legs WHERE kind = 'transfer' ORDER BY id",
        )

    async def freed(self) -> None:
        async def look() -> bool:
            return not await self.desk.live() and all(
                state == "ended" for _, state, _, _ in await self.phones()
            )

        await eventually(look)

    async def trunk_live(self, channels: int) -> None:
        async def look() -> bool:
            return await self.live("trunk") == channels

        await eventually(look)


def answered(engine: PlayedEngine, request: DialRequest) -> None:
    engine.tell(Ringing(request.leg_id, 1, 1.0))
    engine.tell(Answered(request.leg_id, 2, 5.0, 5.0, AnsweredBy.HUMAN))


@pytest.fixture
def office(desk: Desk, caplog: pytest.LogCaptureFixture) -> Iterator[Office]:
    """Where the upkeep need not mend what the ends of calls have left."""
    yield Office(desk)
    assert OUTLIVED not in [record.message for record in caplog.get_records("call")]


OUTLIVED = "phones of transfers outlived their legs"


def said(engine: PlayedEngine) -> list[object]:
    return [item for _, _, command in engine.commanded for item in getattr(command, "items", ())]


# ------------------------------------------------------------------ channels


async def test_each_phone_holds_a_channel_of_trunk_and_account_until_the_transfer_is_over(
    office: Office,
) -> None:
    await office.open(AGENT, COLLEAGUE)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        transfer = await office.transfer()
        held = [await office.live(scope) for scope in ("trunk", "account", "campaign")]
        assert await recount_limits(office.desk.db) == 0, "the caps count what the open legs hold"
        office.talked(8.0)
        await office.trunk_live(1)
        assert await office.phones() == [
            ("842473009999", "ended", "answered", 0),
            ("84912000111", "ended", "no_answer", 0),
        ]
        office.ended(4)
        assert (await office.desk.done(call))["outcome"] == "answered"
    assert held == [3, 3, 1]
    assert [(leg.target, leg.caller) for leg in transfer.legs] == [
        ("02473009999", "02473001234"),
        ("0912000111", "02473001234"),
    ]
    await office.freed()


async def test_of_a_ring_group_as_many_ring_as_there_are_channels(office: Office) -> None:
    await office.open(AGENT, COLLEAGUE, ADDRESS, max_channels=3)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        transfer = await office.transfer()
        assert [leg.target for leg in transfer.legs] == ["02473009999", "0912000111"]
        assert await office.live("trunk") == 3


async def test_without_a_channel_nobody_is_rung_and_the_script_falls_back(office: Office) -> None:
    await office.open(AGENT, max_channels=1)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        transfer = await office.transfer()
        assert transfer.legs == ()
        office.unanswered()
        await until(lambda: said(office.engine) == [Speech(ALONE)])
    assert await office.phones() == []


async def test_phones_that_ring_in_turn_need_one_channel_between_them(office: Office) -> None:
    await office.open(AGENT, COLLEAGUE, strategy="in_turn", max_channels=2)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        await office.transfer()
        office.unanswered()
        second = await office.transfer(2)
        assert (second.id, [leg.target for leg in second.legs]) == (2, ["0912000111"])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trunks SET enabled = false RETURNING 1",
        "UPDATE trunks SET networks = '{viettel}' RETURNING 1",
        "UPDATE limits SET cooling_until = now() + interval '1 hour' WHERE kind = 'trunk' RETURNING 1",
    ],
)
async def test_a_trunk_that_may_not_be_used_rings_nobody(office: Office, change: LiteralString) -> None:
    """Because it is disabled, does not carry the network, or cools down; the call itself is up already."""
    await office.open(AGENT)
    office.engine.behave = silent
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        await until(lambda: office.engine.dialled)
        await rows(office.desk.db, change)
        answered(office.engine, office.engine.dialled[-1])
        assert (await office.transfer()).legs == ()


async def test_a_number_of_a_network_that_the_trunk_carries_is_rung(office: Office) -> None:
    async with office.desk.db.transaction() as tx:
        await contacts.load_default_prefixes(tx)
    await office.open(AGENT, COLLEAGUE, ADDRESS)
    office.engine.behave = silent
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        await until(lambda: office.engine.dialled)
        await rows(office.desk.db, "UPDATE trunks SET networks = '{fixed}' RETURNING 1")
        answered(office.engine, office.engine.dialled[-1])
        assert [leg.target for leg in (await office.transfer()).legs] == ["02473009999", ADDRESS]


async def test_a_transfer_waits_for_its_slot_under_calls_per_second(office: Office) -> None:
    await office.open(AGENT, max_cps=2)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        await office.transfer()
        [(waited,)] = await rows(
            office.desk.db,
            """SELECT extract(epoch FROM t.dial_at - p.dial_at)::float8
               FROM legs t JOIN legs p ON p.id = t.parent_leg_id""",
        )
    assert waited >= 0.5


async def test_a_transfer_that_would_wait_for_long_rings_nobody(office: Office) -> None:
    await office.open(AGENT, max_cps=0.1)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        assert (await office.transfer()).legs == ()


async def test_a_talk_may_last_as_long_as_is_left_of_the_call(office: Office) -> None:
    await office.open(AGENT, config=CampaignConfig(max_call_seconds=90))
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        assert [leg.max_s for leg in (await office.transfer()).legs] == [90]


# ------------------------------------------------------------------ money


async def test_a_talk_is_charged_by_its_seconds_in_lines_that_name_its_leg(office: Office) -> None:
    await prepaid(office.desk, 100_000)
    await office.open(AGENT, COLLEAGUE, config=CampaignConfig(max_call_seconds=60))
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        connected = (await office.transfer()).legs[0].leg_id
        assert await wallet(office.desk) == (100_000, 3 * 770)
        office.talked(20.0)
        await office.trunk_live(1)
        # 20 s at 10 đồng and 100 đồng for the answer, with 10 % VAT.
        assert await wallet(office.desk) == (100_000 - 220 - 110, 770)
        office.ended(4, at=13.0)
        await office.desk.done(call)
    found = await rows(
        office.desk.db,
        """SELECT leg_id = %s, call_id = %s, kind, amount, billable_s FROM ledger
           WHERE kind <> 'top_up' ORDER BY id""",
        connected,
        call,
    )
    assert found == [
        (True, True, "postage", -220, 20),
        (True, True, "service_charge", -110, 20),
        (False, True, "postage", -88, 8),
        (False, True, "service_charge", -110, 8),
    ]
    assert await wallet(office.desk) == (100_000 - 330 - 198, 0)


async def test_a_transfer_that_nobody_answers_costs_nothing(office: Office) -> None:
    await prepaid(office.desk, 100_000)
    await office.open(AGENT)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        await office.transfer()
        office.unanswered()
        office.ended(4, at=13.0)
        await office.desk.done(call)
    await office.freed()
    assert await wallet(office.desk) == (100_000 - 198, 0)


async def test_a_talk_may_last_as_long_as_is_paid_for(office: Office) -> None:
    """The call itself takes 770 đồng for its minute; 286 đồng are left, which pay for 16 seconds."""
    await prepaid(office.desk, 770 + 286)
    await office.open(AGENT, config=CampaignConfig(max_call_seconds=60))
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        assert [leg.max_s for leg in (await office.transfer()).legs] == [16]
        assert await wallet(office.desk) == (1056, 1056)


@pytest.mark.parametrize(
    "address",
    ["sip:0912000111@sbc.carrier.vn", "sip:+84-912.000.111@sbc.carrier.vn:5080", "sips:84912000111@a.vn"],
)
async def test_an_address_that_has_a_number_for_a_name_costs_what_the_number_costs(
    office: Office, address: str
) -> None:
    """A carrier rings it like the number, whatever host is written behind it."""
    await prepaid(office.desk, 770 + 286)
    await office.open(address, config=CampaignConfig(max_call_seconds=60))
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        assert [(leg.target, leg.max_s) for leg in (await office.transfer()).legs] == [(address, 16)]
        assert await wallet(office.desk) == (1056, 1056)


async def test_an_address_leads_to_no_number_that_a_script_may_not_call(office: Office) -> None:
    await office.open(
        "sip:19001234@carrier.vn", "sip:1800-1234@carrier.vn", "sip:+12125550123@carrier.vn", ADDRESS, *NAMES
    )
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        assert [leg.target for leg in (await office.transfer()).legs] == [ADDRESS, *NAMES]


async def test_who_cannot_be_paid_for_is_not_rung_and_an_address_costs_nothing(office: Office) -> None:
    await prepaid(office.desk, 770)
    await office.open(AGENT, ADDRESS, config=CampaignConfig(max_call_seconds=60))
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        transfer = await office.transfer()
        assert [(leg.target, leg.max_s) for leg in transfer.legs] == [(ADDRESS, 60)]
        office.talked(20.0)
        office.ended(4, at=13.0)
        await office.desk.done(call)
    await office.freed()
    assert await wallet(office.desk) == (770 - 198, 0)


async def test_a_talk_that_outlasts_what_was_reserved_costs_no_more_than_that(office: Office) -> None:
    await prepaid(office.desk, 770 + 286)
    await office.open(AGENT, config=CampaignConfig(max_call_seconds=60))
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        await office.transfer()
        office.talked(55.0)
        office.ended(4, at=65.0)
        await office.desk.done(call)
    await office.freed()
    assert await wallet(office.desk) == (0, 0)


# ------------------------------------------------------------------ ends and crashes


async def test_a_call_that_ends_with_its_talk_frees_and_settles_it_once(office: Office) -> None:
    await prepaid(office.desk, 100_000)
    await office.open(AGENT)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        await office.transfer()
        office.talked(20.0)
        office.ended(4, at=13.0)
        await office.desk.done(call)
        await office.freed()
    assert await wallet(office.desk) == (100_000 - 330 - 198, 0)


async def test_a_talk_that_could_not_be_settled_in_time_is_settled_with_its_call(office: Office) -> None:
    """While the caps are locked nothing can be freed; the end of the call waits for them as well."""
    await prepaid(office.desk, 100_000)
    await office.open(AGENT)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        await office.transfer()
        async with office.desk.locked("SELECT FROM limits FOR UPDATE"):
            office.talked(20.0)
            office.ended(4, at=13.0)

            async def both_wait() -> bool:
                return await office.desk.waiting_for_locks() >= 2

            await eventually(both_wait)
        await office.desk.done(call)
        await office.freed()
    assert await wallet(office.desk) == (100_000 - 330 - 198, 0)


async def test_a_call_of_which_nothing_more_is_known_frees_its_phones_and_charges_no_talk(
    office: Office,
) -> None:
    await prepaid(office.desk, 100_000)
    await office.open(AGENT)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        await office.transfer()
        office.engine.knows = LegKnowledge.FORGOTTEN
        office.engine.go_away()
        office.engine.come_back()
        assert (await office.desk.done(call))["outcome"] == "lost"
        await office.freed()
    # Heard of it was its answer, which is charged as one block.
    assert await wallet(office.desk) == (100_000 - 66 - 110, 0)


async def test_a_dialer_that_adopts_a_transferred_call_rings_nobody_again(office: Office) -> None:
    """The engine replays what happened; the phones that ring already are the first dialer's."""
    await prepaid(office.desk, 100_000)
    await office.open(AGENT)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        first = await office.transfer()
    heir = PlayedEngine(silent)
    heir.knows = LegKnowledge.REPLAYED
    leg_id = office.leg_id()
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": heir}):
        await until(lambda: heir.adopted)
        heir.tell(Ringing(leg_id, 1, 1.0))
        heir.tell(Answered(leg_id, 2, 5.0, 5.0, AnsweredBy.HUMAN))
        await until(lambda: heir.commanded)
        assert heir.commanded == [(leg_id, 1, replace(first, legs=()))]
        heir.tell(TransferEnded(leg_id, 3, 30.0, 1, True, 20.0, first.legs[0].leg_id))
        heir.tell(Ended(leg_id, 4, 13.0, EndCause.NORMAL, 5.0))
        await office.desk.done(call)
        await office.freed()
    assert len(await office.phones()) == 1
    assert await wallet(office.desk) == (100_000 - 330 - 198, 0)


async def test_a_transfer_that_found_nobody_is_not_tried_again_by_who_adopts_the_call(office: Office) -> None:
    await office.open(AGENT, max_channels=1)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        await office.transfer()
    await rows(office.desk.db, "UPDATE limits SET max_channels = 5 WHERE kind = 'trunk' RETURNING 1")
    heir = PlayedEngine(silent)
    heir.knows = LegKnowledge.REPLAYED
    leg_id = office.leg_id()
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": heir}):
        await until(lambda: heir.adopted)
        answered(heir, office.engine.dialled[-1])
        await until(lambda: heir.commanded)
        told = [command for _, _, command in heir.commanded if isinstance(command, Transfer)]
        assert [transfer.legs for transfer in told] == [()]
        heir.tell(Ended(leg_id, 3, 13.0, EndCause.NORMAL, 5.0))
        await office.freed()


async def test_no_phone_is_taken_for_a_call_that_has_ended(office: Office) -> None:
    await office.open(AGENT)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        call = await office.give()
        await office.transfer()
        office.ended(3)
        await office.desk.done(call)
        late = await live.Transfers(office.desk.db).prepare(
            office.leg_id(), Transfer(2, "842473009999", 20), 60
        )
    assert late.legs == ()
    assert len(await office.phones()) == 1


async def test_what_waits_for_a_slot_holds_up_no_other_call(office: Office) -> None:
    """Two seconds of waiting for one call, while another is driven from its answer to its end."""
    await office.open(AGENT)
    quick = Office(office.desk)
    quick.engine = office.engine
    await quick.open(AGENT, max_channels=1, number="02473001235")
    office.engine.behave = silent
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give("0912345671")
        await until(lambda: office.engine.dialled)
        waits = office.engine.dialled[-1]
        await rows(
            office.desk.db,
            """UPDATE limits SET max_cps = 1, next_slot_at = clock_timestamp() + interval '2 seconds'
               WHERE id = (SELECT limit_id FROM trunks WHERE id = %s) RETURNING 1""",
            office.trunk_id,
        )
        answered(office.engine, waits)
        call = await quick.give("0912345672")
        await until(lambda: len(office.engine.dialled) == 2)
        answered(office.engine, office.engine.dialled[-1])
        assert (await quick.transfer()).legs == ()
        quick.unanswered()
        await until(lambda: said(office.engine) == [Speech(ALONE)])
        quick.ended(4, at=13.0)
        await office.desk.done(call)
        assert len(office.transfers()) == 1
        assert len((await office.transfer(2)).legs) == 1


async def test_phones_whose_call_is_gone_are_freed_by_the_upkeep(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot come to this; should it, nobody loses a channel or a đồng for good."""
    await prepaid(office.desk, 100_000)
    await office.open(AGENT)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}, PROMPT):
        await office.give()
        await office.transfer()
        await rows(
            office.desk.db,
            "UPDATE legs SET state = 'ended', reserved = 0 WHERE kind = 'outbound' RETURNING 1",
        )

        async def ended() -> bool:
            return [state for _, state, _, _ in await office.phones()] == ["ended"]

        await eventually(ended)
        assert await office.live("trunk") == 1
    [(held,)] = await rows(office.desk.db, "SELECT reserved FROM wallets")
    assert held == Decimal(100) * 11 / 10 + Decimal(3000) * 11 / 10
    assert OUTLIVED in caplog.text
    caplog.clear()


async def test_a_call_that_is_up_hangs_up_when_its_script_ends_after_a_talk(office: Office) -> None:
    await office.open(AGENT)
    async with dialing(office.desk.db, office.desk.keyring, {"sandbox": office.engine}):
        await office.give()
        await office.transfer()
        office.talked(20.0)
        await until(office.engine.hung_up)
    assert [type(command) for _, _, command in office.engine.commanded] == [Transfer, HangUp]
