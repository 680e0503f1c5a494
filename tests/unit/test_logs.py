"""A log line says what happened with its facts, and of a person no more than it needs."""

from __future__ import annotations

import logging
import sys

import pytest
from psycopg.errors import UniqueViolation

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


@pytest.mark.parametrize("group", [False, True])
def test_what_the_database_says_of_the_values_of_a_row_is_not_logged(group: bool) -> None:
    told = "duplicate key\nDETAIL:  Failing row contains (84912345001,\n\nLan).\nCONTEXT:  COPY x: 8491"
    try:
        try:
            raise UniqueViolation(told)
        except UniqueViolation as error:
            raise (ExceptionGroup("several", [error]) if group else RuntimeError("no call")) from error
    except Exception:
        shown = line("failed", exc_info=sys.exc_info())
    assert "8491" not in shown
    assert "Lan" not in shown
    assert shown.count("UniqueViolation: duplicate key") == 1 + group
    assert "several" in shown if group else "RuntimeError: no call" in shown
