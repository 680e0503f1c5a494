"""A log line says what happened with its facts, and of a person no more than it needs."""

from __future__ import annotations

import logging

from tongdai.kit.logs import LineFormatter


def line(message: str, **facts: object) -> str:
    record = logging.makeLogRecord(
        {"name": "tongdai.x", "levelname": "INFO", "msg": message, "created": 0.0, **facts}
    )
    return LineFormatter().format(record)


def test_facts_follow_the_message() -> None:
    assert line("done", campaign_id=7) == "1970-01-01T00:00:00.000Z INFO tongdai.x: done campaign_id=7"


def test_numbers_names_and_addresses_are_shortened() -> None:
    shown = line("called", number="84912345001", email="an@example.vn", callee="84987654321")
    assert "84912345001" not in shown
    assert "number=…001" in shown
    assert "an@example" not in shown
    assert "84987654321" not in shown


def test_a_fact_cannot_begin_a_new_line() -> None:
    assert "\n" not in line("done", note="a\nb")
