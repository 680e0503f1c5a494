"""What the reference page of compliance says is so: every rule is on it, and its file is one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from tongdai.api.waiting_shapes import WaitingDetail, WaitingReason
from tongdai.domain.compliance import CampaignBlock, load_policies, parse_policies
from tongdai.domain.compliance.judging import Listed
from tongdai.domain.compliance.policy import SPANS, Rule
from tongdai.facades.aicallcenter.responses import note_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "compliance.md").read_text()
SHIPPED = (ROOT / "src" / "tongdai" / "domain" / "compliance" / "policies.toml").read_text()
NOW = datetime(2026, 11, 18, tzinfo=UTC)
TABLE = PAGE.split("## Every refusal")[1].split("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line[:1] == "|"
]
RULES = {name: row for row in ROWS for name in re.findall(r"`(\w+)`", row[0])}

FINAL = ("opted_out", "no_consent", "consent_withdrawn", "contact_window_over", "freq_24h", "freq_day")


def test_every_rule_of_a_person_is_in_the_table() -> None:
    wanted = {*FINAL, *get_args(Listed), "contact_window", "person_busy"}
    wanted |= {f"freq_{span}" for span in SPANS}
    assert wanted <= set(RULES)


def test_everything_that_a_campaign_waits_for_but_its_calls_is_in_the_table() -> None:
    of_its_own = {"nothing_queued", "next_call_later", "script_invalid", "configuration_invalid"}
    assert set(get_args(WaitingReason)) - of_its_own <= set(RULES)
    assert set(get_args(CampaignBlock)) <= set(RULES)


def test_a_campaign_can_say_every_reason_that_its_next_call_waits_for() -> None:
    wait = {rule for rule, row in RULES.items() if "call waits" in row[2] or "call of that number" in row[2]}
    assert wait >= {"contact_window", "person_busy", "hotline_unavailable", "wallet_reserved"}
    frequency = {f"freq_{span}" for span in SPANS} | {"freq_day"}
    assert wait | frequency <= set(get_args(WaitingDetail))


@pytest.mark.parametrize("rule", [*FINAL, *get_args(Listed)])
def test_a_final_rule_says_what_vendors_customers_are_told(rule: str) -> None:
    _, _, happens, vbot, aicallcenter, *_ = RULES[rule]
    assert happens.startswith("final: `blocked`")
    assert (vbot, aicallcenter) == ("104 DONTCALL", note_of("blocked", rule))


def test_the_shipped_rules_are_listed_as_they_are() -> None:
    table = PAGE.split("## The policy")[1].split("**In doubt")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    listed = {name: (row[1], row[2]) for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    shipped = load_policies().at(NOW).rules
    assert listed == {rule.id: (rule.confidence, "yes" if rule.on else "no") for rule in shipped}


def test_the_example_of_an_own_file_is_one_and_does_what_it_says() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    policy = parse_policies(SHIPPED, example).at(NOW)
    assert policy.id == "vn-2026-07+an-binh-2026"
    assert policy.terms["customer_care"].fixed == ((480, 1200),)
    assert [limit.max for limit in policy.terms["debt_reminder"].limits] == [3]
    assert [limit.rule for limit in policy.terms["survey"].limits] == ["freq_24h"]


def test_every_kind_of_rule_is_explained() -> None:
    table = PAGE.split("### Rules of your own")[1].split("\n## ")[0]
    kinds = {str(kind.__struct_config__.tag) for kind in get_args(Rule)}
    assert kinds <= set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
