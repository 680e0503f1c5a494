"""What is made of the line that a node wrote at a leg's end."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.one_trunk import Tones, Trunks

from tongdai.adapters.asterisk.ends import End, parse_end
from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.adapters.asterisk.journal import Journal, decode
from tongdai.adapters.asterisk.leg import Leg
from tongdai.adapters.asterisk.resuming import replay_end
from tongdai.ports.sip import AsteriskNode, SipTrunk
from tongdai.ports.telephony import EndCause, Ended, LegEvent, Ringing

pytestmark = pytest.mark.anyio

BEGUN = 1795353842.5
UNNOTED = Journal(7, BEGUN, 3, 4.0, 60.0).encode()
"""Of a leg whose client was gone before it had noted anything."""


def parsed(line: str) -> End:
    end = parse_end(f"{BEGUN + 4.006:.3f}|{line}")
    assert end is not None
    return end


def test_the_line_says_when_and_why_a_leg_ended_and_what_was_known_of_it() -> None:
    assert parsed("17|486||Down|" + UNNOTED) == End(
        at=BEGUN + 4.006, cause=17, status=486, answered=False, rang=False, progressed=False, journal=UNNOTED
    )


@pytest.mark.parametrize(
    ("line", "rang", "progressed"),
    [
        ("19|180||Ringing|", True, False),
        ("19|183||Ringing|", True, True),
        ("21|603||Ringing|", True, False),
        ("19|183||Down|", False, True),
        ("19|||Down|", False, False),
        ("19|100||Down|", False, False),
        ("16|200|SUCCESS|Up|", False, False),
        ("19|180|||", True, False),
        ("19|480|||", False, False),
        ("19|180||", True, False),
        ("19|||", False, False),
    ],
)
def test_it_tells_a_phone_that_rang_from_one_that_did_not_also_where_the_state_is_left_out(
    line: str, rang: bool, progressed: bool
) -> None:
    end = parsed(line + UNNOTED)
    assert (end.rang, end.progressed, end.journal) == (rang, progressed, UNNOTED)


@pytest.mark.parametrize("said", ["", "100", "180", "183", "200"])
def test_no_provisional_answer_is_a_last_word(said: str) -> None:
    assert parsed(f"19|{said}||Ringing|{UNNOTED}").status == 0


@pytest.mark.parametrize(
    "text", ["", "1/2/3", "1|2|3", "soon|19|||Down|1/2", "4.0|x|||Down|1/2", "1|2|3|4|5|6|7"]
)
def test_what_is_no_such_line_says_nothing(text: str) -> None:
    assert parse_end(text) is None


async def told(tmp_path: Path, end: End, *, early_media: bool = True) -> list[LegEvent]:
    """What an adopter hears of a leg that ended so."""
    node = AsteriskNode(
        id=1, name="one", url="http://127.0.0.1:1", username="u", password="p", sounds_path="/sounds"
    )
    trunk = SipTrunk(trunk_id=3, revision=1, host="127.0.0.1", early_media=early_media)
    engine = AsteriskEngine(node, Trunks(trunk), Tones(tmp_path))
    await engine.trunks.learn(3)
    journal = decode(7, end.journal)
    at = round(end.at - journal.started, 3)
    replay_end(Leg(engine, journal, "td-7", engine.now() - at), at, end)
    await engine.stop()
    return [event async for event in engine.events() if isinstance(event, LegEvent)]


@pytest.mark.parametrize("line", ["19|180||Ringing|", "19|183||Down|", "19|183||Ringing|", "19|180||"])
async def test_a_phone_that_rang_out_after_its_client_was_gone_has_rung_and_was_not_answered(
    tmp_path: Path, line: str
) -> None:
    assert await told(tmp_path, parsed(line + UNNOTED)) == [
        Ringing(7, 1, 0.0),
        Ended(7, 2, 4.006, EndCause.NO_ANSWER, None),
    ]


async def test_a_carrier_that_never_said_anything_is_congested(tmp_path: Path) -> None:
    assert await told(tmp_path, parsed("19|||Down|" + UNNOTED)) == [
        Ended(7, 1, 4.006, EndCause.CONGESTION, None)
    ]


async def test_what_a_carrier_plays_is_no_ringing_where_its_trunk_says_so(tmp_path: Path) -> None:
    ends = await told(tmp_path, parsed("19|183||Down|" + UNNOTED), early_media=False)
    assert ends == [Ended(7, 1, 4.006, EndCause.CONGESTION, None)]


async def test_a_phone_that_rang_before_its_carrier_gave_up_is_known_to_have_rung(tmp_path: Path) -> None:
    assert await told(tmp_path, parsed("34|503||Ringing|" + UNNOTED)) == [
        Ringing(7, 1, 0.0),
        Ended(7, 2, 4.006, EndCause.CONGESTION, None),
    ]


async def test_ringing_that_was_noted_is_not_told_again(tmp_path: Path) -> None:
    journal = Journal(7, BEGUN, 3, 4.0, 60.0)
    journal.add(Ringing(7, 1, 0.05))
    assert await told(tmp_path, parsed("19|180||Ringing|" + journal.encode())) == [
        Ended(7, 2, 4.006, EndCause.NO_ANSWER, None)
    ]
