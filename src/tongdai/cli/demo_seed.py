"""What the demo holds: two tenants with everything that a first try needs, made through the services."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from tongdai.cli.demo_vbot import VBot, lines_of, with_vbot
from tongdai.cli.demo_zalo import CALLBACK, ZaloParts, with_zalo
from tongdai.domain import accounts, campaigns, contacts, inbound, routing, scripts
from tongdai.domain.accounts import Account, PasswordHash, Role, User
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx
from tongdai.kit.private_files import write_private

AICALLCENTER = "aicallcenter"
KEPT = "tenants.json"
"""Where a demo keeps its credentials, in its data folder."""
CHANNELS = 100
CALLS_PER_SECOND = 50.0
NETWORKS = ("viettel", "vinaphone", "mobifone", "vietnamobile", "gmobile", "fixed")
"""A hotline for each, so that a number of any network is called from its own."""

MENU = {
    "start": "menu",
    "steps": {
        "menu": {
            "kind": "gather",
            "prompt": "Xin chào. Bấm 1 để nghe giờ mở cửa, bấm 2 để lại lời nhắn.",
            "on": {"1": "hours", "2": "message"},
        },
        "hours": {"kind": "say", "text": "Cửa hàng mở cửa từ 8 giờ đến 21 giờ hằng ngày."},
        "message": {"kind": "record", "max_s": 60},
    },
}
"""What callers of the first hotline hear."""
SCRIPTS = ("order_reminder", "payment_notice", "voice_otp")
Kind = Literal["voice", "otp"]


class Key(msgspec.Struct, frozen=True):
    api_key: str


class AiCallCenter(msgspec.Struct, frozen=True):
    secret_key: str
    campaign_id: int
    stopped_campaign_id: int
    otp_campaign_id: int
    stopped_otp_campaign_id: int


class Line(msgspec.Struct, frozen=True):
    """A hotline that answers."""

    trunk_id: int
    number: str


class Tenant(msgspec.Struct, frozen=True):
    native: Key
    aicallcenter: AiCallCenter
    vbot: VBot | None = None
    """None: made by a version that knew nothing of VBot, and its API key was revoked since."""
    zalo: ZaloParts | None = None
    """The same for Zalo."""
    line: Line | None = None
    """None: made by a version whose hotlines answered nobody."""

    def shown(self, base_url: str, emulator_url: str) -> dict[str, Any]:
        """By vendor, as the credentials file has it."""
        zalo = self.zalo
        redirect_uri = base_url + CALLBACK
        return {
            "native": self.native,
            "interits": zalo and Key(zalo.interits_key),
            "sencloud": zalo and msgspec.structs.asdict(zalo.sencloud) | {"redirect_uri": redirect_uri},
            "vbot": self.vbot,
            "aicallcenter": self.aicallcenter,
            "zalo": zalo and zalo.zalo.shown(emulator_url),
        }


class Credentials(msgspec.Struct, frozen=True):
    """What opens the demo. Kept in its data folder, because the database holds keys only as hashes."""

    admin: Key
    demo: Tenant
    other: Tenant

    def as_file(self, base_url: str, emulator_url: str) -> bytes:
        """The JSON that `tongdai demo --credentials FILE` promises."""
        shown = {
            "base_url": base_url,
            "admin": self.admin,
            **self.demo.shown(base_url, emulator_url),
            "other_tenant": self.other.shown(base_url, emulator_url),
        }
        return msgspec.json.format(msgspec.json.encode(shown), indent=2)

    def at_zalo(self) -> list[tuple[Tenant, ZaloParts]]:
        """Those of the tenants that are there."""
        return [(tenant, tenant.zalo) for tenant in (self.demo, self.other) if tenant.zalo]


async def seeded(db: Database, keyring: Keyring, kept: Path) -> Credentials:
    """The demo's credentials: those kept from before when they still open this database, else new ones.

    Secret keys are those of now: whoever runs the platform may have rotated them since they were kept.
    Tenants of a version before get what they lack, and keep what they have.

    The file is written before the commit: a crash between the two leaves a file that opens nothing, and is
    replaced at the next start; the other order would leave tenants that nobody can open.
    """
    before = _read(kept)
    if before is not None:
        async with db.transaction() as tx:
            if await accounts.authenticate_key(tx, before.admin.api_key) is not None:
                return await _renewed(tx, keyring, kept, before)
    # VBot's part gives them another, which is told.
    passwords = [await accounts.hash_password(secrets.token_urlsafe(24)) for _ in range(2)]
    async with db.transaction() as tx:
        made = Credentials(
            admin=Key((await accounts.issue_platform_key(tx, "demo")).key),
            demo=await _tenant(tx, keyring, "Cửa hàng Sao Mai", "demo@example.vn", passwords[0], "demo"),
            other=await _tenant(tx, keyring, "Phòng khám An Bình", "other@example.vn", passwords[1], "other"),
        )
        write_private(kept, msgspec.json.encode(made).decode())
    return made


def _read(kept: Path) -> Credentials | None:
    try:
        return msgspec.json.decode(kept.read_bytes(), type=Credentials)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


async def _renewed(tx: Tx, keyring: Keyring, kept: Path, before: Credentials) -> Credentials:
    """`before` with the secret keys of now and all that this version has, which is kept."""
    demo = await _present(tx, keyring, before.demo, "demo")
    other = await _present(tx, keyring, before.other, "other")
    now = Credentials(before.admin, demo, other)
    if now != before:
        write_private(kept, msgspec.json.encode(now).decode())
    return now


async def _present(tx: Tx, keyring: Keyring, tenant: Tenant, shop: str) -> Tenant:
    """A tenant whose API key was revoked stays as it was: nothing else says whose it is."""
    owner = await accounts.authenticate_key(tx, tenant.native.api_key)
    if owner is None:
        return tenant
    secret = await accounts.reveal_client_secret(tx, keyring, owner.account_id, owner.user_id, AICALLCENTER)
    present = msgspec.structs.replace(tenant.aicallcenter, secret_key=secret)
    account = await accounts.get_account(tx, owner.account_id)
    user = await accounts.get_user(tx, owner.account_id, owner.user_id)
    vbot = tenant.vbot
    if vbot is None:
        hotlines = await lines_of(tx, account) or await _lines(tx, account)
        vbot = await with_vbot(tx, account, user, hotlines, datetime.now(UTC))
    zalo = tenant.zalo or await with_zalo(tx, keyring, account, user, shop)
    return msgspec.structs.replace(tenant, aicallcenter=present, vbot=vbot, zalo=zalo)


async def _tenant(
    tx: Tx, keyring: Keyring, name: str, email: str, password: PasswordHash, shop: str
) -> Tenant:
    account = await accounts.create_account(tx, name)
    user = await accounts.create_user(
        tx, account.id, email=email, name=name, role=Role.OWNER, password=password
    )
    key = await accounts.issue_api_key(tx, account.id, user.id, "demo")
    secret = await accounts.issue_client_secret(tx, keyring, account.id, user.id, AICALLCENTER)
    hotlines = await _lines(tx, account)
    line = await _answering(tx, account, hotlines[0])
    script_ids = {
        script: (await scripts.create_script(tx, account.id, script, scripts.demo_scripts()[script])).id
        for script in SCRIPTS
    }
    plan: list[tuple[str, Kind, int, bool]] = [
        ("Nhắc đơn hàng", "voice", script_ids["order_reminder"], True),
        ("Nhắc đơn hàng (đã dừng)", "voice", script_ids["order_reminder"], False),
        ("Mã OTP", "otp", script_ids["voice_otp"], True),
        ("Mã OTP (đã dừng)", "otp", script_ids["voice_otp"], False),
    ]
    made = [await _campaign(tx, account, user, hotlines, *one) for one in plan]
    vbot = await with_vbot(tx, account, user, hotlines, datetime.now(UTC))
    zalo = await with_zalo(tx, keyring, account, user, shop)
    return Tenant(Key(key.key), AiCallCenter(secret, *made), vbot, zalo, line)


async def _lines(tx: Tx, account: Account) -> list[int]:
    trunk = await routing.create_trunk(
        tx, account.id, name="Sandbox", engine="sandbox", max_channels=CHANNELS, max_cps=CALLS_PER_SECOND
    )
    made = [
        await routing.create_hotline(
            tx,
            account.id,
            number=f"0247300{account.id % 100:02d}{at:02d}",
            trunk_id=trunk.id,
            network=network,
        )
        for at, network in enumerate(NETWORKS, start=1)
    ]
    return [hotline.id for hotline in made]


async def _answering(tx: Tx, account: Account, hotline_id: int) -> Line:
    """Has a hotline answer with a menu."""
    script = await scripts.create_script(tx, account.id, "Tổng đài", MENU)
    version = await inbound.answering_script(tx, account.id, script.id)
    hotline = await routing.update_hotline(
        tx, account.id, hotline_id, inbound_script_id=script.id, inbound_script_version=version
    )
    return Line(hotline.trunk_id, contacts.shown(hotline.number))


async def _campaign(
    tx: Tx,
    account: Account,
    user: User,
    hotline_ids: list[int],
    name: str,
    kind: Kind,
    script_id: int,
    running: bool,
) -> int:
    """Dials at every hour of every day and tries each number once: no schedule, no retries."""
    made = await campaigns.create_campaign(
        tx,
        account.id,
        user.id,
        name=name,
        kind=kind,
        purpose="otp" if kind == "otp" else "customer_care",
        script_id=script_id,
        hotline_ids=hotline_ids,
        config=campaigns.CampaignConfig(),
    )
    caller = accounts.Caller(account.id, user.id, user.role, "account")
    await campaigns.start_campaign(tx, caller, made.id)
    if not running:
        await campaigns.stop_campaign(tx, caller, made.id)
    return made.id
