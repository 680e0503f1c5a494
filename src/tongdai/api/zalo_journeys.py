"""Journeys: chains of Zalo messages about one parcel or one coach trip."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.paging import Cursor, Limit, after
from tongdai.api.problems import answers
from tongdai.api.zalo_ids import TAGS, OfOa, WhichOa, further, read_id
from tongdai.api.zalo_sending_shapes import NewZaloJourney, ZaloJourney, ZaloJourneyPage
from tongdai.domain import contacts, zalo
from tongdai.domain.zalo import JourneyFilter, JourneyState, Paging
from tongdai.kit.errors import InvalidError

JourneyId = Annotated[
    str,
    PathParameter(min_length=1, max_length=100, description="Zalo's id of a journey, or ours."),
]
Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Of your choice: the same request with the same key gives the first journey again.",
    ),
]
InState = Annotated[
    JourneyState | None, QueryParameter(name="state", description="Only journeys in this state.")
]
Charged = Annotated[
    bool | None, QueryParameter(description="true: only those that were charged. false: only others.")
]
ToPhone = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=100, description="Only to this number, however it is written."),
]


@post(
    "/zalo/journeys",
    operation_id="createZaloJourney",
    summary="Open a journey",
    tags=TAGS,
    responses=answers(404, 409, 413, 502, 504),
)
async def create_journey(
    services: Wired, caller: CalledBy, data: JSONBody[NewZaloJourney], idempotency_key: Key = None
) -> ZaloJourney:
    """Every request makes a journey of its own, unless it has an `Idempotency-Key`. What Zalo refuses is a
    journey in the state `refused` with Zalo's code. 409: the key was used for another request."""
    row = await zalo.create_journey(
        zalo.bridge_of(services),
        caller.account_id,
        caller.user_id,
        oa_id=read_id(data.oa_id, "oa_id"),
        phone=data.phone,
        token_type=data.token_type,
        idempotency_key=idempotency_key,
    )
    return ZaloJourney.of(row)


@get(
    "/zalo/journeys",
    operation_id="listZaloJourneys",
    summary="List journeys",
    tags=TAGS,
    responses=answers(),
)
async def list_journeys(
    services: Wired,
    caller: CalledBy,
    oa_id: OfOa = None,
    in_state: InState = None,
    charged: Charged = None,
    phone: ToPhone = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ZaloJourneyPage:
    """The journeys of the account, newest first; those that match every filter that is given.

    Each request looks at no more than 10,000 journeys, so that a page may hold few items or none: go on with
    `next` until it is null.
    """
    wanted = JourneyFilter(
        oa_id=oa_id,
        phone=canonical(phone),
        charged=charged,
        states=None if in_state is None else frozenset({in_state}),
    )
    paging = Paging(after=after(cursor) or None, limit=limit)
    async with services.db.transaction() as tx:
        page = await zalo.list_journeys(
            tx, services.keyring, caller.account_id, wanted, paging, now=services.clock.now()
        )
    return ZaloJourneyPage([ZaloJourney.of(row) for row in page.items], further(page))


@get(
    "/zalo/journeys/{journey_id:str}",
    operation_id="getZaloJourney",
    summary="Get a journey",
    tags=TAGS,
    responses=answers(404),
)
async def get_journey(
    services: Wired, caller: CalledBy, journey_id: JourneyId, oa_id: WhichOa = None
) -> ZaloJourney:
    """One journey, by Zalo's id or ours."""
    async with services.db.transaction() as tx:
        row = await zalo.get_journey(
            tx, services.keyring, caller.account_id, journey_id, oa_id, now=services.clock.now()
        )
    return ZaloJourney.of(row)


def canonical(number: str | None) -> str | None:
    """As numbers are kept. Raises InvalidError for what is no number."""
    if number is None:
        return None
    read = contacts.normalise(number)
    if not read.number:
        raise InvalidError("This is not a telephone number.", errors=[("phone", str(read.reason))])
    return read.number


HANDLERS = [create_journey, list_journeys, get_journey]
