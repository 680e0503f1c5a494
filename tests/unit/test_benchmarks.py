"""The arithmetic of the benchmarks: what is measured must at least be counted right."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from benchmarks import hooks
from benchmarks.client import Connection, get, post
from benchmarks.figures import Figure, as_json, median_of, percentile, table
from benchmarks.import_bulk import body
from benchmarks.pacing import busiest_calendar_second, used_channels, used_rate
from benchmarks.receiver import whole_request
from benchmarks.run import MODULES
from benchmarks.stage import Receiver, receiver

from tongdai.adapters.sandbox.log import Line
from tongdai.facades.aicallcenter.requests import parse_import


def invite(at: float, leg: int) -> Line:
    return Line(1_000_000 + at, at, "INVITE", leg, 1)


def bye(at: float, leg: int) -> Line:
    return Line(1_000_000 + at, at, "BYE", leg, 1)


def test_a_rate_is_held_from_its_target_on() -> None:
    just = Figure(name="rate", value=50, unit="/s", limit=100, target=0.5)
    assert (just.ratio, just.held) == (0.5, True)
    assert Figure(name="rate", value=49, unit="/s", limit=100, target=0.5).held is False


def test_a_time_is_held_up_to_its_target() -> None:
    just = Figure(name="time", value=20, unit="ms", limit=10, sense="at most", target=2)
    assert (just.ratio, just.held) == (2.0, True)
    assert Figure(name="time", value=21, unit="ms", limit=10, sense="at most", target=2).held is False


def test_a_figure_without_a_limit_is_judged_by_itself_and_one_without_a_target_not_at_all() -> None:
    assert Figure(name="memory", value=301, unit="MB", sense="at most", target=300).held is False
    assert Figure(name="memory", value=301, unit="MB").held is None


def test_the_table_shows_what_was_missed() -> None:
    shown = table(
        [
            Figure(name="good", value=1234.5, unit="/s", limit=1000, target=0.5),
            Figure(name="bad", value=12.34, unit="ms", limit=2, sense="at most", target=3),
        ]
    ).splitlines()
    assert [line.split()[0] for line in shown[2:]] == ["good", "bad"]
    assert [line.split()[-1] for line in shown[2:]] == ["yes", "NO"]
    assert "1,234 /s" in shown[2]
    assert "6.170" in shown[3]


def test_results_hold_the_ratio_and_the_verdict() -> None:
    kept = as_json(Figure(name="x", value=30, unit="/s", limit=20, target=2))
    assert (kept["ratio"], kept["held"], kept["target"]) == (1.5, False, 2)


@pytest.mark.parametrize(("part", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_one_of_the_values(part: float, value: float) -> None:
    assert percentile([float(one) for one in range(100, 0, -1)], part) == value


def test_a_median_lies_in_the_middle() -> None:
    assert median_of([9.0, 1.0, 2.0]) == 2.0


def test_the_used_rate_is_that_between_the_first_and_the_last_call() -> None:
    assert used_rate([invite(at / 50, at) for at in range(101)]) == pytest.approx(1.0)
    assert used_rate([invite(at / 25, at) for at in range(101)]) == pytest.approx(0.5)


def test_seconds_of_the_wall_clock_are_counted_apart() -> None:
    assert busiest_calendar_second([invite(0.1, 1), invite(0.9, 2), invite(1.0, 3)]) == 2


def test_used_channels_begin_after_the_ramp_and_end_with_the_last_call() -> None:
    lines = [invite(0.0, leg) for leg in range(50)]
    lines += [bye(10.0, leg) for leg in range(50)]
    lines += [invite(15.0, 99), bye(16.0, 99)]
    # From 5 s to 15 s, 50 of 100 channels during the first half.
    assert used_channels(lines) == pytest.approx(0.25)


def test_the_bodies_of_bulk_imports_bring_distinct_numbers_that_can_be_read() -> None:
    contacts = parse_import(body(1, 1000)).contacts or []
    assert len({one.given for one in contacts}) == 1000
    assert contacts[0].fields["ma_don"] == "DH-204118"


def test_every_figure_of_the_page_can_be_asked_for_by_its_name_and_the_other_way_round() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/benchmarks.md").read_text()
    named = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert named == list(MODULES)


REQUEST = post("/ok", b"{}")


@pytest.mark.parametrize(
    ("got", "end"),
    [
        (b"", None),
        (REQUEST[:-1], None),
        (REQUEST, len(REQUEST)),
        (REQUEST + REQUEST[:5], len(REQUEST)),
        (get("/counts"), len(get("/counts"))),
        (get("/counts")[:-1], None),
        (b"POST / HTTP/1.1\r\nCONTENT-LENGTH: 3\r\n\r\nabcd", 41),
    ],
)
def test_a_request_is_whole_with_its_last_byte(got: bytes, end: int | None) -> None:
    assert whole_request(got) == end


@pytest.mark.anyio
async def test_a_receiver_counts_what_it_answered_and_what_hangs_as_long_as_it_hangs() -> None:
    async with receiver() as one:
        answered, hanging = await Connection(one.port).open(), await Connection(one.port).open()
        for _ in range(3):
            assert await answered.send(REQUEST) == b"ok"
        waiting = asyncio.ensure_future(hanging.send(post("/hang/1", b"{}")))
        await counted(one, {"answered": 3, "hanging": 1})
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        await hanging.close()
        await counted(one, {"answered": 3, "hanging": 0})
        await answered.close()


async def counted(one: Receiver, wanted: dict[str, int]) -> None:
    async with asyncio.timeout(10):
        while await one.counts() != wanted:
            pass  # asking takes its time


@pytest.mark.anyio
async def test_the_bare_loop_posts_as_many_requests_as_it_is_told() -> None:
    async with receiver() as one:
        assert await hooks.bare(one, tasks=3, requests=50, body=b"{}") > 0
        assert await one.counts() == {"answered": 3 * 5 + 50, "hanging": 0}
