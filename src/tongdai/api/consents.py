"""Who agreed to be called: consents and withdrawals of each person, and attestations for whole lists."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta

from tongdai.api.auth import NEEDS_OWNER, CalledBy, Wired
from tongdai.api.bodies import Moment
from tongdai.api.do_not_call import OfNumber, canonical
from tongdai.api.do_not_call_shapes import Advertiser, GivenNumber, Source, Words
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import AttestationId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import compliance
from tongdai.domain.contacts import shown

TAGS = ["Consent"]

Purpose = Literal["advertising", "customer_care", "transactional", "debt_reminder", "survey"]
Long = Annotated[str, Meta(min_length=1, max_length=4000)]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
EndOfWindow = Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
PerDay = Annotated[int, Meta(ge=0, le=100)]


class NewConsent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person agreed to, or took back."""

    number: GivenNumber
    """However people write it."""
    purpose: Purpose
    given: bool
    """False: the consent is withdrawn, from `at` on."""
    method: Source
    """How they said so: `paper`, `web`, `app`, `sms`, `recorded_call`, `call_in` or a word of your own."""
    advertiser: Advertiser = ""
    """In whose name they may be called. Empty: in the account's own. A withdrawal towards the account counts
    for every advertiser."""
    at: Moment | None = None
    """When they said so. Null: now. The latest word counts."""
    wording: Long | None = None
    """What they were shown or told."""
    evidence: Long | None = None
    """Where the proof is: a file, a recording, a message's id. A consent needs it."""
    max_per_24h: PerDay | None = None
    """Calls in 24 hours that they agreed to. Null: as many as the law allows."""
    until: Moment | None = None
    """Until when they agreed. Null: until they withdraw."""


class ConsentList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Consents and withdrawals."""

    consents: Annotated[list[NewConsent], Meta(min_length=1, max_length=1000)]


class RecordedConsent(msgspec.Struct, frozen=True):
    """A consent or withdrawal that was written down."""

    index: int
    """Its place in the list that was sent, from 0."""
    id: int


class RejectedConsent(msgspec.Struct, frozen=True):
    """One that was not."""

    index: int
    """Its place in the list that was sent, from 0."""
    reason: str
    """Of the number: `too_short`, `too_long`, `unknown_prefix`, `foreign`, `service`, `short_code`,
    `not_a_number`. Else `at_in_future`, `evidence_missing`, `until_before_at` or `time_out_of_range`."""


class ConsentReport(msgspec.Struct, frozen=True):
    """What became of each."""

    accepted: list[RecordedConsent]
    rejected: list[RejectedConsent]


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word about calls for one purpose. Nothing of it is ever changed or deleted."""

    id: int
    number: str
    """`0…`."""
    purpose: str
    advertiser: str
    given: bool
    at: datetime
    method: str
    wording: str | None
    evidence: str | None
    max_per_24h: int | None
    until: datetime | None
    user_id: int | None
    """Who wrote it down."""
    created_at: datetime

    @classmethod
    def of(cls, row: compliance.Consent) -> Consent:
        return cls(
            id=row.id,
            number=shown(row.number),
            purpose=row.purpose,
            advertiser=row.advertiser,
            given=row.given,
            at=shown_time(row.at),
            method=row.method,
            wording=row.wording,
            evidence=row.evidence,
            max_per_24h=row.max_per_24h,
            until=shown_time(row.until),
            user_id=row.user_id,
            created_at=shown_time(row.created_at),
        )


class ConsentPage(msgspec.Struct, frozen=True):
    """Consents and withdrawals, in the order in which they were written down."""

    items: list[Consent]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewAttestation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Your word that everybody on a list has agreed. Name it in the template or campaign that calls the
    list."""

    purpose: Purpose
    obtained_at: Moment
    """When the last consent of the list was obtained. Who withdrew after that is not called."""
    method: Long
    """How the consents were obtained."""
    evidence: Long
    """Where the proof of each is."""
    advertiser: Advertiser = ""
    """In whose name they agreed to be called; the campaign's must be the same."""
    wording: Long | None = None
    """What they were shown or told."""
    window_start: TimeOfDay | None = None
    """`HH:MM`, where they agreed to other hours than the law's."""
    window_end: EndOfWindow | None = None
    """`HH:MM`; no call starts at it or later."""
    max_per_24h: PerDay | None = None
    """Calls in 24 hours that they agreed to. Null: as many as the law allows."""


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's word that everybody on a list has agreed. It is never changed; it can only be ended."""

    id: int
    purpose: str
    advertiser: str
    user_id: int
    """Who answers for it."""
    obtained_at: datetime
    method: str
    wording: str | None
    evidence: str
    window_start: str | None
    window_end: str | None
    max_per_24h: int | None
    created_at: datetime
    ended_at: datetime | None
    """From then on it stands for nobody."""
    ended_by: int | None
    """Id of the user who ended it."""
    ended_reason: str | None

    @classmethod
    def of(cls, row: compliance.Attestation) -> Attestation:
        return cls(
            id=row.id,
            purpose=row.purpose,
            advertiser=row.advertiser,
            user_id=row.user_id,
            obtained_at=shown_time(row.obtained_at),
            method=row.method,
            wording=row.wording,
            evidence=row.evidence,
            window_start=row.window_start,
            window_end=row.window_end,
            max_per_24h=row.max_per_24h,
            created_at=shown_time(row.created_at),
            ended_at=shown_time(row.ended_at),
            ended_by=row.ended_by,
            ended_reason=row.ended_reason,
        )


class AttestationPage(msgspec.Struct, frozen=True):
    """Attestations, oldest first."""

    items: list[Attestation]
    next: str | None
    """Cursor of the next page; null on the last."""


class AttestationEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an attestation does not hold any more."""

    reason: Words


@post(
    "/consents",
    operation_id="recordConsents",
    summary="Write down consents and withdrawals",
    tags=TAGS,
    status_code=200,
    responses=answers(413),
)
async def record_consents(services: Wired, caller: CalledBy, data: JSONBody[ConsentList]) -> ConsentReport:
    """Each is written down for good. What is wrong with one alone is reported, and does not stop the others.
    After a withdrawal was answered, nobody calls for that purpose."""
    given = [
        compliance.NewConsent(
            given_number=str(one.number),
            purpose=one.purpose,
            given=one.given,
            method=one.method,
            advertiser=one.advertiser.strip(),
            at=one.at,
            wording=one.wording,
            evidence=one.evidence,
            max_per_24h=one.max_per_24h,
            until=one.until,
        )
        for one in data.consents
    ]
    async with services.db.transaction() as tx:
        report = await compliance.record_consents(
            tx, caller.account_id, caller.user_id, given, services.clock.now()
        )
    return ConsentReport(
        [RecordedConsent(index, id_) for index, id_ in report.accepted],
        [RejectedConsent(index, reason) for index, reason in report.rejected],
    )


@get(
    "/consents",
    operation_id="listConsents",
    summary="List consents and withdrawals",
    tags=TAGS,
    responses=answers(),
)
async def list_consents(
    services: Wired, caller: CalledBy, number: OfNumber = None, limit: Limit = 100, cursor: Cursor = None
) -> ConsentPage:
    """All records of the account, or everything that one person said."""
    async with services.db.transaction() as tx:
        rows = await compliance.list_consents(
            tx, caller.account_id, number=canonical(number), after=after(cursor), limit=limit + 1
        )
    page, further = cut(rows, limit)
    return ConsentPage([Consent.of(row) for row in page], further)


@post(
    "/attestations",
    operation_id="createAttestation",
    summary="Attest the consent of a list",
    tags=TAGS,
    responses=answers(413),
)
async def create_attestation(
    services: Wired, caller: CalledBy, data: JSONBody[NewAttestation]
) -> Attestation:
    """For lists that carry no consent of each, as those of vendors' APIs. You answer for it by name."""
    agreed = compliance.AgreedTerms(data.window_start, data.window_end, data.max_per_24h)
    new = compliance.NewAttestation(
        purpose=data.purpose,
        obtained_at=data.obtained_at,
        method=data.method,
        evidence=data.evidence,
        advertiser=data.advertiser.strip(),
        wording=data.wording,
        agreed=agreed,
    )
    async with services.db.transaction() as tx:
        row = await compliance.attest(tx, caller.account_id, caller.user_id, new, services.clock.now())
    return Attestation.of(row)


@get(
    "/attestations",
    operation_id="listAttestations",
    summary="List attestations",
    tags=TAGS,
    responses=answers(),
)
async def list_attestations(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> AttestationPage:
    """The attestations of the account, oldest first, with those that were ended."""
    async with services.db.transaction() as tx:
        rows = await compliance.list_attestations(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    page, further = cut(rows, limit)
    return AttestationPage([Attestation.of(row) for row in page], further)


@get(
    "/attestations/{attestation_id:str}",
    operation_id="getAttestation",
    summary="Get an attestation",
    tags=TAGS,
    responses=answers(404),
)
async def get_attestation(services: Wired, caller: CalledBy, attestation_id: AttestationId) -> Attestation:
    """One attestation."""
    async with services.db.transaction() as tx:
        return Attestation.of(await compliance.get_attestation(tx, caller.account_id, attestation_id))


@post(
    "/attestations/{attestation_id:str}/end",
    operation_id="endAttestation",
    summary="End an attestation",
    tags=TAGS,
    opt=NEEDS_OWNER,
    status_code=200,
    responses=answers(404, 409, 413),
)
async def end_attestation(
    services: Wired, caller: CalledBy, attestation_id: AttestationId, data: JSONBody[AttestationEnd]
) -> Attestation:
    """Campaigns that name it call nobody any more without a consent of their own. 409 when it was ended
    before."""
    async with services.db.transaction() as tx:
        row = await compliance.end_attestation(
            tx, caller.account_id, attestation_id, user_id=caller.user_id, reason=data.reason
        )
    return Attestation.of(row)


HANDLERS = [
    record_consents,
    list_consents,
    create_attestation,
    list_attestations,
    get_attestation,
    end_attestation,
]
