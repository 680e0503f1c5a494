"""Giving a campaign its contacts."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import post
from litestar.params import JSONBody
from msgspec import Meta

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.params import CampaignId
from tongdai.api.problems import answers
from tongdai.domain import campaigns


class NewContact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One contact. What is wrong with it alone is reported, and does not stop the others."""

    number: str | int | float
    """However people write it: `0912 345 678`, `+84912345678`, `912345678`, a spreadsheet's `912345678.0`."""
    fields: dict[str, Any] = {}
    """What the script speaks and branches on, by name: texts, numbers, true or false."""
    otp_code: str | None = None
    """For a campaign of kind `otp`: the code to be read. Kept sealed, and wiped when the call is done."""
    max_attempts: Annotated[int, Meta(ge=1, le=campaigns.MAX_ATTEMPTS)] | None = None
    """How often it is dialled at most, instead of the `times` of the campaign's rules and its `max_attempts`.
    Where the campaign has no rules: again after no answer and busy, 5 minutes apart. Null: as it says."""
    call_after: str | None = None
    """Not before this time of every day (`HH:MM` in Vietnam) or moment (`2026-08-01T09:00:00+07:00`; without
    an offset in Vietnam's time). It narrows the campaign's schedule and never widens it."""
    call_before: str | None = None
    """From this time of every day or moment on no more, in the same forms; `24:00` is the end of the day."""
    person_ref: str | None = None
    """Your own name for the person, the same for all numbers of one person: 1 to 100 characters. Rules about
    how often a person may be called then count all of them together."""


class ContactList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contacts for one campaign."""

    contacts: Annotated[list[NewContact], Meta(min_length=1, max_length=100_000)]


class AcceptedContact(msgspec.Struct, frozen=True):
    """A contact that became a call."""

    index: int
    """Its place in the list that was sent, from 0."""
    call_id: int


class RejectedContact(msgspec.Struct, frozen=True):
    """A contact that did not."""

    index: int
    """Its place in the list that was sent, from 0."""
    reason: str
    """Of the number: `too_short`, `too_long`, `unknown_prefix`, `foreign`, `service`, `short_code`,
    `not_a_number`. Of a field that the campaign declares: `field_missing: name`, `field_invalid: name`. Else
    `fields_invalid`, `fields_too_large` (over 64 KiB as JSON), `call_window_invalid`, `person_ref_invalid`,
    `otp_invalid`, `duplicate` (within this list) or `duplicate_earlier` (of this campaign)."""


class ImportReport(msgspec.Struct, frozen=True):
    """What became of each contact."""

    received: int
    accepted: list[AcceptedContact]
    rejected: list[RejectedContact]
    repaired: list[int]
    """Places of accepted contacts whose number was read only after mending, such as a lost leading zero."""
    converted: list[int]
    """Places of accepted contacts whose number is of the plan before September 2018; today's is called."""


@post(
    "/campaigns/{campaign_id:str}/contacts",
    operation_id="importContacts",
    summary="Give a campaign contacts",
    tags=["Campaigns"],
    status_code=200,
    responses=answers(404, 409, 413),
)
async def import_contacts(
    services: Wired, caller: CalledBy, campaign_id: CampaignId, data: JSONBody[ContactList]
) -> ImportReport:
    """Each accepted contact is a queued call at once, and is dialled as soon as the campaign may.

    Sent again, the same list makes calls again, unless the campaign's `allow_duplicates` is false.
    409 when the campaign takes no contacts in its present state.
    """
    given = [_given(one) for one in data.contacts]
    async with services.db.transaction() as tx:
        report = await campaigns.import_contacts(
            tx, services.keyring, services.clock, caller.account_id, campaign_id, given
        )
    await services.hinter.wake(campaign_id)
    return ImportReport(
        report.received,
        [AcceptedContact(index, call_id) for index, call_id in report.accepted],
        [RejectedContact(index, reason) for index, reason in report.rejected],
        list(report.repaired),
        list(report.converted),
    )


def _given(one: NewContact) -> campaigns.NewContact:
    return campaigns.NewContact(
        str(one.number),
        one.fields,
        one.otp_code,
        max_attempts=one.max_attempts,
        call_after=one.call_after,
        call_before=one.call_before,
        person_ref=one.person_ref,
    )


HANDLERS = [import_contacts]
