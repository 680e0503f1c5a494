"""What is said for what is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tongdai.domain.prompts.speakable import speakable

CASES = [
    tuple(part.strip() for part in line.split("=>"))
    for line in Path(__file__).with_name("speakable_cases.txt").read_text(encoding="utf-8").splitlines()
    if "=>" in line and not line.startswith("# ")
]


@pytest.mark.parametrize(("written", "said"), CASES)
def test_text_is_read_as_a_vietnamese_speaker_reads_it(written: str, said: str) -> None:
    assert speakable(written) == said
