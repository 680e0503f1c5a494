"""One request that imports 100,000 contacts, beside COPY of the same rows; and what memory it takes."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import psutil

from benchmarks.client import Connection, post
from benchmarks.figures import Figure, median_of
from benchmarks.limits import copy_rows
from benchmarks.stage import Bench, Stage, Tenant, import_path

CONTACTS = 100_000
REPETITIONS = 4
TARGET_MB = 300.0
_FIELDS = b'{"ho_ten":"Nguy\xe1\xbb\x85n V\xc4\x83n An","danh_xung":"anh","ma_don":"DH-204118"}'


async def measure(stage: Stage) -> list[Figure]:
    async with stage.database() as bench, bench.api() as (port, pid), bench.connection() as connection:
        tenant = await bench.tenant()
        ours, twin = await bench.campaign(tenant), await bench.campaign(tenant)
        await bench.analyze()
        client = await Connection(port).open()
        await client.send(post(import_path(ours, tenant), body(0, 1)))
        idle = psutil.Process(pid).memory_info().rss
        forget_peak(pid)
        imported: list[float] = []
        copied: list[float] = []
        for repetition in range(REPETITIONS + 1):
            request = post(import_path(ours, tenant), body(repetition + 1, CONTACTS))
            rows = await _rows(bench, tenant, twin, repetition + 1)
            stage.checkpoint()
            if repetition % 2:
                copied.append(await copy_rows(connection, rows))
            imported.append(await _import(client, request))
            if not repetition % 2:
                copied.append(await copy_rows(connection, rows))
        peak = peak_rss(pid)
        await client.close()
    # The first of each warms up: the table is empty and the server has not grown yet.
    return [
        Figure(
            name="import of 100,000 contacts in one request",
            value=CONTACTS / median_of(imported[1:]),
            unit="contacts/s",
            limit=CONTACTS / median_of(copied[1:]),
            limit_is="COPY of the same rows into the same table",
            target=0.5,
        ),
        Figure(
            name="server's memory for it, peak above idle",
            value=(peak - idle) / 1e6,
            unit="MB",
            sense="at most",
            target=TARGET_MB,
            note=f"idle {idle / 1e6:.0f} MB; the peak of {REPETITIONS + 1} imports one after another",
        ),
    ]


async def _import(client: Connection, request: bytes) -> float:
    began = time.perf_counter()
    answer = await client.send(request)
    took = time.perf_counter() - began
    accepted = len(msgspec.json.decode(answer)["results"])
    if accepted != CONTACTS:
        raise RuntimeError(f"{accepted} contacts were accepted")
    return took


def body(round_: int, contacts: int) -> bytes:
    """The body of an import; each round has numbers of its own."""
    fields = _FIELDS[1:]
    return (
        b'{"contacts":['
        + b",".join(
            b'{"phone_number":"%b",%b' % (_given(round_, at).encode(), fields) for at in range(contacts)
        )
        + b"]}"
    )


def _given(round_: int, at: int) -> str:
    # Spread over the numbers as people's are, and not in their order, which would spare the index work.
    return f"090{(round_ * CONTACTS + at) * 7_368_787 % 10_000_000:07d}"


async def _rows(bench: Bench, tenant: Tenant, campaign_id: int, round_: int) -> bytes:
    """The same contacts as rows of COPY, their ids drawn from the sequence beforehand."""
    ids = await bench.run(
        "SELECT nextval('call_ids') FROM generate_series(1, %(count)s)", {"count": CONTACTS}
    )
    owner = b"%d\t%d\t%d" % (tenant.account_id, campaign_id, tenant.user_id)
    rows = []
    for at, (call_id,) in enumerate(ids):
        given = _given(round_, at)
        rows.append(b"%d\t%b\t84%b\t%b\t%b\n" % (call_id, owner, given[1:].encode(), given.encode(), _FIELDS))
    return b"".join(rows)


def forget_peak(pid: int) -> None:
    """Begin to watch a process's peak of memory anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_rss(pid: int) -> int:
    """The most memory in bytes that a process held since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not tell a process's peak of memory")
