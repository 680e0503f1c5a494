"""What makes a campaign or a template sound: its own values, and the things that it names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tongdai.domain import compliance, scripts
from tongdai.domain.accounts import cap_faults
from tongdai.domain.calls.model import Outcome
from tongdai.domain.campaigns.declared import declared_faults
from tongdai.domain.campaigns.errors import CampaignInvalidError, PartNotFoundError
from tongdai.domain.campaigns.model import CampaignConfig, Kind, Mandate, TemplateConfig
from tongdai.domain.campaigns.store import campaigns as store
from tongdai.domain.compliance import AttestationNotFoundError, Policy, needs_brand_name, schedule_errors
from tongdai.kit.db import Tx

MAX_NAME: Final = 255
"""Characters in the name of a campaign or template."""

_BIGINT_MAX = 2**63 - 1

Fault = tuple[str, str]
"""(path, message): "config.schedule.windows[0].end" and what is wrong there."""


def is_id(value: int) -> bool:
    """False for what no row can have as its id."""
    return 0 < value <= _BIGINT_MAX


def require_sound(
    name: str,
    hotline_ids: Sequence[int],
    config: CampaignConfig,
    max_channels: int | None,
    max_cps: float | None,
    *,
    more: Sequence[Fault] = (),
) -> None:
    """Raises CampaignInvalidError with every fault of these values, `more` among them."""
    faults = [
        *more,
        *_name_faults(name),
        *cap_faults(max_channels, max_cps),
        *_schedule_faults(config),
    ]
    if not hotline_ids:
        faults.append(("hotline_ids", "needs at least one"))
    if faults:
        raise CampaignInvalidError(errors=faults)


def mandate_faults(kind: str, purpose: str, advertiser: str) -> Iterator[Fault]:
    """A campaign reads codes, or it does anything else: kind `otp` and purpose `otp` come together."""
    if len(advertiser) > MAX_NAME or not advertiser.isprintable() or advertiser != advertiser.strip():
        yield "advertiser", f"must be at most {MAX_NAME} printable characters, without spaces around them"
    if kind == "otp" and purpose != "otp":
        yield "purpose", "must be otp: a campaign of kind otp has no other purpose"
    if purpose == "otp" and kind != "otp":
        yield "kind", "must be otp: only such a campaign has the purpose otp"


def config_faults(kind: str, config: CampaignConfig) -> Iterator[Fault]:
    """What a configuration may not say in a campaign of this kind, or not together."""
    if kind == "otp" and config.record:
        yield "config.record", "must be false: a call that reads a one-time code is never recorded"
    if config.record_announcement:
        yield from scripts.text_faults("config.record_announcement", config.record_announcement)
    if kind == "otp" and config.voicemail_action == "leave_message":
        yield "config.voicemail_action", "must not be leave_message: a code is never left on a machine"
    elif config.voicemail_action != "hang_up" and kind != "otp" and not config.detect_voicemail:
        yield (
            "config.voicemail_action",
            "must be hang_up where detect_voicemail is false",
        )
    rule = config.retries.get(Outcome.VOICEMAIL)
    if config.voicemail_action == "retry" and rule is not None and rule.times == 0:
        yield "config.retries.voicemail", "must allow a retry, because voicemail_action is retry"


async def require_template(
    tx: Tx, account_id: int, name: str, config: TemplateConfig, project_id: int | None
) -> None:
    """Raises CampaignInvalidError and PartNotFoundError, as for a campaign made from it."""
    more = [
        *mandate_faults(config.kind, config.purpose, config.advertiser),
        *declared_faults(config.fields),
        *config_faults(config.kind, config.config),
    ]
    require_sound(name, config.hotline_ids, config.config, config.max_channels, config.max_cps, more=more)
    parts = await require_parts(
        tx,
        account_id,
        script_id=config.script_id,
        hotline_ids=config.hotline_ids,
        user_id=None,
        project_id=project_id,
    )
    require_script(parts, config.kind)
    await require_attestation(
        tx, account_id, Mandate(config.purpose, config.advertiser, config.attestation_id)
    )


async def require_parts(
    tx: Tx,
    account_id: int,
    *,
    script_id: int | None,
    hotline_ids: Sequence[int],
    user_id: int | None,
    project_id: int | None,
) -> store.Parts:
    """Everything that is named, once all of it is found to be the account's. Raises PartNotFoundError."""
    named = [*hotline_ids, script_id, user_id, project_id]
    unstorable = next((one for one in named if one is not None and not is_id(one)), None)
    if unstorable is not None:
        raise PartNotFoundError(id=unstorable)
    parts = await store.find_parts(
        tx,
        account_id,
        script_id=script_id,
        hotline_ids=hotline_ids,
        user_id=user_id,
        project_id=project_id,
    )
    unknown = sorted(set(hotline_ids) - set(parts.hotline_ids))
    if unknown:
        raise PartNotFoundError(part="hotline", id=unknown[0])
    found = {
        "script": (script_id, parts.script_version is not None),
        "user": (user_id, parts.user_known),
        "project": (project_id, parts.project_known),
    }
    for part, (part_id, known) in found.items():
        if part_id is not None and not known:
            raise PartNotFoundError(part=part, id=part_id)
    return parts


def require_script(parts: store.Parts, kind: Kind) -> None:
    """Raises CampaignInvalidError unless the script reads a code exactly when the campaign brings one."""
    if kind == "otp" and not parts.script_reads_code:
        message = "reads no code: a campaign of kind otp needs a script with a read_code step"
    elif kind != "otp" and parts.script_reads_code:
        message = "reads a code, which only a campaign of kind otp brings"
    else:
        return
    raise CampaignInvalidError(errors=[("script_id", message)])


async def require_attestation(tx: Tx, account_id: int, mandate: Mandate) -> None:
    """What a campaign names as its attestation must be the account's, and must say what the campaign is for.

    Raises:
        PartNotFoundError: the account has no such attestation.
        CampaignInvalidError: it was ended, or is for another purpose or advertiser.
    """
    if mandate.attestation_id is None:
        return
    try:
        found = await compliance.get_attestation(tx, account_id, mandate.attestation_id)
    except AttestationNotFoundError:
        raise PartNotFoundError(part="attestation", id=mandate.attestation_id) from None
    if found.ended_at is not None:
        message = "does not hold any more"
    elif found.purpose != mandate.purpose:
        message = f"is for the purpose {found.purpose}"
    elif found.advertiser != mandate.advertiser:
        message = "is for another advertiser"
    else:
        return
    raise CampaignInvalidError(errors=[("attestation_id", message)])


def require_brand_name(branded: bool, purpose: str, policy: Policy | None) -> None:
    """Raises CampaignInvalidError when no hotline may call for this purpose, by the policy.

    Without a policy, advertising needs a brand name (Decree 91/2020/NĐ-CP, art. 13).
    """
    needed = needs_brand_name(policy, purpose) if policy is not None else purpose == "advertising"
    if needed and not branded:
        message = f"must have one with a brand name that is valid: no {purpose} call may go out without"
        raise CampaignInvalidError(errors=[("hotline_ids", message)])


def _name_faults(name: str) -> Iterator[Fault]:
    if not name.strip() or len(name) > MAX_NAME:
        yield "name", f"must have 1 to {MAX_NAME} characters"
    elif "\x00" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
        yield "name", "holds a character that cannot be stored"


def _schedule_faults(config: CampaignConfig) -> Iterator[Fault]:
    if config.schedule is not None:
        for path, message in schedule_errors(config.schedule):
            yield f"config.schedule.{path}", message
