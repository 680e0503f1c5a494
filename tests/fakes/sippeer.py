"""A carrier's SIP server of a test's own: it registers, challenges, takes calls and places them (RFC 3261).

No sound: for what is said before a call and around it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

REALM = "carrier"
WAIT_S = 20.0

_PARAMETER = re.compile(r'(\w+)="?([^",]+)"?')


@dataclass(frozen=True)
class Message:
    """A request or an answer, as it came."""

    first: str
    headers: dict[str, str]
    """Names in small letters; of several headers of one name the first."""
    body: str
    text: str = field(repr=False, default="")

    @property
    def method(self) -> str:
        return self.first.split()[0]

    @property
    def uri(self) -> str:
        return self.first.split()[1]

    @property
    def status(self) -> int:
        return int(self.first.split()[1])


def read(data: bytes) -> Message:
    text = data.decode()
    head, _, body = text.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return Message(first, headers, body, text)


class Peer(asyncio.DatagramProtocol):
    """Listens on UDP. `password` None: whoever calls is let in."""

    def __init__(self, username: str = "", password: str | None = None) -> None:
        self.username = username
        self.password = password
        self.answers_with = 486
        """What it says to calls; 180, 183: and no more until `finish`; 200: it picks up. With a sound address
        where nobody is."""
        self.heard: list[Message] = []
        """Requests, in the order in which they came."""
        self.registered: dict[str, int] = {}
        """Seconds of each contact that registered."""
        self._answers: dict[str, asyncio.Queue[Message]] = {}
        self._came = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tag = secrets.token_hex(4)
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not data.strip():
            return
        message = read(data)
        if message.first.startswith("SIP/2.0"):
            waiting = self._answers.get(message.headers["call-id"])
            if waiting is not None:
                waiting.put_nowait(message)
            return
        again = any(one.text == message.text for one in self.heard)
        if not again:
            self.heard.append(message)
        self._answer(message, addr)
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._came:
            self._came.notify_all()

    def requests(self, method: str) -> list[Message]:
        return [one for one in self.heard if one.method == method]

    async def until(self, happened: Callable[[], object]) -> None:
        """Waits for what the requests that come bring about."""
        async with asyncio.timeout(WAIT_S), self._came:
            await self._came.wait_for(lambda: bool(happened()))

    # -------------------------------------------------------------- answering

    def _answer(self, request: Message, addr: tuple[str, int]) -> None:
        if request.method == "ACK":
            return
        if request.method == "REGISTER":
            self._answer_register(request, addr)
        elif request.method == "INVITE":
            self._answer_invite(request, addr)
        else:
            self._say(request, addr, "200 OK")

    def _answer_register(self, request: Message, addr: tuple[str, int]) -> None:
        if not self._is_let_in(request, "authorization"):
            self._say(request, addr, "401 Unauthorized", self._challenge("WWW-Authenticate"))
            return
        contact = request.headers["contact"]
        expires = int(request.headers.get("expires", "0"))
        if expires:
            self.registered[contact] = expires
        else:
            self.registered.clear()
        self._say(request, addr, "200 OK", f"Contact: {contact};expires={expires}\r\n")

    def _answer_invite(self, request: Message, addr: tuple[str, int]) -> None:
        if not self._is_let_in(request, "proxy-authorization"):
            self._say(
                request, addr, "407 Proxy Authentication Required", self._challenge("Proxy-Authenticate")
            )
        elif self.answers_with in (183, 200):
            contact = f"Contact: <sip:{self.host}:{self.port}>\r\n"
            self._say(request, addr, f"{self.answers_with} Sound", contact, self._sdp())
        else:
            self._say(request, addr, f"{self.answers_with} No")

    def finish(self, invite: Message, at: tuple[str, int], status: int) -> None:
        """The last word about a call that was kept waiting."""
        self._say(invite, at, f"{status} No")

    def _challenge(self, header: str) -> str:
        return f'{header}: Digest realm="{REALM}", nonce="{secrets.token_hex(8)}", algorithm=MD5\r\n'

    def _is_let_in(self, request: Message, header: str) -> bool:
        """RFC 2617 without qop, as it is challenged here."""
        if self.password is None:
            return True
        given = dict(_PARAMETER.findall(request.headers.get(header, "")))
        if not given:
            return False
        known = _md5(f"{self.username}:{REALM}:{self.password}")
        asked = _md5(f"{request.method}:{given['uri']}")
        return bool(given["response"] == _md5(f"{known}:{given['nonce']}:{asked}"))

    def _say(
        self, request: Message, addr: tuple[str, int], status: str, more: str = "", body: str = ""
    ) -> None:
        kept = "".join(
            f"{line}\r\n"
            for line in request.text.split("\r\n\r\n")[0].split("\r\n")[1:]
            if line.split(":")[0].strip().lower() in ("via", "from", "call-id", "cseq")
        )
        to = f"To: {request.headers['to']}" + ("" if "tag=" in request.headers["to"] else f";tag={self._tag}")
        kind = "Content-Type: application/sdp\r\n" if body else ""
        text = f"SIP/2.0 {status}\r\n{kept}{to}\r\n{more}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        self._transport.sendto(text.encode(), addr)

    def _sdp(self) -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\n"
            "m=audio 9 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        )

    # -------------------------------------------------------------- calling

    async def call(
        self, at: tuple[str, int], uri: str, *, to: str = "", caller: str = "0912345678"
    ) -> Calling:
        """Send an INVITE. `to`: the address in `To`, if it is another."""
        call_id = secrets.token_hex(8)
        answers = self._answers[call_id] = asyncio.Queue()
        calling = Calling(self, at, uri, to or uri, caller, call_id, answers)
        calling.send("INVITE", 1, self._sdp())
        return calling

    async def bye(self, invite: Message, at: tuple[str, int]) -> int:
        """End a call that came in and was picked up. The status of the answer."""
        call_id = invite.headers["call-id"]
        answers = self._answers[call_id] = asyncio.Queue()
        contact = re.findall(r"<([^>]+)>", invite.headers["contact"])[0]
        text = (
            f"BYE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{call_id}\r\n"
            f"From: {invite.headers['to']};tag={self._tag}\r\nTo: {invite.headers['from']}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 1 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        self._transport.sendto(text.encode(), at)
        async with asyncio.timeout(WAIT_S):
            return (await answers.get()).status


@dataclass(frozen=True)
class Calling:
    """A call that the peer places."""

    peer: Peer
    at: tuple[str, int]
    uri: str
    to: str
    caller: str
    call_id: str
    answers: asyncio.Queue[Message]

    def send(self, method: str, cseq: int, body: str = "") -> None:
        place = f"{self.peer.host}:{self.peer.port}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        text = (
            f"{method} {self.uri} SIP/2.0\r\nVia: SIP/2.0/UDP {place};branch=z9hG4bK{self.call_id}\r\n"
            f"From: <sip:{self.caller}@{place}>;tag=t{self.call_id}\r\nTo: <{self.to}>\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{place}>\r\n"
            f"Max-Forwards: 70\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.peer._transport.sendto(text.encode(), self.at)

    async def status(self) -> int:
        """The final one."""
        async with asyncio.timeout(WAIT_S):
            while (answer := await self.answers.get()).status < 200:
                pass
        self.send("ACK", 1)
        return answer.status


@asynccontextmanager
async def sip_peer(
    username: str = "", password: str | None = None, *, host: str = "127.0.0.1"
) -> AsyncIterator[Peer]:
    transport, peer = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Peer(username, password), local_addr=(host, 0)
    )
    try:
        yield peer
    finally:
        transport.close()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
