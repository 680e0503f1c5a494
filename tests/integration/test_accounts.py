from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import factories
from tests.factories import SECRET_KIND, Cast
from tests.fakes.clock import FakeClock

from tongdai.domain import accounts
from tongdai.domain.accounts import Caller, Role
from tongdai.domain.accounts.tokens import _read_token
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, DatabaseError, Tx
from tongdai.kit.errors import ForbiddenError

pytestmark = pytest.mark.anyio

PASSWORD = "một mật khẩu dài"


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


# ---------------------------------------------------------------- accounts and users


async def test_an_account_has_a_limits_row_of_its_own(tx: Tx) -> None:
    account = await accounts.create_account(tx, "Công ty A", max_channels=7, max_cps=2.5)
    cursor = await tx.execute("SELECT account_id, kind, max_channels, max_cps, live FROM limits")
    assert await cursor.fetchall() == [(account.id, "account", 7, 2.5, 0)]
    assert await accounts.get_account(tx, account.id) == account


@pytest.mark.parametrize("cap", [{"max_cps": 1e-300}, {"max_cps": 10_001.0}, {"max_channels": -1}])
async def test_an_account_has_no_cap_that_nothing_can_keep(tx: Tx, cap: dict[str, Any]) -> None:
    with pytest.raises(accounts.AccountInvalidError) as refused:
        await accounts.create_account(tx, "Công ty A", **cap)
    assert [path for path, _ in refused.value.facts["errors"]] == list(cap)  # type: ignore[attr-defined]


@pytest.mark.parametrize("cps", [0.0099, 10_001.0, float("nan"), float("inf")])
async def test_the_database_itself_holds_no_such_cap(tx: Tx, cps: float) -> None:
    with pytest.raises(DatabaseError, match="max_cps"):
        async with tx.transaction():
            await tx.execute("INSERT INTO limits (account_id, kind, max_cps) VALUES (1, 'trunk', %s)", (cps,))


@pytest.mark.parametrize("name", ["", "  ", "a" * 201, "a\x00b", "a\ud800", "a\nb"])
async def test_a_name_that_cannot_be_shown_is_refused(tx: Tx, name: str) -> None:
    with pytest.raises(accounts.AccountInvalidError):
        await accounts.create_account(tx, name)


async def test_an_unknown_account_has_no_users_and_no_projects(tx: Tx) -> None:
    with pytest.raises(accounts.AccountNotFoundError):
        await accounts.get_account(tx, 999)
    with pytest.raises(accounts.AccountNotFoundError):
        await accounts.create_user(
            tx, 999, email="a@b.vn", name="A", role=Role.OWNER, password=factories.PASSWORD_HASH
        )
    with pytest.raises(accounts.AccountNotFoundError):
        await accounts.create_project(tx, 999, code="A", name="A")


async def test_an_address_signs_in_to_one_account_only(tx: Tx, cast: Cast) -> None:
    with pytest.raises(accounts.EmailTakenError):
        await accounts.create_user(
            tx,
            cast.stranger.account_id,
            email=cast.owner.user.email.upper(),
            name="A",
            role=Role.VIEWER,
            password=factories.PASSWORD_HASH,
        )


@pytest.mark.parametrize("email", ["", "a", "@b", "a@", "a@\x00b", "a b@c.vn", "a" * 250 + "@b.vn"])
async def test_what_is_no_address_is_refused(tx: Tx, cast: Cast, email: str) -> None:
    with pytest.raises(accounts.AccountInvalidError):
        await accounts.create_user(
            tx,
            cast.owner.account_id,
            email=email,
            name="A",
            role=Role.VIEWER,
            password=factories.PASSWORD_HASH,
        )


async def test_a_user_is_found_in_their_account_only(tx: Tx, cast: Cast) -> None:
    assert await accounts.get_user(tx, cast.owner.account_id, cast.colleague.user.id) == cast.colleague.user
    with pytest.raises(accounts.UserNotFoundError):
        await accounts.get_user(tx, cast.stranger.account_id, cast.colleague.user.id)


async def test_a_project_code_is_taken_in_its_account_and_tells_nobody_elsewhere(tx: Tx, cast: Cast) -> None:
    project = await accounts.create_project(tx, cast.owner.account_id, code="TET", name="Tết")
    assert await accounts.get_project(tx, cast.owner.account_id, project.id) == project
    with pytest.raises(accounts.ProjectNotFoundError):
        await accounts.get_project(tx, cast.stranger.account_id, project.id)
    with pytest.raises(accounts.ProjectCodeTakenError):
        await accounts.create_project(tx, cast.colleague.account_id, code="TET", name="Tết nữa")
    theirs = await accounts.create_project(tx, cast.stranger.account_id, code="TET", name="Tết")
    assert await accounts.list_projects(tx, cast.stranger.account_id) == [theirs]
    assert await accounts.list_projects(tx, cast.owner.account_id) == [project]


# ---------------------------------------------------------------- passwords


async def test_a_password_opens_its_user_and_is_not_kept(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    user = await accounts.create_user(
        tx, account_id, email="Lan@example.vn", name="Lan", role=Role.VIEWER, password=PASSWORD
    )
    assert await accounts.verify_password(tx, "lan@EXAMPLE.vn", PASSWORD) == user
    assert await accounts.verify_password(tx, "lan@example.vn", PASSWORD + "!") is None
    cursor = await tx.execute("SELECT password_hash FROM users WHERE id = %s", (user.id,))
    row = await cursor.fetchone()
    assert row is not None
    assert row[0].startswith("$argon2id$")
    assert PASSWORD not in row[0]


@pytest.mark.parametrize("email", ["nobody@example.vn", "", "\x00", "\ud800", "a" * 10_000])
async def test_an_unknown_address_opens_nothing(tx: Tx, email: str) -> None:
    assert await accounts.verify_password(tx, email, PASSWORD) is None


@pytest.mark.parametrize("password", ["", "\x00", "\ud800", "a" * 1_000_000])
async def test_a_strange_password_opens_nothing(tx: Tx, cast: Cast, password: str) -> None:
    assert await accounts.verify_password(tx, cast.owner.user.email, password) is None


async def test_a_password_hashed_at_an_older_cost_is_hashed_anew_when_it_is_used(tx: Tx, cast: Cast) -> None:
    owner = cast.owner.user
    before = await _password_hash(tx, owner.id)
    assert await accounts.verify_password(tx, owner.email, factories.PASSWORD) == owner
    assert await _password_hash(tx, owner.id) != before
    assert await accounts.verify_password(tx, owner.email, factories.PASSWORD) == owner


async def test_a_changed_password_replaces_the_one_before(tx: Tx, cast: Cast) -> None:
    owner = cast.owner
    await accounts.change_password(tx, owner.account_id, owner.user.id, PASSWORD)
    assert await accounts.verify_password(tx, owner.user.email, PASSWORD) == owner.user
    assert await accounts.verify_password(tx, owner.user.email, factories.PASSWORD) is None
    with pytest.raises(accounts.UserNotFoundError):
        await accounts.change_password(tx, cast.stranger.account_id, owner.user.id, PASSWORD)


@pytest.mark.parametrize("password", ["", "1234567", "a" * 1025])
async def test_a_password_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(accounts.AccountInvalidError):
        await accounts.hash_password(password)


async def test_a_password_that_looks_like_a_hash_is_a_password(tx: Tx, cast: Cast) -> None:
    text = factories.PASSWORD_HASH.text
    await accounts.create_user(
        tx, cast.owner.account_id, email="h@example.vn", name="H", role=Role.VIEWER, password=text
    )
    assert await accounts.verify_password(tx, "h@example.vn", factories.PASSWORD) is None
    assert await accounts.verify_password(tx, "h@example.vn", text) is not None


# ---------------------------------------------------------------- roles and API keys


def test_a_role_covers_itself_and_those_below() -> None:
    covered = {(role, needed) for role in Role for needed in Role if role.covers(needed)}
    assert covered == {
        (Role.OWNER, Role.OWNER),
        (Role.OWNER, Role.OPERATOR),
        (Role.OWNER, Role.VIEWER),
        (Role.OPERATOR, Role.OPERATOR),
        (Role.OPERATOR, Role.VIEWER),
        (Role.VIEWER, Role.VIEWER),
    }


def test_a_caller_passes_up_to_their_role() -> None:
    caller = Caller(1, 1, Role.OPERATOR, "account")
    caller.require(Role.OPERATOR)
    with pytest.raises(ForbiddenError):
        caller.require(Role.OWNER)
    with pytest.raises(ForbiddenError):
        caller.require_platform()


async def test_a_key_acts_as_its_user(tx: Tx, cast: Cast) -> None:
    for person in (cast.owner, cast.colleague, cast.stranger):
        assert await accounts.authenticate_key(tx, person.api_key) == person.caller


async def test_a_key_is_not_kept_as_text(tx: Tx, cast: Cast) -> None:
    cursor = await tx.execute("SELECT api_keys::text FROM api_keys")
    assert cast.owner.api_key not in str(await cursor.fetchall())
    listed = await accounts.list_api_keys(tx, cast.owner.account_id)
    assert [key.user_id for key in listed] == [cast.owner.user.id, cast.colleague.user.id]
    assert cast.owner.api_key.startswith(listed[0].hint)


async def test_a_key_is_issued_for_users_of_the_account_only(tx: Tx, cast: Cast) -> None:
    with pytest.raises(accounts.UserNotFoundError):
        await accounts.issue_api_key(tx, cast.stranger.account_id, cast.owner.user.id, "theirs")


async def test_a_revoked_key_opens_nothing(tx: Tx, cast: Cast) -> None:
    issued = await accounts.issue_api_key(tx, cast.owner.account_id, cast.owner.user.id, "second")
    with pytest.raises(accounts.ApiKeyNotFoundError):
        await accounts.revoke_api_key(tx, cast.stranger.account_id, issued.id)
    assert await accounts.authenticate_key(tx, issued.key) == cast.owner.caller
    await accounts.revoke_api_key(tx, cast.owner.account_id, issued.id)
    assert await accounts.authenticate_key(tx, issued.key) is None
    assert await accounts.authenticate_key(tx, cast.owner.api_key) == cast.owner.caller
    with pytest.raises(accounts.ApiKeyNotFoundError):
        await accounts.revoke_api_key(tx, cast.owner.account_id, issued.id)


async def test_a_platform_key_is_no_tenant(tx: Tx, cast: Cast) -> None:
    issued = await accounts.issue_platform_key(tx, "administrator")
    caller = await accounts.authenticate_key(tx, issued.key)
    assert caller is not None
    caller.require_platform()
    with pytest.raises(ForbiddenError):
        caller.require(Role.VIEWER)
    assert (caller.account_id, caller.user_id) == (0, 0)
    with pytest.raises(accounts.ApiKeyNotFoundError):
        await accounts.revoke_api_key(tx, cast.owner.account_id, issued.id)
    await accounts.revoke_platform_key(tx, issued.id)
    assert await accounts.authenticate_key(tx, issued.key) is None


@pytest.mark.parametrize("key", ["", "td_", "td_x", "td_\x00", "td_\ud800", "td_" + "x" * 100_000, "Bearer"])
async def test_what_is_no_key_opens_nothing(tx: Tx, key: str) -> None:
    assert await accounts.authenticate_key(tx, key) is None


async def test_a_disabled_user_is_shut_out_of_every_door(
    tx: Tx, cast: Cast, keyring: Keyring, clock: FakeClock
) -> None:
    owner = cast.owner
    token = await accounts.issue_token(tx, keyring, clock, owner.secret, SECRET_KIND)
    with pytest.raises(accounts.UserNotFoundError):
        await accounts.disable_user(tx, cast.stranger.account_id, owner.user.id)
    await accounts.disable_user(tx, owner.account_id, owner.user.id)
    assert await accounts.authenticate_key(tx, owner.api_key) is None
    assert await accounts.authenticate_token(tx, keyring, clock, token, SECRET_KIND) is None
    assert await accounts.verify_password(tx, owner.user.email, factories.PASSWORD) is None
    with pytest.raises(accounts.SecretUnknownError):
        await accounts.issue_token(tx, keyring, clock, owner.secret, SECRET_KIND)
    assert await accounts.authenticate_key(tx, cast.colleague.api_key) == cast.colleague.caller


# ---------------------------------------------------------------- secrets and tokens


async def test_a_secret_is_stored_sealed_and_can_be_looked_up(tx: Tx, cast: Cast, keyring: Keyring) -> None:
    owner = cast.owner
    args = (tx, keyring, owner.account_id, owner.user.id, SECRET_KIND)
    assert await accounts.reveal_client_secret(*args) == owner.secret
    cursor = await tx.execute("SELECT client_secrets::text, sealed, lookup_hash FROM client_secrets")
    stored = str(await cursor.fetchall())
    assert owner.secret not in stored
    assert owner.secret.encode().hex() not in stored


async def test_a_secret_is_nobody_elses_to_see_or_change(tx: Tx, cast: Cast, keyring: Keyring) -> None:
    theirs = (tx, keyring, cast.stranger.account_id, cast.owner.user.id, SECRET_KIND)
    with pytest.raises(accounts.SecretNotFoundError):
        await accounts.reveal_client_secret(*theirs)
    with pytest.raises(accounts.SecretNotFoundError):
        await accounts.rotate_client_secret(*theirs)
    with pytest.raises(accounts.UserNotFoundError):
        await accounts.issue_client_secret(*theirs)


async def test_a_user_has_one_secret_of_a_kind(tx: Tx, cast: Cast, keyring: Keyring) -> None:
    owner = cast.owner
    with pytest.raises(accounts.SecretExistsError):
        await accounts.issue_client_secret(tx, keyring, owner.account_id, owner.user.id, SECRET_KIND)
    other = await accounts.issue_client_secret(tx, keyring, owner.account_id, owner.user.id, "another")
    assert other != owner.secret


async def test_a_token_names_its_user_and_does_not_expire(
    tx: Tx, cast: Cast, keyring: Keyring, clock: FakeClock
) -> None:
    token = await accounts.issue_token(tx, keyring, clock, cast.colleague.secret, SECRET_KIND)
    clock.advance(timedelta(days=3650))
    caller = await accounts.authenticate_token(tx, keyring, clock, token, SECRET_KIND)
    assert caller == cast.colleague.caller
    assert cast.colleague.secret not in str(jwt.decode(token, options={"verify_signature": False}))


async def test_a_token_with_a_life_ends_with_it(
    tx: Tx, cast: Cast, keyring: Keyring, clock: FakeClock
) -> None:
    life = timedelta(hours=1)
    token = await accounts.issue_token(tx, keyring, clock, cast.owner.secret, SECRET_KIND, life=life)
    clock.advance(life - timedelta(seconds=1))
    assert await accounts.authenticate_token(tx, keyring, clock, token, SECRET_KIND) == cast.owner.caller
    clock.advance(timedelta(seconds=1))
    assert await accounts.authenticate_token(tx, keyring, clock, token, SECRET_KIND) is None


async def test_a_new_token_does_not_void_the_one_before(
    tx: Tx, cast: Cast, keyring: Keyring, clock: FakeClock
) -> None:
    first = await accounts.issue_token(tx, keyring, clock, cast.owner.secret, SECRET_KIND)
    clock.advance(timedelta(seconds=5))
    second = await accounts.issue_token(tx, keyring, clock, cast.owner.secret, SECRET_KIND)
    for token in (first, second):
        assert await accounts.authenticate_token(tx, keyring, clock, token, SECRET_KIND) == cast.owner.caller


async def test_a_changed_secret_voids_its_tokens_at_once_and_nobody_elses(
    tx: Tx, cast: Cast, keyring: Keyring, clock: FakeClock
) -> None:
    owner, colleague = cast.owner, cast.colleague
    old = await accounts.issue_token(tx, keyring, clock, owner.secret, SECRET_KIND)
    untouched = await accounts.issue_token(tx, keyring, clock, colleague.secret, SECRET_KIND)
    changed = await accounts.rotate_client_secret(tx, keyring, owner.account_id, owner.user.id, SECRET_KIND)
    assert changed != owner.secret
    assert await accounts.authenticate_token(tx, keyring, clock, old, SECRET_KIND) is None
    with pytest.raises(accounts.SecretUnknownError):
        await accounts.issue_token(tx, keyring, clock, owner.secret, SECRET_KIND)
    new = await accounts.issue_token(tx, keyring, clock, changed, SECRET_KIND)
    assert await accounts.authenticate_token(tx, keyring, clock, new, SECRET_KIND) == owner.caller
    caller = await accounts.authenticate_token(tx, keyring, clock, untouched, SECRET_KIND)
    assert caller == colleague.caller


async def test_a_token_of_another_kind_is_refused(
    tx: Tx, cast: Cast, keyring: Keyring, clock: FakeClock
) -> None:
    owner = cast.owner
    secret = await accounts.issue_client_secret(tx, keyring, owner.account_id, owner.user.id, "another")
    with pytest.raises(accounts.SecretUnknownError):
        await accounts.issue_token(tx, keyring, clock, secret, SECRET_KIND)
    token = await accounts.issue_token(tx, keyring, clock, secret, "another")
    assert await accounts.authenticate_token(tx, keyring, clock, token, "another") == owner.caller
    assert await accounts.authenticate_token(tx, keyring, clock, token, SECRET_KIND) is None


async def test_a_token_made_elsewhere_is_refused(
    tx: Tx, cast: Cast, keyring: Keyring, clock: FakeClock
) -> None:
    key = keyring.signing_key(f"token:{SECRET_KIND}")
    claims = {"user": cast.owner.user.id, "kind": SECRET_KIND, "secret": 1, "iat": 1}
    assert await accounts.authenticate_token(
        tx, keyring, clock, jwt.encode(claims, key, "HS256"), SECRET_KIND
    ), "the forgeries below fail for what is wrong with them only"
    forged = [
        jwt.encode(claims, keyring.signing_key("token:another"), "HS256"),
        jwt.encode(claims, key * 2, "HS512"),
        jwt.encode(claims, key * 2, "HS256"),
        jwt.encode({**claims, "kind": "another"}, key, "HS256"),
        jwt.encode({**claims, "secret": 2}, key, "HS256"),
        jwt.encode({**claims, "secret": "1"}, key, "HS256"),
        jwt.encode({**claims, "user": None}, key, "HS256"),
        jwt.encode({"kind": SECRET_KIND}, key, "HS256"),
        _b64('{"alg":"none"}') + "." + _b64(json.dumps(claims)) + ".",
        _b64('{"alg":"None"}') + "." + _b64(json.dumps(claims)) + "." + _b64("x"),
        _b64('{"alg":' + "[" * 500 + "]" * 500 + "}") + ".e30.e30",
    ]
    for token in forged:
        assert await accounts.authenticate_token(tx, keyring, clock, token, SECRET_KIND) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.characters(exclude_categories=())) | st.text("eyJ.-_=A0", max_size=80))
def test_no_text_at_all_passes_for_a_token(keyring: Keyring, text: str) -> None:
    assert _read_token(keyring, SystemClock(), text, SECRET_KIND) is None


@pytest.mark.parametrize("moment", [datetime(2001, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)])
async def test_times_are_the_given_clocks_and_not_the_systems(
    tx: Tx, cast: Cast, keyring: Keyring, clock: FakeClock, moment: datetime
) -> None:
    clock.set(moment)
    life = timedelta(hours=1)
    token = await accounts.issue_token(tx, keyring, clock, cast.owner.secret, SECRET_KIND, life=life)
    assert await accounts.authenticate_token(tx, keyring, clock, token, SECRET_KIND) == cast.owner.caller


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


async def _password_hash(tx: Tx, user_id: int) -> str:
    cursor = await tx.execute("SELECT password_hash FROM users WHERE id = %s", (user_id,))
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])
