"""Logging for the processes: one line per record, facts as `name=value`, personal data shortened."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

# What every LogRecord has; anything else on one came through `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

PERSONAL = frozenset({"number", "caller", "callee", "email", "name"})
"""Tagged fields of which a log shows the last three characters only."""

# What PostgreSQL adds to an error: the values of the row that was refused, people's numbers among them.
_VALUES = re.compile(
    r"\n[ |]*(?:DETAIL|CONTEXT):.*?(?=\n[ |+-]*(?:The above exception|During handling|Traceback)|\Z)",
    re.DOTALL,
)

_QUIET = ("procrastinate", "psycopg.pool", "asyncio")


class LineFormatter(logging.Formatter):
    """`2026-01-31T07:00:00.123Z INFO tongdai.x: message campaign_id=7 number=…001`."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback without what the database says of the values."""
        return _VALUES.sub("\n", super().formatException(ei)).rstrip()

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        facts = [
            f"{key}={_shown(key, value)}"
            for key, value in sorted(vars(record).items())
            if key not in _STANDARD and not key.startswith("_")
        ]
        head = f"{self.formatTime(record)} {record.levelname} {record.name}: {record.message}"
        return " ".join([head, *facts])


def configure(level: str) -> None:
    """Send the records of this process to stderr. `level` is a name in any case. For a process's start."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _shown(key: str, value: object) -> str:
    text = str(value)
    return f"…{text[-3:]}" if key in PERSONAL else text.replace("\n", " ")
