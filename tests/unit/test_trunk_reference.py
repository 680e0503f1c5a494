"""What the pages about trunks say is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tongdai.adapters.asterisk.causes import BY_SIP_STATUS
from tongdai.api import nodes, sip_shapes, trunks
from tongdai.domain.routing.sip import sip_faults
from tongdai.kit.crypto import Keyring

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "trunks.md").read_text()
HOW_TO = (DOCS / "how-to" / "connect-a-trunk.md").read_text()


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the first table after a heading, without its head."""
    _, _, after = REFERENCE.partition(f"\n{heading}\n")
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None, heading
    for line in table[0].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def words(cell: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", cell)


def test_every_setting_of_sip_is_on_the_page_and_none_that_is_not_there() -> None:
    told = [name for cells in rows("## Trunks") for name in words(cells[0])]

    assert sorted(told) == sorted(sip_shapes.GivenSip.__struct_fields__)


def test_every_field_of_a_node_is_on_the_page() -> None:
    told = [name for cells in rows("## Nodes") for name in words(cells[0])]

    assert sorted(told) == sorted(nodes.NewNode.__struct_fields__)


def test_the_table_of_statuses_is_the_engines() -> None:
    told = {
        int(status): words(cells[1])[0]
        for cells in rows("### What a SIP status means")
        for status in re.findall(r"\d{3}", cells[0])
    }

    assert told == {status: cause.value for status, cause in BY_SIP_STATUS.items()}


def test_every_trunk_of_the_how_to_can_be_made() -> None:
    bodies = re.findall(r"post trunks '(\{.*?\})' \| id", HOW_TO, re.DOTALL)
    assert len(bodies) == 3
    for body in bodies:
        given = msgspec.json.decode(body.replace("…", "x"), type=trunks.NewTrunk)
        changes = sip_shapes.changes_of(given.sip, Keyring(bytes(32)), 1)
        assert changes["sip"] is not None
        assert list(sip_faults(changes["sip"], has_password="sip_password" in changes)) == []


def test_the_node_of_the_how_to_can_be_added() -> None:
    [body] = re.findall(r"/v1/nodes -H .*? -d '(\{.*?\})'", HOW_TO, re.DOTALL)

    assert msgspec.json.decode(body.replace("…", "x"), type=nodes.NewNode).name == "hanoi-1"
