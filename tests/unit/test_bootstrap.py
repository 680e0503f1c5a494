"""What a process is wired with."""

from __future__ import annotations

from tongdai.bootstrap import RENDERERS, build
from tongdai.domain.webhooks import FORMATS
from tongdai.settings import Settings


def test_the_apis_know_the_engines_that_the_dialer_has() -> None:
    platform = build(Settings(database_url="postgresql://nowhere", secret_key=bytes(range(32)).hex()))
    assert platform.services.engines == set(platform.engines()) != set()


def test_each_format_of_a_webhook_has_a_body() -> None:
    assert set(RENDERERS) == set(FORMATS)
