"""What a process is wired with."""

from __future__ import annotations

from tongdai.bootstrap import build
from tongdai.settings import Settings


def test_the_apis_know_the_engines_that_the_dialer_has() -> None:
    platform = build(Settings(database_url="postgresql://nowhere", secret_key=bytes(range(32)).hex()))
    assert platform.services.engines == set(platform.engines()) != set()
