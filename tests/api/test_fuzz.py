"""Whatever a client sends, by the document or against it, the answer is one that the document names.

The cases come from the OpenAPI document itself, and half of them name things that exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks
from tests import money
from tests.api.conftest import Api
from tests.api.shop import two_shops, with_zalo
from tests.api.world import World, build
from tests.factories import cast, joined
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import client_at, zalo_emulator

from tongdai.adapters.files import FileStorage
from tongdai.app import create_app
from tongdai.domain import accounts
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services

# The app's pool of connections draws random numbers too, on its own loop, while examples are drawn here.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies")

Case = schemathesis.Case[Any]
Operation = schemathesis.APIOperation[Any, Any, Any, Any]

BASE_URL = "http://tests"
EXAMPLES = 12
LONGEST_URL = 65_536  # that httpx sends
HELD = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
WITH_OUR_OWN_KEY = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
# Says what is wrong instead of refusing it.
JUDGES_ANYTHING = ("validateScript",)


@dataclass(frozen=True)
class Fuzzed:
    """The app on a loop of its own, and what it serves."""

    portal: BlockingPortal
    http: httpx.AsyncClient
    document: dict[str, Any]
    world: World
    owner_key: str
    platform_key: str
    names: dict[str, int]
    """Ids that exist, by the path parameter that takes them."""

    def send(self, case: Case) -> httpx.Response:
        platform = "Platform" in (case.operation.definition.raw.get("tags") or [])
        key = self.platform_key if platform else self.owner_key
        asked = requests.Request(**case.as_transport_kwargs(base_url=BASE_URL)).prepare()
        assume(len(str(asked.url)) <= LONGEST_URL)
        request = httpx.Request(
            str(asked.method),
            str(asked.url),
            headers={name: str(value) for name, value in asked.headers.items()},
            content=as_bytes(asked.body),
        )
        request.headers["Authorization"] = f"Bearer {key}"
        return self.portal.call(partial(self.http.send, request))


def as_bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else body or b""


@pytest.fixture
def fuzzed(database_url: str, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Iterator[Fuzzed]:
    stack = AsyncExitStack()

    async def start() -> tuple[Services, Fuzzed]:
        emulator = await stack.enter_async_context(zalo_emulator(two_shops()))
        client = await stack.enter_async_context(client_at(emulator.url))
        db = Database(database_url)
        await db.open()
        hinter = Hinter(db)
        await hinter.start()
        services = Services(
            db=db,
            keyring=keyring,
            clock=clock,
            hinter=hinter,
            storage=FileStorage(tmp_path / "files"),
            engines=frozenset({"sandbox", "asterisk"}),
            zalo=client,
        )
        app = create_app(services)
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE_URL)  # type: ignore[arg-type]
        people = await cast(db)
        async with joined(db) as tx:
            platform = await accounts.issue_platform_key(tx, "tests")
        owner = Api(http, people.owner, people.owner.api_key)
        world = await with_zalo(owner, await build(owner))
        paying = await money.payer(db, people.owner.account_id)
        names = asdict(world) | asdict(paying) | {"user_id": people.owner.user.id}
        document = app.openapi_schema.to_schema()
        return services, Fuzzed(portal, http, document, world, people.owner.api_key, platform.key, names)

    with start_blocking_portal() as portal:
        services, running = portal.call(start)
        yield running
        portal.call(running.http.aclose)
        portal.call(stack.aclose)
        portal.call(services.hinter.stop)
        portal.call(services.db.close)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_a_documented_one(fuzzed: Fuzzed, mode: GenerationMode) -> None:
    document = schemathesis.openapi.from_dict(fuzzed.document, config=WITH_OUR_OWN_KEY)
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == sum(len(item) for item in fuzzed.document["paths"].values())
    # What is deleted teaches nothing more, and a key that is revoked opens nothing more.
    for operation in sorted(operations, key=lambda one: one.method.lower() == "delete"):
        raw = operation.definition.raw
        if mode is GenerationMode.POSITIVE or raw.get("parameters") or raw.get("requestBody"):
            fuzz(fuzzed, operation, mode)


def fuzz(fuzzed: Fuzzed, operation: Operation, mode: GenerationMode) -> None:
    refuses = mode is GenerationMode.NEGATIVE and name_of(operation) not in JUDGES_ANYTHING
    held = [*HELD, checks.negative_data_rejection] if refuses else HELD

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), exists=st.booleans())
    def one_operation(case: Case, exists: bool) -> None:
        if exists and mode is GenerationMode.POSITIVE:
            case.path_parameters = {
                name: fuzzed.names.get(name, value) for name, value in (case.path_parameters or {}).items()
            }
        case.validate_response(fuzzed.send(case), checks=held)

    one_operation()


def name_of(operation: Operation) -> str:
    return str(operation.definition.raw["operationId"])
