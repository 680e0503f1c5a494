"""An Asterisk with work of its own becomes a node by a few included files, and goes on with its work."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.asterisk.test_provision import NODE, Book, Client, client_on, trunk_to
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.ports import free_port
from tests.fakes.sippeer import sip_peer

from tongdai.cli import cli

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

OWN = {
    "http.conf": "[general]\nenabled=no\n",
    "ari.conf": "[general]\nenabled=no\n[other]\ntype=user\npassword=other\n",
    "pjsip.conf": """[transport-udp]
type=transport
protocol=udp
bind=127.0.0.1:{own_port}
[6001]
type=endpoint
context=from-internal
allow=!all,alaw
aors=6001
[6001]
type=aor
max_contacts=1
""",
    "sorcery.conf": ";\n",
    "extensions.conf": "[from-internal]\nexten => 100,1,Hangup()\n",
}


def config(*words: str) -> Result:
    return CliRunner().invoke(cli, ["asterisk", "config", *words])


@pytest.fixture(scope="module")
def existing(asterisk: AsteriskInstance) -> AsteriskInstance:
    """The module's instance as another product's, with our files included as the command says."""
    asterisk.kill()
    own_port = free_port(socket.SOCK_DGRAM)
    ours = asterisk.folder / "etc" / "tongdai"
    done = config(
        *("--dir", str(ours), "--username", asterisk.node.username, "--password", asterisk.node.password),
        *("--http-port", str(asterisk.http_port), "--address", "127.0.0.1"),
        *("--sip-port", str(asterisk.sip_port)),
    )
    assert done.exit_code == 0, done.output
    said = dict(line.split(maxsplit=1) for line in done.output.splitlines() if "#include" in line)
    assert said.keys() == OWN.keys()
    for name, text in OWN.items():
        own = text.replace("{own_port}", str(own_port))
        (asterisk.folder / "etc" / name).write_text(f"{own}\n{said[name]}\n")
    asterisk.start()
    return asterisk


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def client(existing: AsteriskInstance, book: Book) -> AsyncIterator[Client]:
    made = await client_on(existing, book)
    yield made
    made.link.close()


async def test_its_own_work_is_there_as_before(existing: AsteriskInstance) -> None:
    assert "6001" in existing.cli("pjsip show endpoints")
    assert "'100' =>" in existing.cli("dialplan show from-internal")
    assert "other" in existing.cli("ari show users")
    transports = existing.cli("pjsip show transports")
    assert all(name in transports for name in ("transport-udp", "td-udp", "td-tcp"))


async def test_calls_go_out_and_come_in_over_its_own_port(
    client: Client, book: Book, existing: AsteriskInstance
) -> None:
    async with sip_peer() as peer:
        book.set(trunk_to(peer, 1))
        await client.pushing.keep_once(NODE)
        await client.dial(1, "0912345678", "out-1")
        assert (await client.event("ChannelDestroyed")).tech_cause == 486

        calling = await peer.call(("127.0.0.1", existing.sip_port), f"sip:1900@127.0.0.1:{existing.sip_port}")

        started = await client.event("StasisStart")
        assert started.args == ["1", "1900"]
        assert started.channel is not None
        await client.link.ask("DELETE", f"channels/{started.channel.id}")
        await calling.status()


def test_what_is_printed_is_what_is_written_and_a_password_is_new_each_time(tmp_path: Path) -> None:
    printed = config().output
    written = tmp_path / "tongdai"
    assert config("--dir", str(written)).exit_code == 0

    for name in OWN:
        assert f"; ---- tongdai/{name}" in printed
    first = (written / "ari.conf").read_text()
    assert first.splitlines()[-2] not in printed
    assert all(oct((written / name).stat().st_mode & 0o777) == "0o640" for name in OWN)

    assert config("--dir", str(written), "--sip-port", "5090").exit_code == 0
    assert (written / "ari.conf").read_text() == first, "the node goes on to be known"
    assert ":5090" in (written / "pjsip.conf").read_text()
    assert len(list(written.iterdir())) == len(OWN)
