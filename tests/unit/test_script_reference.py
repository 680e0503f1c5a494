"""What the reference page of scripts shows, the parser takes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tongdai.domain.scripts import Result, parse_script
from tongdai.domain.scripts.model import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "scripts.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_reference_is_a_script(example: str) -> None:
    assert parse_script(example).steps


def test_every_kind_of_step_has_an_example() -> None:
    shown = {step["kind"] for example in EXAMPLES for step in msgspec.json.decode(example)["steps"].values()}
    assert shown == set(KINDS)
    assert all(f"### {kind}\n" in PAGE for kind in KINDS)


def test_every_result_is_explained() -> None:
    results = [value for name, value in vars(Result).items() if name.isupper()]
    assert results
    assert all(f"`{result}`" in PAGE for result in results)
