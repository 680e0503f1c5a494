"""What a test event tells: a call that never was."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from tongdai.domain.webhooks.model import ATTEMPT_ENDED, CALL_REFUSED, CallEvent, Endpoint


def sample_event(endpoint: Endpoint, now: datetime) -> CallEvent:
    """An answered call, or a refused one where the endpoint is told only of those."""
    answered = ATTEMPT_ENDED in endpoint.events
    return CallEvent(
        type=ATTEMPT_ENDED if answered else CALL_REFUSED,
        account_id=endpoint.account_id,
        campaign_id=0,
        campaign_name="Webhook test",
        project_code=None,
        template_id=None,
        purpose="customer_care",
        call_id=0,
        user_id=0,
        seq=1,
        attempt_id=0 if answered else None,
        attempt=1 if answered else 0,
        final=True,
        outcome="answered" if answered else "blocked",
        note=None if answered else "dnc_account",
        number="84912345007",
        number_given="0912345007",
        fields={"name": "Nguyễn Văn An"},
        hotline="842473000000" if answered else None,
        network="vinaphone",
        called_at=now - timedelta(seconds=30 if answered else 0),
        ended_at=now,
        ring_s=6.0 if answered else None,
        duration_s=24 if answered else 0,
        key_presses="1 (12)" if answered else "",
        end_code=None,
        record_files=[],
        billable_s=24 if answered else 0,
        postage=Decimal(0),
        service_charge=Decimal(0),
        next_attempt_at=None,
        person_ref=None,
    )
