"""Whether a database has the schema of this code, asked without changing anything."""

from __future__ import annotations

from tongdai.kit import migrate
from tongdai.kit.db import Tx

# Null when nothing was ever migrated. No index: a look-up in the catalogue.
HAS_TABLE = "SELECT to_regclass('schema_migrations') IS NOT NULL"


async def schema_fault(connection: Tx) -> str | None:
    """None when the schema is current, else what is wrong with it."""
    known = await (await connection.execute(HAS_TABLE)).fetchone()
    if known is None or not known[0]:
        return "the database was never migrated"
    rows = await (await connection.execute(migrate.APPLIED)).fetchall()
    applied = [(version, sha256) for version, _, sha256 in rows]
    shipped = migrate.shipped()
    if applied == [(one.version, one.sha256) for one in shipped]:
        return None
    versions = {version for version, _ in applied}
    missing = [one.name for one in shipped if one.version not in versions]
    if missing:
        return f"migrations are missing: {', '.join(missing)}"
    return "the database was migrated by another version of tongdai"
