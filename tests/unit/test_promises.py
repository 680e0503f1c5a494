"""The page of promises names tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "promises.md").read_text()
KEPT = tuple(range(1, 17))
SECTIONS = {
    int(number): body for number, body in re.findall(r"^## (\d+)\. .+?\n(.+?)(?=^## |\Z)", PAGE, re.M | re.S)
}
LINE = re.compile(r"^- `(tests/[\w/]+\.py)`: (.+)$", re.M)


def named(section: str) -> list[tuple[str, str]]:
    """(file, test) of all that a section names."""
    return [(path, test) for path, tests in LINE.findall(section) for test in re.findall(r"`(\w+)`", tests)]


def functions_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_that_is_kept_by_now_has_its_section() -> None:
    assert tuple(SECTIONS) == KEPT


@pytest.mark.parametrize("number", KEPT)
def test_every_test_that_is_named_for_a_promise_is_there(number: int) -> None:
    found = named(SECTIONS[number])
    assert len(found) >= 2
    missing = [(path, test) for path, test in found if test not in functions_in(path)]
    assert missing == []
    # A line that does not read as one names nothing, so nothing would be missing.
    assert SECTIONS[number].count("`test_") == len(found)
