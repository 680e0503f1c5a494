"""`python -m benchmarks.run [figure …]`: measure, print the table, write benchmarks/results.json."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import uvloop

from benchmarks.figures import Figure, as_json, notes, table
from benchmarks.stage import Stage

MODULES = (
    "import_bulk",
    "import_single",
    "dialer_rate",
    "dialer_rules",
    "wallet",
    "latency",
    "pacing",
    "claim_depth",
    "export_depth",
    "webhook_rate",
    "webhook_hanging",
    "zalo_journeys",
    "zalo_refresh",
    "exchange_cost",
    "exchange_otp",
    "exchange_sound",
    "exchange_nodes",
    "exchange_rate",
)
RESULTS = Path(__file__).parent / "results.json"


async def measure(names: Sequence[str]) -> tuple[list[Figure], list[str]]:
    """Each module's figures, on one database server; and the modules that could not be measured."""
    figures: list[Figure] = []
    broken: list[str] = []
    with Stage() as stage:
        for name in names:
            began = time.monotonic()
            print(f"{name} …", file=sys.stderr, flush=True)
            try:
                figures += await importlib.import_module(f"benchmarks.{name}").measure(stage)
            except Exception:
                # What broke one must not cost the minutes of the others.
                traceback.print_exc()
                broken.append(name)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures, broken


def machine() -> dict[str, object]:
    """What the figures were measured on; nothing that names it."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def main(arguments: Sequence[str]) -> int:
    unknown = sorted(set(arguments) - set(MODULES))
    if unknown:
        print(f"no such figure: {', '.join(unknown)}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    names = [name for name in MODULES if not arguments or name in arguments]
    began = datetime.now(UTC)
    load_before = psutil.getloadavg()[0]
    figures, broken = uvloop.run(measure(names))
    print(table(figures))
    print()
    print("\n".join(notes(figures)))
    results = {
        "date": began.isoformat(timespec="seconds"),
        "machine": machine(),
        "load_before": round(load_before, 2),
        "broken": broken,
        "figures": [as_json(one) for one in figures],
    }
    if not arguments:  # a part must not pass for the whole
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
    if broken:
        print(f"could not be measured: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
