"""One trunk over several Asterisk nodes, which come and go while the dialer runs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.dialling import dialing, eventually, rows, until
from tests.fakes.engine import PlayedEngine, answers_and_ends, silent

from tongdai.domain import routing
from tongdai.domain.campaigns import CampaignConfig
from tongdai.ports.sip import AsteriskNode
from tongdai.ports.telephony import EngineUnreachableError, LegKnowledge, LegRef

pytestmark = pytest.mark.anyio

LONG = CampaignConfig(ring_seconds=60, max_call_seconds=600)


class Switchboard:
    """The engines of nodes that the test plays, by node."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.engines: dict[int, PlayedEngine] = {}
        self.behave = answers_and_ends

    def make(self, node: AsteriskNode) -> PlayedEngine:
        return self.engines.setdefault(node.id, PlayedEngine(self.behave))

    async def node(self, name: str, *, channels: int | None = None) -> int:
        async with self._desk.db.transaction() as tx:
            node = await routing.add_node(
                tx,
                self._desk.keyring,
                name=name,
                url="http://127.0.0.1:8088",
                username="tongdai",
                password="correct-horse-battery-staple",
                sounds_path="/srv/sounds",
                max_channels=channels,
            )
        return node.id

    async def change(self, node_id: int, **changes: object) -> None:
        async with self._desk.db.transaction() as tx:
            await routing.update_node(tx, self._desk.keyring, node_id, **changes)  # type: ignore[arg-type]

    async def campaign(self, *, channels: int | None = None, nodes: list[int] | None = None) -> int:
        """Over a trunk on these nodes; None: on all."""
        trunk = await factories.trunk(self._desk.db, self._desk.owner.account_id, max_channels=channels)
        line = await factories.hotline(self._desk.db, self._desk.owner.account_id, trunk_id=trunk.id)
        moved = "UPDATE trunks SET engine = 'asterisk', node_ids = %s WHERE id = %s RETURNING id"
        await rows(self._desk.db, moved, nodes, trunk.id)
        return await self._desk.campaign(config=LONG, hotline_ids=[line.id])

    def dialled(self, node_id: int) -> int:
        engine = self.engines.get(node_id)
        return 0 if engine is None else len(engine.dialled)


@pytest.fixture
def board(desk: Desk) -> Switchboard:
    return Switchboard(desk)


def numbers(count: int) -> list[str]:
    return [f"09123456{number:02d}" for number in range(count)]


async def test_calls_go_out_over_all_nodes(desk: Desk, board: Switchboard) -> None:
    nodes = [await board.node("north"), await board.node("south")]
    campaign = await board.campaign()
    async with dialing(desk.db, desk.keyring, {}, make_engine=board.make):
        calls = await desk.give(campaign, *numbers(20))
        for call in calls:
            assert (await desk.done(call))["outcome"] == "answered"
    assert sorted(map(board.dialled, nodes)) == [10, 10]
    assert await desk.live() == []


async def test_a_node_never_has_more_calls_than_its_channels(desk: Desk, board: Switchboard) -> None:
    board.behave = silent
    small, large = await board.node("small", channels=2), await board.node("large", channels=5)
    campaign = await board.campaign()
    async with dialing(desk.db, desk.keyring, {}, make_engine=board.make):
        await desk.give(campaign, *numbers(20))
        await until(lambda: board.dialled(small) + board.dialled(large) == 7)
        held = await rows(
            desk.db,
            "SELECT l.live FROM limits l JOIN asterisk_nodes n ON n.limit_id = l.id ORDER BY n.id",
        )
    assert (held, board.dialled(small), board.dialled(large)) == ([(2,), (5,)], 2, 5)


async def test_two_nodes_do_not_double_the_channels_of_a_trunk(desk: Desk, board: Switchboard) -> None:
    board.behave = silent
    nodes = [await board.node("north"), await board.node("south")]
    campaign = await board.campaign(channels=3)
    async with dialing(desk.db, desk.keyring, {}, make_engine=board.make):
        await desk.give(campaign, *numbers(10))
        await until(lambda: sum(map(board.dialled, nodes)) == 3)
    assert sum(map(board.dialled, nodes)) == 3


async def test_a_trunk_uses_only_the_nodes_that_its_carrier_knows(desk: Desk, board: Switchboard) -> None:
    known, other = await board.node("known"), await board.node("other")
    campaign = await board.campaign(nodes=[known])
    async with dialing(desk.db, desk.keyring, {}, make_engine=board.make):
        for call in await desk.give(campaign, *numbers(4)):
            await desk.done(call)
    assert (board.dialled(known), board.dialled(other)) == (4, 0)


async def test_a_node_that_is_added_takes_calls_without_a_restart(desk: Desk, board: Switchboard) -> None:
    campaign = await board.campaign()
    async with dialing(desk.db, desk.keyring, {}, make_engine=board.make):
        (call,) = await desk.give(campaign, "0912345678")

        async def waits() -> bool:
            reason = "SELECT waiting_reason FROM campaigns WHERE id = %s"
            return await rows(desk.db, reason, campaign) == [("engine_unreachable",)]

        await eventually(waits)
        node = await board.node("late")
        assert (await desk.done(call))["outcome"] == "answered"
    assert board.dialled(node) == 1


async def test_a_disabled_node_gets_no_new_calls_and_keeps_those_that_are_up(
    desk: Desk, board: Switchboard
) -> None:
    board.behave = silent
    old = await board.node("old")
    campaign = await board.campaign()
    async with dialing(desk.db, desk.keyring, {}, make_engine=board.make):
        await desk.give(campaign, "0912345601")
        await until(lambda: board.dialled(old) == 1)
        new = await board.node("new")
        await board.change(old, enabled=False)
        await until(lambda: new in board.engines)
        board.engines[new].behave = answers_and_ends
        (second,) = await desk.give(campaign, "0912345602")
        assert (await desk.done(second))["outcome"] == "answered"
        answers_and_ends(board.engines[old], board.engines[old].dialled[0])
        await until(lambda: not board.engines[old].hung_up())
    assert (board.dialled(old), board.dialled(new)) == (1, 1)


async def test_new_calls_leave_a_node_that_does_not_answer_and_its_legs_stay_unknown_until_it_is_asked(
    desk: Desk, board: Switchboard
) -> None:
    board.behave = silent
    away, near = await board.node("away"), await board.node("near")
    campaign = await board.campaign(channels=10)
    async with dialing(desk.db, desk.keyring, {}, make_engine=board.make):
        await desk.give(campaign, *numbers(4))
        await until(lambda: board.dialled(away) == board.dialled(near) == 2)
        board.engines[away].go_away()

        async def unknown() -> bool:
            query = "SELECT count(*) FROM legs WHERE state = 'unknown' AND engine = %s"
            return await rows(desk.db, query, f"asterisk/{away}") == [(2,)]

        await eventually(unknown)
        board.engines[near].behave = answers_and_ends
        more = await desk.give(campaign, "0912345691", "0912345692")
        assert [(await desk.done(call))["outcome"] for call in more] == ["answered"] * 2
        held = await rows(desk.db, "SELECT l.live FROM limits l JOIN trunks t ON t.limit_id = l.id")
        assert held == [(4,)]

        board.engines[away].come_back()
        lost = await rows(desk.db, "SELECT call_id FROM legs WHERE engine = %s", f"asterisk/{away}")
        assert [(await desk.done(call))["outcome"] for (call,) in lost] == ["lost"] * 2
    assert set(board.engines[away].adopted) == {request.leg_id for request in board.engines[away].dialled}
    assert (board.dialled(away), board.dialled(near)) == (2, 4)


class Flapping(PlayedEngine):
    """While asked about legs it goes away and is back, before whoever asked hears that nobody answers."""

    async def adopt(self, legs: Sequence[LegRef]) -> dict[int, LegKnowledge]:
        known = await super().adopt(legs)
        if len(self.adopted) == len(legs):
            self.go_away()
            self.come_back()
            await until(self._told.empty)
            raise EngineUnreachableError("the connection broke")
        return known


async def test_legs_are_asked_about_again_when_their_node_was_back_before_the_question_failed(
    desk: Desk, board: Switchboard
) -> None:
    board.behave = silent
    node = await board.node("north")
    campaign = await board.campaign()
    board.engines[node] = Flapping(silent)
    async with dialing(desk.db, desk.keyring, {}, make_engine=board.make):
        (call,) = await desk.give(campaign, "0912345601")
        await until(lambda: board.dialled(node) == 1)
        board.engines[node].go_away()
        await until(lambda: not board.engines[node].reachable)
        board.engines[node].come_back()
        assert (await desk.done(call))["outcome"] == "lost"
    assert len(board.engines[node].adopted) == 2
