"""Takes what each call needs from its account's wallet. Pure: the tills were opened under their locks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tongdai.domain.billing import Till
from tongdai.domain.calls.model import Outcome
from tongdai.domain.dialer.gates import Gated
from tongdai.domain.dialer.model import DueCall, Line, Plan, Terms, free_of_charge

RESERVED_DELAY = timedelta(seconds=5)
"""When to look again at a call that the money can pay for which calls now up may give back."""

UNPAID_DELAY = timedelta(seconds=60)
"""When to look again at a call that waits for a top-up or a plan."""


@dataclass(frozen=True, slots=True)
class Cashier:
    """One claim's. `afford` is what `Capacity.lay_out` asks; refusals and deferrals go to `gated`."""

    tills: Mapping[int, Till]
    """Of prepaid accounts; calls of the others are free."""
    networks: Mapping[str, str]
    gated: Gated
    now: datetime
    unpaid: set[int] = field(default_factory=set)
    """Campaigns of calls that wait for money."""

    def afford(self, call: DueCall, plan: Plan, line: Line) -> Terms | None:
        """Reserves the price of the call's time limit, or what the wallet holds if that covers at least the
        first block (ARCHITECTURE section 5, step 4)."""
        till = self.tills.get(call.account_id)
        if till is None:
            return free_of_charge(call, plan, line)
        if not till.plan_valid:
            return self._unpaid(call, plan, Outcome.PLAN_EXPIRED, "plan_expired")
        network = self.networks.get(call.number, "")
        price = till.quote(network, line.network == network)
        if price is None:
            self.gated.refuse(call, Outcome.NETWORK_UNSUPPORTED, "no_rate")
            return None
        reservation = till.take(price, int(plan.config.max_call_seconds))
        if reservation is not None:
            return Terms(reservation.talk_s, reservation.amount, price)
        if till.others_hold or till.taken:
            self._wait(call, RESERVED_DELAY, "wallet_reserved")
            return None
        return self._unpaid(call, plan, Outcome.NO_FUNDS, "wallet_empty")

    def _unpaid(self, call: DueCall, plan: Plan, outcome: Outcome, reason: str) -> Terms | None:
        if plan.refuses_unpaid:
            self.gated.refuse(call, outcome)
        else:
            self._wait(call, UNPAID_DELAY, reason)
        return None

    def _wait(self, call: DueCall, delay: timedelta, reason: str) -> None:
        self.gated.deferred.append((call.id, self.now + delay, reason))
        self.unpaid.add(call.campaign_id)
