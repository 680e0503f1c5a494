"""What every test may ask for: a database of its own, and time, keys and transactions to go with it."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests import apps
from tests.fakes.asterisk import AsteriskInstance, NoAsteriskError, asterisk_instance, fetch
from tests.fakes.clock import FakeClock
from tests.fakes.postgres import Clones, PostgresForTests

from tongdai.kit.crypto import MASTER_BYTES, Keyring
from tongdai.kit.db import Database, Tx
from tongdai.kit.embedded import connection_url

TESTS = Path(__file__).parent
MARKED_IN = {"e2e": ("e2e",), "asterisk": ("asterisk", "engines")}
LONGEST = (
    "api/test_fuzz.py",
    "facades/vbot/test_fuzz.py",
    "facades/sencloud/test_fuzz.py",
    "api/test_zalo_hook.py",
    "integration/test_upgrade.py",
    "integration/test_app.py",
    "integration/test_crossing_storm.py",
    "integration/test_transfer_storm.py",
    "integration/test_dialer_races.py",
    "integration/test_incoming_calls.py",
    "integration/test_demo_seed.py",
    "integration/test_contact_files.py",
    "integration/test_espeak.py",
    "e2e/test_crashes.py",
    "e2e/test_demo.py",
    "e2e/test_ledger.py",
)
"""Files of few tests that take long: at the end of a run one worker would have one, and the other nothing."""
# How long an example takes says how busy the machine is.
settings.register_profile("tongdai", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tongdai")

SERVER = pytest.StashKey[PostgresForTests]()


def _server_of_this_run(config: pytest.Config) -> PostgresForTests:
    if SERVER not in config.stash:
        server = PostgresForTests()
        server.start()
        config.stash[SERVER] = server
    return config.stash[SERVER]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With xdist the controller owns the server, and each worker is told where it is."""
    node.workerinput["postgres_folder"] = str(_server_of_this_run(node.config).folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVER in config.stash:
        config.stash[SERVER].stop()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps marked tests where the Makefile looks for them, and gives workers the longest files first.

    Where no Asterisk can be fetched its tests are skipped, with a line of the summary for each file.

    With TONGDAI_TEST_ASTERISK=required they fail there.
    """
    for item in items:
        for marker, folders in MARKED_IN.items():
            if item.get_closest_marker(marker) and item.path.parent.name not in folders:
                raise pytest.UsageError(f"{item.nodeid}: tests marked {marker} belong to tests/{folders[0]}")
    if hasattr(config, "workerinput"):
        _longest_first(items)
    calling = [item for item in items if item.get_closest_marker("asterisk")]
    if calling and os.environ.get("TONGDAI_TEST_ASTERISK") != "required":
        try:
            fetch()
        except NoAsteriskError as error:
            for item in calling:
                item.add_marker(pytest.mark.skip(reason=str(error)))


def _longest_first(items: list[pytest.Item]) -> None:
    tests = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, int, str]:
        name = item.path.relative_to(TESTS).as_posix()
        return LONGEST.index(name) if name in LONGEST else len(LONGEST), -tests[item.path], name

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """What was read to find the tests stays until the end: nobody needs to search it for garbage again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    try:
        yield
    finally:
        apps.take_back()


@pytest.fixture(scope="session")
def postgres_folder(request: pytest.FixtureRequest) -> Path:
    """The data folder of the run's server, which is not durable."""
    told = getattr(request.config, "workerinput", {}).get("postgres_folder")
    return Path(told) if told else _server_of_this_run(request.config).folder


@pytest.fixture(scope="session")
def clones(postgres_folder: Path) -> Iterator[Clones]:
    made = Clones(postgres_folder)
    yield made
    made.close()


@pytest.fixture
def database_url(postgres_folder: Path, clones: Clones) -> Iterator[str]:
    """A migrated and empty database that this test has for itself."""
    name = clones.take()
    yield connection_url(postgres_folder, name)
    clones.give_back(name)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def tx(db: Database) -> AsyncIterator[Tx]:
    """A transaction that lasts as long as the test, five seconds at most, and is committed at its end."""
    async with db.transaction() as connection:
        yield connection


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(bytes(range(MASTER_BYTES)))


@pytest.fixture(scope="module")
def asterisk() -> Iterator[AsteriskInstance]:
    """A real Asterisk of this module's own. Its tests have the marker `asterisk`."""
    with asterisk_instance() as instance:
        yield instance
