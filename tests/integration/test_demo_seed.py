"""What the demo holds: made once, opened again, and extended where a version before had made less."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests import factories
from tests.factories import Cast, Person
from tests.fakes.zalo import ACCESS_TOKEN, client_at, zalo_emulator

from tongdai.cli.demo_seed import Tenant, seeded
from tongdai.cli.demo_vbot import FULL_WALLET, VBot
from tongdai.cli.demo_zalo import connect_oa, write_fixtures
from tongdai.domain import accounts, billing, campaigns, contacts, zalo
from tongdai.domain.campaigns import DeclaredField
from tongdai.domain.zalo import Bridge, OaState
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

BASE_URL = "http://127.0.0.1:1"
EMULATOR_URL = "http://127.0.0.1:2"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "tenants.json"


@pytest.fixture(autouse=True)
async def prefixes(db: Database) -> None:
    async with db.transaction() as tx:
        await contacts.load_default_prefixes(tx)


async def opens_for(tx: Tx, vbot: VBot | None, api_key: str) -> None:
    """The login is of the API key's user; the template can be called from, and paid for, at every hour."""
    assert vbot is not None
    user = await accounts.verify_password(tx, vbot.username, vbot.password)
    caller = await accounts.authenticate_key(tx, api_key)
    assert user is not None
    assert caller is not None
    assert (user.account_id, user.id) == (caller.account_id, caller.user_id)
    account = await accounts.get_account(tx, user.account_id)
    assert account.code == vbot.vbot_id
    project = await accounts.find_project(tx, account.id, vbot.project_code)
    assert project is not None
    template = await campaigns.get_template(tx, account.id, vbot.template_campaign_id)
    assert template.project_id == project.id
    assert template.config.fields == (DeclaredField("name"),)
    assert template.config.config.schedule is None
    assert template.config.hotline_ids
    now = datetime.now(UTC)
    till = (await billing.open_tills(tx, [account.id], now))[account.id]
    assert till.plan_valid
    assert till.available == FULL_WALLET
    for network in await contacts.routing_groups(tx):
        within, outside = till.quote(network, on_net=True), till.quote(network, on_net=False)
        assert within is not None
        assert outside is not None
        assert within.per_minute < outside.per_minute
    assert await billing.subscription_at(tx, account.id, now + timedelta(days=3650)) is not None


async def test_both_tenants_have_all_of_vbot_and_nothing_in_common(
    db: Database, keyring: Keyring, kept: Path
) -> None:
    made = await seeded(db, keyring, kept)
    async with db.transaction() as tx:
        for tenant in (made.demo, made.other):
            await opens_for(tx, tenant.vbot, tenant.native.api_key)
    ours, theirs = (shown_as(tenant.vbot) for tenant in (made.demo, made.other))
    assert not set(ours.values()) & set(theirs.values())
    shown = json.loads(made.as_file(BASE_URL, EMULATOR_URL))
    assert shown["vbot"] == ours
    assert shown["other_tenant"]["vbot"] == theirs
    assert ours.keys() == {"username", "password", "vbot_id", "project_code", "template_campaign_id"}


def content(kept: Path) -> bytes:
    return kept.read_bytes()


def write(kept: Path, made: dict[str, Any]) -> None:
    kept.write_text(json.dumps(made))


def shown_as(vbot: VBot | None) -> dict[str, Any]:
    assert vbot is not None
    return {name: getattr(vbot, name) for name in VBot.__struct_fields__}


async def test_a_second_start_changes_nothing(db: Database, keyring: Keyring, kept: Path) -> None:
    made = await seeded(db, keyring, kept)
    before = content(kept)
    assert await seeded(db, keyring, kept) == made
    assert content(kept) == before


# ---------------------------------------------------------------- a folder of a version before


async def old_tenant(tx: Tx, person: Person) -> dict[str, Any]:
    """What the version before made and kept of a tenant: an API key and four campaigns, no VBot."""
    hotline = await factories.hotline(tx, person.account_id, network="viettel")
    wanted: dict[str, tuple[campaigns.Kind, str]] = {
        "campaign_id": ("voice", "running"),
        "stopped_campaign_id": ("voice", "stopped"),
        "otp_campaign_id": ("otp", "running"),
        "stopped_otp_campaign_id": ("otp", "stopped"),
    }
    ids = {
        name: (await factories.campaign(tx, person, kind=kind, state=state, hotline_ids=[hotline.id])).id
        for name, (kind, state) in wanted.items()
    }
    return {
        "native": {"api_key": person.api_key},
        "aicallcenter": {"secret_key": person.secret, **ids},
    }


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
async def before(db: Database, cast: Cast, kept: Path) -> dict[str, Any]:
    async with db.transaction() as tx:
        admin = await accounts.issue_platform_key(tx, "demo")
        made = {
            "admin": {"api_key": admin.key},
            "demo": await old_tenant(tx, cast.owner),
            "other": await old_tenant(tx, cast.stranger),
        }
    write(kept, made)
    return made


async def test_tenants_of_the_version_before_get_vbot_and_keep_what_they_have(
    db: Database, keyring: Keyring, kept: Path, before: dict[str, Any], cast: Cast
) -> None:
    made = await seeded(db, keyring, kept)
    async with db.transaction() as tx:
        for tenant in (made.demo, made.other):
            await opens_for(tx, tenant.vbot, tenant.native.api_key)
        assert len(await accounts.list_accounts(tx)) == 2
        template = await campaigns.get_template(
            tx, cast.owner.account_id, shown_as(made.demo.vbot)["template_campaign_id"]
        )
        running = await campaigns.get_campaign(
            tx, cast.owner.account_id, before["demo"]["aicallcenter"]["campaign_id"]
        )
    assert list(template.config.hotline_ids) == running.hotline_ids
    shown = json.loads(made.as_file(BASE_URL, EMULATOR_URL))
    assert shown["aicallcenter"] == before["demo"]["aicallcenter"]
    assert shown["native"] == before["demo"]["native"]
    assert shown["admin"] == before["admin"]
    assert await seeded(db, keyring, kept) == made, "once extended, it stays as it is"


async def test_a_tenant_whose_key_was_revoked_stays_without_and_the_other_gets_it(
    db: Database, keyring: Keyring, kept: Path, before: dict[str, Any], cast: Cast
) -> None:
    async with db.transaction() as tx:
        for key in await accounts.list_api_keys(tx, cast.owner.account_id):
            if cast.owner.api_key.startswith(key.hint):
                await accounts.revoke_api_key(tx, cast.owner.account_id, key.id)
    made = await seeded(db, keyring, kept)
    assert (made.demo.vbot, made.demo.zalo) == (None, None)
    assert made.other.vbot is not None
    assert made.other.zalo is not None
    shown = json.loads(made.as_file(BASE_URL, EMULATOR_URL))
    assert shown["sencloud"] is shown["interits"] is shown["zalo"] is None


# ---------------------------------------------------------------- Zalo


async def sells_by_zalo(db: Database, tx: Tx, keyring: Keyring, tenant: Tenant) -> None:
    """Both vendors' keys and the app are of the API key's account."""
    assert tenant.zalo is not None
    now = datetime.now(UTC)
    owner = await accounts.authenticate_key(tx, tenant.native.api_key)
    sencloud = await accounts.authenticate_key(tx, tenant.zalo.sencloud.api_key)
    interits = await accounts.authenticate_vendor_key(db, keyring, "interits", tenant.zalo.interits_key, now)
    assert owner is not None
    assert sencloud is not None
    assert interits is not None
    assert (sencloud.account_id, sencloud.user_id) == (owner.account_id, owner.user_id)
    assert (interits.caller.account_id, interits.state) == (owner.account_id, accounts.KeyState.ACTIVE)
    [app] = await zalo.list_apps(tx, owner.account_id)
    assert str(app.app_id) == tenant.zalo.sencloud.app_id
    assert app.hook == tenant.zalo.zalo.hook
    assert app.has_webhook_secret


async def test_both_tenants_have_all_of_zalo_and_nothing_in_common(
    db: Database, keyring: Keyring, kept: Path
) -> None:
    made = await seeded(db, keyring, kept)
    async with db.transaction() as tx:
        for tenant in (made.demo, made.other):
            await sells_by_zalo(db, tx, keyring, tenant)
    shown = json.loads(made.as_file(BASE_URL, EMULATOR_URL))
    other = shown["other_tenant"]
    assert shown["interits"].keys() == {"api_key"}
    assert shown["sencloud"].keys() == {"api_key", "app_id", "app_secret", "redirect_uri"}
    assert shown["sencloud"]["redirect_uri"] == f"{BASE_URL}/zalo/callback"
    assert shown["zalo"].keys() == {
        "emulator_url",
        "oa_id",
        "unconnected_oa_id",
        "linked_phone",
        "unlinked_phone",
    }
    assert shown["zalo"]["emulator_url"] == EMULATOR_URL
    for part in ("interits", "sencloud", "zalo"):
        alike = set(shown[part].values()) & set(other[part].values())
        assert alike <= {EMULATOR_URL, f"{BASE_URL}/zalo/callback"}


async def test_tenants_of_the_version_before_get_zalo_once(
    db: Database, keyring: Keyring, kept: Path
) -> None:
    now = await seeded(db, keyring, kept)
    before = json.loads(content(kept))
    for name in ("demo", "other"):
        del before[name]["zalo"]
    write(kept, before)

    made = await seeded(db, keyring, kept)

    assert made.demo.vbot == now.demo.vbot
    assert made.demo.native == now.demo.native
    async with db.transaction() as tx:
        for tenant in (made.demo, made.other):
            await sells_by_zalo(db, tx, keyring, tenant)
    assert await seeded(db, keyring, kept) == made


async def test_the_emulator_is_told_of_both_tenants_at_the_address_of_now(
    db: Database, keyring: Keyring, kept: Path, tmp_path: Path
) -> None:
    made = await seeded(db, keyring, kept)
    file = tmp_path / "fixtures.json"

    write_fixtures(file, [(parts.sencloud, parts.zalo) for _, parts in made.at_zalo()], BASE_URL)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    async with zalo_emulator(json.loads(file.read_bytes())) as emulator:
        for _, parts in made.at_zalo():
            app = await emulator.change_app(int(parts.sencloud.app_id))
            assert app["callback_urls"] == [f"{BASE_URL}/zalo/callback"]
            assert app["webhook_url"] == f"{BASE_URL}/zalo/webhook/{parts.zalo.hook}"
            assert (app["secret"], app["webhook_secret"]) == (
                parts.sencloud.app_secret,
                parts.zalo.webhook_secret,
            )


async def test_the_official_account_is_connected_once_and_again_where_the_emulator_forgot_it(
    db: Database, keyring: Keyring, kept: Path, tmp_path: Path
) -> None:
    made = await seeded(db, keyring, kept)
    _, parts = made.at_zalo()[0]
    async with db.transaction() as tx:
        owner = await accounts.authenticate_key(tx, made.demo.native.api_key)
    assert owner is not None
    file = tmp_path / "fixtures.json"
    write_fixtures(file, [(one.sencloud, one.zalo) for _, one in made.at_zalo()], BASE_URL)
    told = json.loads(file.read_bytes())

    for _ in ("a first start", "another over an emulator that forgot everything"):
        async with zalo_emulator(told) as emulator, client_at(emulator.url) as client:
            bridge = Bridge(db, keyring, SystemClock(), client)
            await connect_oa(bridge, owner, parts, BASE_URL)
            asked = await emulator.requests(ACCESS_TOKEN)
            await connect_oa(bridge, owner, parts, BASE_URL)
            assert await emulator.requests(ACCESS_TOKEN) == asked
        async with db.transaction() as tx:
            oa = await zalo.get_oa(tx, owner.account_id, parts.zalo.facts.oa_id)
        assert oa.state is OaState.CONNECTED


async def test_who_grants_access_again_comes_back_to_where_the_demo_is_now(
    db: Database, keyring: Keyring, kept: Path, tmp_path: Path
) -> None:
    made = await seeded(db, keyring, kept)
    _, parts = made.at_zalo()[0]
    oa_id = parts.zalo.facts.oa_id
    async with db.transaction() as tx:
        owner = await accounts.authenticate_key(tx, made.demo.native.api_key)
    assert owner is not None
    moved = "http://127.0.0.1:3"
    file = tmp_path / "fixtures.json"
    write_fixtures(file, [(parts.sencloud, parts.zalo)], BASE_URL)

    async with zalo_emulator(json.loads(file.read_bytes())) as emulator, client_at(emulator.url) as client:
        bridge = Bridge(db, keyring, SystemClock(), client)
        await connect_oa(bridge, owner, parts, BASE_URL)
        await connect_oa(bridge, owner, parts, moved)
        url = await zalo.renew_permission(bridge, owner.account_id, owner.user_id, oa_id)

    assert parse_qs(urlsplit(url).query)["redirect_uri"] == [f"{moved}/zalo/callback"]
