"""An app that has asked too often waits, and nobody else does."""

from __future__ import annotations

from tongdai.adapters.zaloapi.limits import WINDOW_S, Windows


def test_an_app_is_out_until_its_minute_is_over() -> None:
    windows = Windows()
    assert not windows.is_out(1, 100.0)
    windows.close(1, 100.0)
    assert windows.is_out(1, 100.0 + WINDOW_S - 1)
    assert not windows.is_out(1, 100.0 + WINDOW_S)


def test_one_app_s_limit_is_not_another_s() -> None:
    windows = Windows()
    windows.close(1, 100.0)
    windows.close(2, 130.0)
    assert not windows.is_out(3, 131.0)
    assert windows.is_out(1, 131.0)
    assert not windows.is_out(1, 161.0)
    assert windows.is_out(2, 161.0)
