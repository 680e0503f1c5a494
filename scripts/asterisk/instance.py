"""An Asterisk of this checkout, in .asterisk/run: `make asterisk` and `make asterisk-stop`.

The environment may say ASTERISK_HTTP_PORT (8088), ASTERISK_SIP_PORT (5060) and ASTERISK_ADDRESS, where SIP
and sound are listened to (127.0.0.1: nobody but this machine; 0.0.0.0: all of its networks).
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from tongdai.adapters.asterisk.dialplan import Instance, Listening, folders, instance_files

CHECKOUT = Path(__file__).resolve().parents[2]
TREE = CHECKOUT / ".asterisk" / "tree"
FOLDER = CHECKOUT / ".asterisk" / "run"
PROGRAM = TREE / "bin" / "asterisk"
BOOT_S = 30.0
STARTED = """
{version} runs. Its REST interface: http://{http}; SIP: {sip}, UDP and TCP;
its log: {log}.

Make it a node of what runs in .data/demo (`make demo`), and see that a dialer has reached it:

  .venv/bin/tongdai asterisk --data .data/demo add-node here --files {etc} --max-channels 50
  .venv/bin/tongdai asterisk --data .data/demo nodes

Then a trunk to a carrier, or to a softphone that listens on this machine's port 5070:

  KEY=$({key})
  curl -s http://127.0.0.1:8080/v1/trunks -H "Authorization: Bearer $KEY" \\
    -H 'Content-Type: application/json' \\
    -d '{{"name": "softphone", "engine": "asterisk", "max_channels": 2, "max_cps": 1,
         "sip": {{"host": "127.0.0.1", "port": 5070}}}}'

docs/how-to/connect-a-trunk.md goes on from here. `make asterisk-stop` ends it, with every call that is up.
"""
KEY = 'python3 -c \'import json; print(json.load(open(".data/demo/credentials.json"))["native"]["api_key"])\''


def start() -> int:
    if subprocess.run([CHECKOUT / "scripts" / "asterisk" / "fetch.sh"], check=False).returncode:
        return 1
    listening = Listening(
        username="tongdai",
        password=_password(),
        address=os.environ.get("ASTERISK_ADDRESS") or "127.0.0.1",
        sip_port=int(os.environ.get("ASTERISK_SIP_PORT") or 5060),
        http_port=int(os.environ.get("ASTERISK_HTTP_PORT") or 8088),
    )
    if _says("core show uptime") is not None:
        print("It runs already, as it was configured when it was started.")
        listening = _written(listening)
    else:
        taken = _taken(listening)
        if taken:
            print(f"{taken} is taken. Choose another: make asterisk {taken.split('=')[0]}=…", file=sys.stderr)
            return 1
        _configure(listening)
        _boot()
    print(
        STARTED.format(
            version=(TREE / "version").read_text().strip(),
            http=f"{listening.http_address}:{listening.http_port}",
            sip=f"{listening.address}:{listening.sip_port}",
            log=(FOLDER / "log" / "messages").relative_to(CHECKOUT),
            etc=(FOLDER / "etc").relative_to(CHECKOUT),
            key=KEY,
        )
    )
    return 0


def stop() -> int:
    if _says("core stop now") is None:
        print("It does not run.")
        return 0
    deadline = time.monotonic() + BOOT_S
    while _says("core show uptime") is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    print("Stopped.")
    return 0


def _configure(listening: Listening) -> None:
    (modules,) = TREE.glob("root/usr/lib/*-linux-gnu*/asterisk/modules")
    data = TREE / "root" / "usr" / "share" / "asterisk"
    instance = Instance(folder=FOLDER, modules=modules, data=data, listening=listening)
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    for place in folders(instance):
        place.mkdir(parents=True, exist_ok=True)
    for name, text in instance_files(instance).items():
        (FOLDER / "etc" / name).write_text(text)


def _boot() -> None:
    """In the background, on its own when this ends."""
    run = ["sh", "-c", 'ulimit -n "$(ulimit -H -n)"; exec "$@"', "sh", *_asterisk(), "-f", "-n"]
    with (FOLDER / "log" / "output").open("wb") as output:
        process = subprocess.Popen(
            run, cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    deadline = time.monotonic() + BOOT_S
    while "fully booted" not in (_says("core waitfullybooted") or ""):
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"Asterisk does not start: {(FOLDER / 'log' / 'output').read_text(errors='replace')}")
        time.sleep(0.05)


def _says(command: str) -> str | None:
    """What its console prints; None: it does not run."""
    if not (FOLDER / "run" / "asterisk.ctl").exists():
        return None
    done = subprocess.run([*_asterisk(), "-rx", command], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout


def _asterisk() -> list[str]:
    return [str(PROGRAM), "-C", str(FOLDER / "etc" / "asterisk.conf")]


def _password() -> str:
    """The one that it had, so that a node that knows it goes on to be one."""
    written = FOLDER / "etc" / "ari.conf"
    known = re.search(r"^password=(.+)$", written.read_text(), re.MULTILINE) if written.exists() else None
    return known[1] if known else secrets.token_urlsafe(24)


def _written(listening: Listening) -> Listening:
    """With what it was told when it was started."""
    http = re.search(r"^bindport=(\d+)$", (FOLDER / "etc" / "http.conf").read_text(), re.MULTILINE)
    sip = re.search(r"^bind=(.+):(\d+)$", (FOLDER / "etc" / "pjsip.conf").read_text(), re.MULTILINE)
    assert http is not None
    assert sip is not None
    return replace(listening, http_port=int(http[1]), address=sip[1], sip_port=int(sip[2]))


def _taken(listening: Listening) -> str:
    wanted = (
        ("ASTERISK_HTTP_PORT", listening.http_address, listening.http_port, socket.SOCK_STREAM),
        ("ASTERISK_SIP_PORT", listening.address, listening.sip_port, socket.SOCK_DGRAM),
    )
    for name, address, port, kind in wanted:
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
            try:
                probe.bind((address, port))
            except OSError:
                return f"{name}={port}"
    return ""


if __name__ == "__main__":
    sys.exit(stop() if sys.argv[1:] == ["stop"] else start())
