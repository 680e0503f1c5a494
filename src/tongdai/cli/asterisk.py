"""`tongdai asterisk`: nodes for real calls, and the files that an Asterisk needs to be one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import click

from tongdai.adapters.asterisk.dialplan import Listening, existing_files
from tongdai.cli.admin import Admin, open_admin, table
from tongdai.domain import routing
from tongdai.domain.routing.sip import is_host
from tongdai.kit.db import Tx

OURS = "tongdai"
"""The user of the REST interface, and the folder of our files beside Asterisk's own."""

MOST_NODES = 10_000
READABLE_BY_ITS_GROUP = 0o640
INCLUDE = """
Add one line to the end of each of Asterisk's own files of these names:

{includes}

and to [options] in asterisk.conf:

  live_dangerously = yes
  mindtmfduration = 0

The first lets calls note how they ended, for dialers that were away at that moment. With it, whoever has a
password of the REST interface may use every function of the dialplan, SHELL too where its module is loaded.
The second has keys told as they were pressed: stretched to 80 ms, those pressed faster are told twice.

Asterisk has to read them: chown -R root:asterisk {folder}
Then restart it once: systemctl restart asterisk. From then on trunks come and go without a restart or reload.

Make it a node: tongdai asterisk add-node NAME --files {folder} --max-channels 50
"""


OPEN = """The REST interface listens on {address}, without TLS: whoever reaches it and has the password can do
with the node what they like. Let the dialers alone reach it, over a private network.
"""
# What stands in them would end a line of Asterisk's files, or begin a remark or a section.
_USERNAME = re.compile(r"[A-Za-z0-9._-]{1,100}").fullmatch
_SECRET = re.compile(r"[\x21-\x3a\x3c-\x7e]{1,200}").fullmatch
_FILE = re.compile(r"/[A-Za-z0-9/._+@-]*").fullmatch


@click.group()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The data folder of a running demo or `serve`: its embedded database and, for a demo, its key.",
)
@click.pass_context
def asterisk(context: click.Context, data: Path | None) -> None:
    """Asterisk nodes, which real calls go over."""
    if context.invoked_subcommand != "config":
        context.obj = open_admin(context.obj, data)


@asterisk.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write them, as in /etc/asterisk/tongdai. Without it they are printed.",
)
@click.option("--username", default=OURS, show_default=True, help="Of the REST interface (ARI).")
@click.option("--password", help="Its password. Left out: the one that stands in the folder, or a new one.")
@click.option("--http-address", default="127.0.0.1", show_default=True, help="Of the REST interface.")
@click.option("--http-port", type=click.IntRange(1, 65_535), default=8088, show_default=True)
@click.option("--address", default="0.0.0.0", show_default=True, help="Of SIP and sound.")  # noqa: S104
@click.option(
    "--sip-port",
    type=click.IntRange(1, 65_535),
    default=5080,
    show_default=True,
    help="UDP and TCP. One that Asterisk does not use yet: our trunks have transports of their own.",
)
@click.option("--tls-port", type=click.IntRange(1, 65_535), help="For carriers that want TLS.")
@click.option("--certificate", default="", help="A PEM file on the node with a certificate and its key.")
@click.option("--external-address", default="", help="Where carriers find the node, when it is behind NAT.")
@click.option("--local-network", multiple=True, help="A network on this side of the NAT; may be repeated.")
def config(
    folder: Path | None,
    username: str,
    password: str | None,
    http_address: str,
    http_port: int,
    address: str,
    sip_port: int,
    tls_port: int | None,
    certificate: str,
    external_address: str,
    local_network: tuple[str, ...],
) -> None:
    """Write the few files that an existing Asterisk 22 includes to become a node.

    None of its own files is touched.
    """
    listening = Listening(
        username=username,
        password=password or _known_password(folder) or secrets.token_urlsafe(24),
        address=address,
        sip_port=sip_port,
        tls_port=tls_port,
        certificate=certificate,
        external_address=external_address,
        local_networks=local_network,
        http_address=http_address,
        http_port=http_port,
    )
    if faults := list(_faults(listening)):
        raise click.ClickException("\n".join(faults))
    if not ip_address(http_address).is_loopback:
        click.echo(OPEN.format(address=http_address), err=True)
    texts = existing_files(listening)
    if folder is None:
        for name, text in texts.items():
            click.echo(f"; ---- {OURS}/{name}\n{text}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _write(folder / name, text)
    width = max(map(len, texts))
    includes = "\n".join(f'  {name:<{width}}  #include "{folder.absolute() / name}"' for name in texts)
    click.echo(f"Wrote {', '.join(texts)} to {folder}.")
    click.echo(INCLUDE.format(includes=includes, folder=folder))


@asterisk.command()
@click.argument("name")
@click.option("--url", help="Of its HTTP server, without a path, as in http://127.0.0.1:8088.")
@click.option("--username", default=OURS, show_default=True, help="Of its REST interface (ARI).")
@click.option("--password", help="Asked for when it is left out.")
@click.option(
    "--files",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder that `tongdai asterisk config` wrote: address, username and password stand there.",
)
@click.option(
    "--sounds-path", help="Where the node finds our sounds. Left out: where they are on this machine."
)
@click.option("--max-channels", type=int, help="Calls at one time. Left out: no cap.")
@click.option("--max-cps", type=float, help="New calls per second, 0.01 to 10,000. Left out: no cap.")
@click.pass_obj
def add_node(
    self: Admin,
    name: str,
    url: str | None,
    username: str,
    password: str | None,
    files: Path | None,
    sounds_path: str | None,
    max_channels: int | None,
    max_cps: float | None,
) -> None:
    """An Asterisk that calls go over from now on. Prints its id."""
    if files is not None:
        read_url, username, read_password = _access(files)
        url, password = url or read_url, password or read_password
    secret = password or click.prompt("Password", hide_input=True)
    made = self.run(
        lambda tx: routing.add_node(
            tx,
            self.keyring(),
            name=name,
            url=(url or "http://127.0.0.1:8088").rstrip("/"),
            username=username,
            password=secret,
            sounds_path=sounds_path or str(_sounds(self)),
            max_channels=max_channels,
            max_cps=max_cps,
        )
    )
    click.echo(made.id)


@asterisk.command()
@click.pass_obj
def nodes(self: Admin) -> None:
    """All nodes: id, name, address, channels in use and their cap, and whether a dialer reaches it."""
    rows = []
    for node, status in self.run(_all_nodes):
        cap = "-" if node.max_channels is None else node.max_channels
        state = "kept" if status.kept else "not reached"
        rows.append((node.id, node.name, node.url, status.live, cap, state if node.enabled else "disabled"))
    table(rows)


@asterisk.command()
@click.argument("node_id", type=int)
@click.pass_obj
def remove_node(self: Admin, node_id: int) -> None:
    """Forget a node that has no calls."""
    self.run(lambda tx: routing.remove_node(tx, node_id))


async def _all_nodes(tx: Tx) -> list[tuple[routing.Node, routing.NodeStatus]]:
    found = await routing.list_nodes(tx, limit=MOST_NODES)
    return [(node, await routing.node_status(tx, node.id)) for node in found]


def _sounds(self: Admin) -> Path:
    """Where the dialers over this database keep sounds, when they run on this machine."""
    if self.data is not None and not self.settings.sounds_dir:
        return (self.data / "sounds").absolute()
    return self.settings.sounds_path.absolute()


def _faults(listening: Listening) -> Iterator[str]:
    """What Asterisk would read otherwise than it was meant, or not at all."""
    if not _USERNAME(listening.username) or listening.username == "general":
        yield "--username must be 1 to 100 Latin letters, digits, dots, hyphens and underscores, not general."
    if not _SECRET(listening.password):
        yield "--password must be 1 to 200 Latin letters, digits and signs, without spaces and semicolons."
    places = {"--address": listening.address, "--http-address": listening.http_address}
    yield from (f"{name} must be an IP address." for name, place in places.items() if not _is_address(place))
    if listening.external_address and not is_host(listening.external_address):
        yield "--external-address must be an IP address or a name."
    for network in listening.local_networks:
        if not _is_network(network):
            yield f"--local-network must be a network such as 10.0.0.0/8; {network!r} is none."
    if listening.certificate and not _FILE(listening.certificate):
        yield "--certificate must be an absolute path of Latin letters, digits and /._+@-."


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text)) and "%" not in text
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        return bool(ip_network(text))
    except ValueError:
        return False


def _write(path: Path, text: str) -> None:
    """Readable by the group too, which Asterisk's user belongs to; one of them holds a password."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=READABLE_BY_ITS_GROUP)
    draft.chmod(READABLE_BY_ITS_GROUP)
    draft.write_text(text)
    draft.replace(path)


def _known_password(folder: Path | None) -> str | None:
    """What an earlier run wrote, so that the node goes on to be known."""
    path = None if folder is None else folder / "ari.conf"
    if path is None or not path.exists():
        return None
    found = re.search(r"^password=(.+)$", path.read_text(), re.MULTILINE)
    return found and found[1]


def _access(folder: Path) -> tuple[str, str, str]:
    """Address, username and password of the REST interface."""
    try:
        http, ari = (folder / "http.conf").read_text(), (folder / "ari.conf").read_text()
    except OSError as error:
        raise click.ClickException(f"{folder} does not hold the files: {error.strerror}.") from error
    host, port = (_value(http, name) for name in ("bindaddr", "bindport"))
    user = re.search(r"^\[(?!general\])(.+)\]$", ari, re.MULTILINE)
    if user is None:
        raise click.ClickException(f"{folder / 'ari.conf'} names no user.")
    reached = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}", user[1], _value(ari, "password")


def _value(text: str, name: str) -> str:
    found = re.search(rf"^{name}=(.+)$", text, re.MULTILINE)
    if found is None:
        raise click.ClickException(f"The files do not say {name}.")
    return found[1]
