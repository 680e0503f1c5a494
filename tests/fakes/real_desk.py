"""A desk whose calls are real: over Asterisk nodes to a far end of sipp."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests import factories
from tests.desk import Desk
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.dialling import dialing
from tests.fakes.one_trunk import Tones
from tests.fakes.sipp import SippPhone

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.domain import routing, scripts
from tongdai.domain.campaigns import CampaignConfig
from tongdai.ports.sip import AsteriskNode

MENU = {
    "start": "menu",
    "steps": {
        "menu": {
            "kind": "gather",
            "prompt": "Xin bấm 1 để xác nhận, bấm 2 để huỷ đơn hàng này",
            "on": {"1": "yes", "2": "no"},
            "timeout_s": 2,
            "tries": 1,
        },
        "yes": {"kind": "say", "text": "Cảm ơn"},
        "no": {"kind": "say", "text": "Đã huỷ"},
    },
}
SHORT = {"start": "say", "steps": {"say": {"kind": "say", "text": "Xin chào quý khách"}}}


class RealDesk:
    """`nodes` play what is below the first one's folder."""

    def __init__(self, desk: Desk, phone: SippPhone, *nodes: AsteriskInstance) -> None:
        self.desk = desk
        self.phone = phone
        self.nodes = nodes
        self.trunk_id = 0
        self._book = routing.TrunkBookOfDatabase(desk.db, desk.keyring)
        self._tones = Tones(nodes[0].sounds)

    async def campaign(
        self,
        script: object = SHORT,
        *,
        channels: int | None = None,
        cps: float | None = None,
        config: CampaignConfig | None = None,
    ) -> int:
        """Running, over a new trunk on all nodes, which are added by that."""
        account = self.desk.owner.account_id
        async with self.desk.db.transaction() as tx:
            for number, node in enumerate(self.nodes, 1):
                await routing.add_node(
                    tx,
                    self.desk.keyring,
                    name=f"node {number}",
                    url=node.node.url,
                    username=node.node.username,
                    password=node.node.password,
                    sounds_path=str(self.nodes[0].sounds),
                )
            trunk = await routing.create_trunk(
                tx,
                account,
                name="carrier",
                engine="asterisk",
                max_channels=channels,
                max_cps=cps,
                sip=routing.SipSettings(host=self.phone.host, port=self.phone.port),
            )
            row = await scripts.create_script(tx, account, "script", script)
            line = await factories.hotline(tx, account, trunk_id=trunk.id)
        self.trunk_id = trunk.id
        made = await factories.campaign(
            self.desk.db,
            self.desk.owner,
            hotline_ids=[line.id],
            script_id=row.id,
            config=config or CampaignConfig(detect_voicemail=False, ring_seconds=10),
        )
        return made.id

    def engine(self, node: AsteriskNode) -> AsteriskEngine:
        return AsteriskEngine(node, self._book, self._tones)

    @asynccontextmanager
    async def dialing(self, dialers: int = 1) -> AsyncIterator[None]:
        """So many dialers, each with clients of its own at every node."""
        async with AsyncExitStack() as stack:
            for _ in range(dialers):
                await stack.enter_async_context(
                    dialing(self.desk.db, self.desk.keyring, {}, make_engine=self.engine)
                )
            yield

    async def give(self, campaign: int, count: int, ending: str = "001", first: int = 0) -> list[int]:
        """Calls to so many different numbers that end like that; fewer than 10,000."""
        numbers = [f"091{number:04d}{ending}" for number in range(first, first + count)]
        return await self.desk.give(campaign, *numbers)
