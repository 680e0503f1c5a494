"""Trunks come to a node, change and go while it runs; who calls is known by where the call comes from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.sippeer import WAIT_S, Peer, sip_peer

from tongdai.adapters.asterisk import pjsip, provision
from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.link import Link, connect
from tongdai.adapters.asterisk.provision import Provisioner
from tongdai.ports.sip import SipTrunk, TrunkBook, UnknownTrunkError
from tongdai.ports.telephony import EngineRefusedError

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

NODE = 1
PASSWORD = 's3cret;"\\word'


class Book:
    """The trunks as a test says they are."""

    def __init__(self) -> None:
        self.known: dict[int, SipTrunk] = {}
        self.enabled: set[int] = set()
        self.registering: set[int] = set()

    def set(self, trunk: SipTrunk, *, enabled: bool = True) -> SipTrunk:
        last = max((one.revision for one in self.known.values()), default=0)
        trunk = self.known[trunk.trunk_id] = replace(trunk, revision=last + 1)
        (self.enabled.add if enabled else self.enabled.discard)(trunk.trunk_id)
        (self.registering.add if trunk.register else self.registering.discard)(trunk.trunk_id)
        return trunk

    def remove(self, trunk_id: int) -> None:
        del self.known[trunk_id]
        self.enabled.discard(trunk_id)

    async def trunk(self, trunk_id: int) -> SipTrunk:
        if trunk_id not in self.known:
            raise UnknownTrunkError
        return self.known[trunk_id]

    async def trunks_of(self, node_id: int) -> list[SipTrunk]:
        assert node_id == NODE
        return [self.known[one] for one in sorted(self.enabled)]

    async def registers_on(self, node_id: int) -> frozenset[int]:
        assert node_id == NODE
        return frozenset(self.registering)


class Client:
    """A connection to the node with what it pushes and hears."""

    def __init__(self, link: Link, book: TrunkBook, heard: asyncio.Queue[Heard]) -> None:
        self.link = link
        self.pushing = Provisioner(link.ask, book)
        self.heard = heard

    async def dial(self, trunk_id: int, number: str, channel: str) -> None:
        trunk = await self.pushing.ensure(trunk_id)
        address = quote(pjsip.dialled(trunk, number), safe="")
        uri = f"channels/{channel}?endpoint={address}&app={self.link.app}&timeout=5&callerId=0241234567"
        answer = await self.link.ask("POST", uri)
        assert answer.ok, answer

    async def event(self, kind: str, **wanted: object) -> Heard:
        async with asyncio.timeout(WAIT_S):
            while True:
                heard = await self.heard.get()
                if heard.type == kind and all(getattr(heard, name) == one for name, one in wanted.items()):
                    return heard

    async def ended(self, channel: str) -> Heard:
        """How a call ended. What is left of an earlier test's calls may be heard too."""
        while (heard := await self.event("ChannelDestroyed")).channel is None or heard.channel.id != channel:
            pass
        return heard


async def client_on(asterisk: AsteriskInstance, book: TrunkBook) -> Client:
    """One that hears calls that come in."""
    heard: asyncio.Queue[Heard] = asyncio.Queue()
    link = await connect(asterisk.direct, "td-in", heard.put_nowait, answer_timeout_s=WAIT_S)
    assert link is not None
    return Client(link, book, heard)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def client(asterisk: AsteriskInstance, book: Book) -> AsyncIterator[Client]:
    """It hears calls that come in. What it pushed is gone afterwards."""
    made = await client_on(asterisk, book)
    yield made
    made.link.close()
    link = await connect(asterisk.direct, "tidying", lambda _: None, answer_timeout_s=WAIT_S)
    assert link is not None
    for trunk_id in list(book.known):
        for kind in ("registration", "identify", "endpoint", "auth"):
            await link.ask("DELETE", f"asterisk/config/dynamic/res_pjsip/{kind}/td{trunk_id}")
    link.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with sip_peer() as made:
        yield made


def trunk_to(peer: Peer, trunk_id: int, **more: Any) -> SipTrunk:
    return SipTrunk(trunk_id=trunk_id, revision=0, host=peer.host, port=peer.port, **more)


async def _until(is_so: Callable[[], bool]) -> None:
    """Asks the node's console again and again, which takes some milliseconds each time."""
    async with asyncio.timeout(WAIT_S):
        while not await asyncio.to_thread(is_so):
            pass


# --------------------------------------------------------------------------- calls that go out


async def test_the_first_call_over_a_trunk_goes_out_at_once(client: Client, book: Book, peer: Peer) -> None:
    book.set(trunk_to(peer, 1))

    await client.dial(1, "0912345678", "out-1")

    destroyed = await client.ended("out-1")
    assert (destroyed.cause, destroyed.tech_cause) == (17, 486)
    [invite] = peer.requests("INVITE")
    assert invite.uri == f"sip:0912345678@{peer.host}:{peer.port}"
    assert "sip:0241234567@" in invite.headers["from"]
    assert "sip:0241234567@" in invite.headers["p-asserted-identity"]
    # PCMA first, key presses by RFC 4733, and sound where the node is.
    assert "RTP/AVP 8 0 101" in invite.body
    assert "c=IN IP4 127.0.0.1" in invite.body


async def test_who_needs_a_password_is_given_it_and_nobody_reads_it_elsewhere(
    client: Client, book: Book, asterisk: AsteriskInstance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with sip_peer("khach", PASSWORD) as peer:
        book.set(
            trunk_to(peer, 2, username="khach", password=PASSWORD, from_user="khach", from_domain="ims.vn")
        )
        await client.dial(2, "0912345678", "out-2")

        assert (await client.ended("out-2")).tech_cause == 486
        last = peer.requests("INVITE")[-1]
    assert "sip:khach@ims.vn" in last.headers["from"]
    assert "sip:0241234567@" in last.headers["p-asserted-identity"]
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(book.known)
    assert not any(
        PASSWORD in path.read_text(errors="replace")
        for path in asterisk.folder.rglob("*")
        if path.is_file() and path.suffix != ".sqlite3"
    )


async def test_a_call_goes_by_the_settings_of_the_last_change(client: Client, book: Book, peer: Peer) -> None:
    book.set(trunk_to(peer, 3, from_user="one", username="u", password="p", codecs=("ulaw",)))
    await client.dial(3, "0912345678", "out-3")
    await client.ended("out-3")

    book.set(trunk_to(peer, 3, codecs=("g722", "alaw"), dtmf="info"))
    await client.dial(3, "0912345678", "out-4")
    await client.ended("out-4")

    before, after = peer.requests("INVITE")
    assert "sip:one@" in before.headers["from"]
    assert "RTP/AVP 0 101" in before.body
    assert "sip:0241234567@" in after.headers["from"]
    assert "RTP/AVP 9 8\r" in after.body


async def test_a_call_goes_by_way_of_the_carriers_proxy(client: Client, book: Book, peer: Peer) -> None:
    proxy = f"sip:{peer.host}:{peer.port}"
    book.set(SipTrunk(trunk_id=6, revision=0, host="ims.carrier.example", outbound_proxy=proxy))

    await client.dial(6, "0912345678", "out-6")
    await client.ended("out-6")

    [invite] = peer.requests("INVITE")
    assert invite.uri == "sip:0912345678@ims.carrier.example:5060"
    assert invite.headers["route"] == f"<{proxy};lr>"


async def test_a_call_goes_over_tcp_where_the_carrier_wants_it(client: Client, book: Book) -> None:
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait((await reader.readuntil(b"\r\n")).decode())
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        book.set(SipTrunk(trunk_id=7, revision=0, host="127.0.0.1", port=port, transport="tcp"))
        await client.dial(7, "0912345678", "out-7")

        async with asyncio.timeout(WAIT_S):
            first = await asked.get()
    assert first == f"INVITE sip:0912345678@127.0.0.1:{port};transport=tcp SIP/2.0\r\n"
    await client.link.ask("DELETE", "channels/out-7")


async def test_a_call_rings_a_sip_address_over_the_trunk(client: Client, book: Book, peer: Peer) -> None:
    book.set(SipTrunk(trunk_id=8, revision=0, host="127.0.0.1", port=9))

    await client.dial(8, f"sip:le-tan@{peer.host}:{peer.port}", "out-8")
    await client.ended("out-8")

    assert [one.uri for one in peer.requests("INVITE")] == [f"sip:le-tan@{peer.host}:{peer.port}"]


async def test_a_trunk_that_has_not_changed_costs_no_request(client: Client, book: Book, peer: Peer) -> None:
    asked = 0

    async def counted(method: str, uri: str, body: Any = None) -> Any:
        nonlocal asked
        asked += 1
        return await client.link.ask(method, uri, body)

    pushing = Provisioner(counted, book)
    book.set(trunk_to(peer, 4))
    await asyncio.gather(*(pushing.ensure(4) for _ in range(20)))
    first = asked
    await pushing.ensure(4)

    assert 1 <= first <= 2
    assert asked == first
    pushing.forget(4)
    await pushing.ensure(4)
    assert asked == 2 * first


async def test_a_trunk_that_the_node_does_not_take_is_refused(client: Client, book: Book, peer: Peer) -> None:
    book.set(trunk_to(peer, 5, codecs=("banana",)))

    with pytest.raises(EngineRefusedError):
        await client.pushing.ensure(5)
    with pytest.raises(UnknownTrunkError):
        await client.pushing.ensure(99)


# --------------------------------------------------------------------------- calls that come in


async def test_a_call_comes_in_from_the_carriers_address_alone(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer
) -> None:
    book.set(trunk_to(peer, 10))
    node = ("127.0.0.1", asterisk.sip_port)
    await client.pushing.keep_once(NODE)

    calling = await peer.call(node, f"sip:02473001234@127.0.0.1:{node[1]}")

    started = await client.event("StasisStart")
    assert started.args == ["10", "02473001234"]
    assert started.channel is not None
    assert started.channel.caller is not None
    assert started.channel.caller.number == "0912345678"
    await client.link.ask("DELETE", f"channels/{started.channel.id}?reason_code=17")
    assert await calling.status() == 486
    async with sip_peer(host="127.0.0.2") as elsewhere:
        refused = await elsewhere.call(node, f"sip:02473001234@127.0.0.1:{node[1]}", caller="td10")
        assert await refused.status() == 401


@pytest.mark.parametrize("pushes", [1, 2, 3, 4])
async def test_who_calls_is_told_however_often_the_trunk_was_pushed(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer, pushes: int
) -> None:
    """Asterisk writes the caller id of an endpoint that has none as `<unknown>`, reads that back as a number
    when the endpoint is updated, and would have it in the place of every caller's."""
    node = ("127.0.0.1", asterisk.sip_port)
    for _ in range(pushes):
        book.set(trunk_to(peer, 13))
        await client.pushing.keep_once(NODE)

    calling = await peer.call(node, f"sip:02473001234@127.0.0.1:{node[1]}", caller="0912345678")

    started = await client.event("StasisStart")
    assert started.channel is not None
    assert started.channel.caller is not None
    assert started.channel.caller.number == "0912345678"
    await client.link.ask("DELETE", f"channels/{started.channel.id}")
    await calling.status()
    await client.dial(13, "0912345678", "out-13")
    await client.ended("out-13")
    [invite] = peer.requests("INVITE")
    assert invite.headers["from"].startswith("<sip:0241234567@")
    assert invite.headers["p-asserted-identity"].startswith("<sip:0241234567@")
    assert "<sip:0912345678@" in invite.headers["to"]


async def test_a_call_that_nobody_hears_may_be_sent_to_another_node(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer
) -> None:
    book.set(trunk_to(peer, 11))
    await client.pushing.keep_once(NODE)
    client.link.close()
    await _until(lambda: "td-in" not in asterisk.cli("ari show apps"))

    calling = await peer.call(("127.0.0.1", asterisk.sip_port), f"sip:1@127.0.0.1:{asterisk.sip_port}")

    assert await calling.status() == 503


@pytest.mark.parametrize("called", ["02473001234", "+842473001234", "s", "khach", "19001234"])
async def test_the_called_number_is_told_as_the_carrier_wrote_it(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer, called: str
) -> None:
    book.set(trunk_to(peer, 12))
    await client.pushing.keep_once(NODE)

    calling = await peer.call(("127.0.0.1", asterisk.sip_port), f"sip:{called}@127.0.0.1:{asterisk.sip_port}")

    started = await client.event("StasisStart")
    assert started.args == ["12", called]
    assert started.channel is not None
    await client.link.ask("DELETE", f"channels/{started.channel.id}")
    await calling.status()


async def test_addresses_and_networks_of_a_carrier_are_followed(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer
) -> None:
    node = ("127.0.0.1", asterisk.sip_port)
    uri = f"sip:02473001234@127.0.0.1:{node[1]}"
    async with sip_peer(host="127.0.0.2") as other:
        book.set(trunk_to(peer, 13, match=("127.0.0.2", "10.0.0.0/8")))
        await client.pushing.keep_once(NODE)
        assert await (await peer.call(node, uri)).status() == 401
        calling = await other.call(node, uri)
        started = await client.event("StasisStart")
        assert started.channel is not None
        await client.link.ask("DELETE", f"channels/{started.channel.id}")
        await calling.status()

        book.set(trunk_to(peer, 13, match=("127.0.0.1/32",)))
        await client.pushing.keep_once(NODE)
        assert await (await other.call(node, uri)).status() == 401
        await peer.call(node, uri)
        started = await client.event("StasisStart")
        assert started.channel is not None
        await client.link.ask("DELETE", f"channels/{started.channel.id}")


async def test_a_name_is_looked_up_here_and_its_last_addresses_hold(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer
) -> None:
    found: dict[str, list[str]] = {}

    async def look_up(host: str) -> list[str]:
        if host not in found:
            raise OSError
        return found[host]

    pushing = Provisioner(client.link.ask, book, look_up=look_up)
    book.set(replace(trunk_to(peer, 14), host="sip.carrier.example"))
    book.set(trunk_to(peer, 15))
    await pushing.keep_once(NODE)
    shown = asterisk.cli("pjsip show identifies")
    assert "td15" in shown
    assert "td14" not in shown

    found["sip.carrier.example"] = ["127.0.0.9"]
    book.set(replace(trunk_to(peer, 14), host="sip.carrier.example"))
    await pushing.keep_once(NODE)
    assert "127.0.0.9/32" in asterisk.cli("pjsip show identifies")


async def test_an_address_that_two_trunks_name_is_the_older_ones_and_that_is_told_once(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    node = ("127.0.0.1", asterisk.sip_port)
    older = book.set(trunk_to(peer, 30))
    book.set(trunk_to(peer, 31, match=("127.0.0.0/16", "10.9.0.0/16")))
    await client.pushing.keep_once(NODE)

    async def trunk_of_a_call() -> str:
        calling = await peer.call(node, f"sip:1@127.0.0.1:{node[1]}")
        started = await client.event("StasisStart")
        assert started.channel is not None
        await client.link.ask("DELETE", f"channels/{started.channel.id}")
        await calling.status()
        return started.args[0]

    assert await trunk_of_a_call() == "30"
    assert "10.9.0.0/16" in asterisk.cli("pjsip show identifies")
    await client.pushing.keep_once(NODE)
    told = [one for one in caplog.records if "an older one" in one.message]
    assert [(vars(one)["trunk"], vars(one)["addresses"]) for one in told] == [(31, 1)]
    book.set(older, enabled=False)
    await client.pushing.keep_once(NODE)
    assert await trunk_of_a_call() == "31"


async def test_a_disabled_trunk_is_heard_no_more_and_again_when_it_is_enabled(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer
) -> None:
    node = ("127.0.0.1", asterisk.sip_port)
    trunk = book.set(trunk_to(peer, 16))
    await client.pushing.keep_once(NODE)
    book.set(trunk, enabled=False)
    await client.pushing.keep_once(NODE)
    assert await (await peer.call(node, f"sip:1@127.0.0.1:{node[1]}")).status() == 401

    book.set(trunk)
    await client.pushing.keep_once(NODE)
    await peer.call(node, f"sip:1@127.0.0.1:{node[1]}")

    started = await client.event("StasisStart")
    assert started.channel is not None
    await client.link.ask("DELETE", f"channels/{started.channel.id}")


async def test_what_an_earlier_keeper_left_of_a_trunk_that_is_gone_is_taken_away(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provision, "LEAVING_S", 0.0)
    book.set(trunk_to(peer, 17, username="u", password="p"))
    await client.pushing.keep_once(NODE)
    book.remove(17)

    await Provisioner(client.link.ask, book).keep_once(NODE)

    assert "td17" not in asterisk.cli("pjsip show identifies")
    assert "td17" not in asterisk.cli("pjsip show endpoints")
    assert "td17" not in asterisk.cli("pjsip show auths")


async def test_a_call_that_is_up_ends_as_it_should_though_its_trunk_is_gone(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provision, "LEAVING_S", 0.0)
    peer.answers_with = 200
    book.set(trunk_to(peer, 18))
    await client.pushing.keep_once(NODE)
    await client.dial(18, "0912345678", "out-18")
    await client.event("StasisStart")
    book.remove(18)
    await client.pushing.keep_once(NODE)
    assert "td18" not in asterisk.cli("pjsip show endpoints")

    [invite] = peer.requests("INVITE")
    assert await peer.bye(invite, ("127.0.0.1", asterisk.sip_port)) == 200

    await client.ended("out-18")


# --------------------------------------------------------------------------- registrations


async def _registered(peer: Peer, asterisk: AsteriskInstance) -> None:
    """The carrier has said so, and the node has heard it."""
    await peer.until(lambda: peer.registered)
    await _until(lambda: "Registered" in asterisk.cli("pjsip show registrations"))


async def test_a_trunk_registers_at_once_and_its_calls_are_known_by_to(
    client: Client, book: Book, asterisk: AsteriskInstance
) -> None:
    async with sip_peer("khach", PASSWORD) as peer, sip_peer(host="127.0.0.3") as other_server:
        book.set(trunk_to(peer, 20, username="khach", password=PASSWORD, register=True))
        await client.pushing.keep_once(NODE)

        # Asterisk waits for a second before the first try, and by default for up to ten more.
        async with asyncio.timeout(6):
            await peer.until(lambda: peer.registered)

        [(contact, seconds)] = peer.registered.items()
        assert (seconds, "khach@127.0.0.1" in contact) == (pjsip.EXPIRY_S, True)
        address = contact.removeprefix("<").removesuffix(">")
        calling = await other_server.call(
            ("127.0.0.1", asterisk.sip_port), address, to=f"sip:02473001234@{peer.host}"
        )
        started = await client.event("StasisStart")
        assert started.args == ["20", "02473001234"]
        assert started.channel is not None
        await client.link.ask("DELETE", f"channels/{started.channel.id}")
        await calling.status()


async def test_the_account_is_from_user_where_the_name_for_digest_is_an_address(
    client: Client, book: Book
) -> None:
    name = "+842473001234@ims.vn"
    async with sip_peer(name, PASSWORD) as peer:
        more = {"from_user": "+842473001234", "from_domain": "ims.vn"}
        book.set(trunk_to(peer, 28, username=name, password=PASSWORD, register=True, **more))
        await client.pushing.keep_once(NODE)

        await peer.until(lambda: peer.registered)

        assert "<sip:+842473001234@ims.vn>" in peer.requests("REGISTER")[-1].headers["to"]
        assert "sip:+842473001234@127.0.0.1" in next(iter(peer.registered))


async def test_two_accounts_of_one_carrier_are_told_apart_by_their_registrations(
    client: Client, book: Book, asterisk: AsteriskInstance
) -> None:
    async with sip_peer("khach", PASSWORD) as peer:
        for trunk_id in (26, 27):
            book.set(trunk_to(peer, trunk_id, username="khach", password=PASSWORD, register=True))
        await client.pushing.keep_once(NODE)
        await peer.until(lambda: len(peer.registered) == 2)

        called = []
        for contact in peer.registered:
            address = contact.removeprefix("<").removesuffix(">")
            calling = await peer.call(("127.0.0.1", asterisk.sip_port), address, to="sip:02473001234@a")
            started = await client.event("StasisStart")
            called.append(started.args[0])
            assert started.channel is not None
            await client.link.ask("DELETE", f"channels/{started.channel.id}")
            await calling.status()
        assert sorted(called) == ["26", "27"]


async def test_a_wrong_password_is_mended_by_a_change(client: Client, book: Book) -> None:
    async with sip_peer("khach", PASSWORD) as peer:
        trunk = book.set(trunk_to(peer, 21, username="khach", password="wrong", register=True))
        await client.pushing.keep_once(NODE)
        await peer.until(lambda: len(peer.requests("REGISTER")) > 1)
        assert not peer.registered

        book.set(replace(trunk, password=PASSWORD))
        await client.pushing.keep_once(NODE)

        await peer.until(lambda: peer.registered)


async def test_a_new_keeper_leaves_a_registration_that_stands_alone(
    client: Client, book: Book, asterisk: AsteriskInstance
) -> None:
    async with sip_peer("khach", PASSWORD) as peer:
        trunk = book.set(trunk_to(peer, 22, username="khach", password=PASSWORD, register=True))
        await client.pushing.keep_once(NODE)
        await _registered(peer, asterisk)
        asked = len(peer.requests("REGISTER"))

        later = Provisioner(client.link.ask, book)
        await later.keep_once(NODE)
        book.set(trunk)
        await later.keep_once(NODE)
        assert "Registered" in asterisk.cli("pjsip show registrations")
        assert len(peer.requests("REGISTER")) == asked

        book.set(replace(trunk, register=False))
        await later.keep_once(NODE)
        await peer.until(lambda: not peer.registered)
        assert "td22" not in asterisk.cli("pjsip show registrations")


async def test_a_registration_moves_away_when_it_is_another_nodes(
    client: Client, book: Book, asterisk: AsteriskInstance
) -> None:
    async with sip_peer("khach", PASSWORD) as peer:
        book.set(trunk_to(peer, 23, username="khach", password=PASSWORD, register=True))
        await client.pushing.keep_once(NODE)
        await _registered(peer, asterisk)

        book.registering.clear()
        await client.pushing.keep_once(NODE)

        await peer.until(lambda: not peer.registered)


async def test_a_removed_trunk_leaves_the_carrier_in_good_order(
    client: Client, book: Book, asterisk: AsteriskInstance
) -> None:
    async with sip_peer("khach", PASSWORD) as peer:
        book.set(trunk_to(peer, 24, username="khach", password=PASSWORD, register=True))
        await client.pushing.keep_once(NODE)
        await _registered(peer, asterisk)

        book.remove(24)
        await client.pushing.keep_once(NODE)

        await peer.until(lambda: not peer.registered)


async def test_after_a_restart_of_the_node_everything_is_there_again(
    asterisk: AsteriskInstance, book: Book
) -> None:
    async with sip_peer("khach", PASSWORD) as peer:
        book.set(trunk_to(peer, 29, username="khach", password=PASSWORD, register=True))
        for _ in range(2):
            peer.registered.clear()
            client = await client_on(asterisk, book)
            await client.pushing.keep_once(NODE)
            await peer.until(lambda: peer.registered)
            await client.dial(29, "0912345678", "out-29")
            assert (await client.ended("out-29")).tech_cause == 486
            client.link.abort()
            asterisk.kill()
            asterisk.start()


async def test_a_keeper_follows_changes_until_it_is_told_to_stop(
    client: Client, book: Book, asterisk: AsteriskInstance, peer: Peer
) -> None:
    keeping = asyncio.create_task(client.pushing.keep(NODE))
    trunk = book.set(trunk_to(peer, 25))
    await _until(lambda: "td25" in asterisk.cli("pjsip show identifies"))
    book.set(trunk, enabled=False)
    await _until(lambda: "td25" not in asterisk.cli("pjsip show identifies"))

    keeping.cancel()

    assert isinstance((await asyncio.gather(keeping, return_exceptions=True))[0], asyncio.CancelledError)
