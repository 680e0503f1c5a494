"""What a trunk is in Asterisk's words: objects `td<trunk id>` of its SIP stack, and what is dialled. Pure.

All values are text, and booleans are written as Asterisk gives them back, so that what is there can be
compared with what ought to be.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from tongdai.adapters.asterisk.dialplan import INCOMING_CONTEXT, REGISTERED_CONTEXT
from tongdai.ports.sip import Dtmf, SipTrunk

Fields = dict[str, str]

RTP_TIMEOUT_S: Final = 120
"""A call on which nothing is heard for so long has lost its network: even silence is sent."""
EXPIRY_S: Final = 300
"""Of a registration: so long at most a carrier sends calls to a node that has gone."""
RETRY_S: Final = 15
"""After a registration that failed, whatever the reason: somebody may be about to mend it."""

_DTMF: Final[dict[Dtmf, str]] = {
    "auto": "auto_info",
    "rfc4733": "rfc4733",
    "info": "info",
    "inband": "inband",
}


def object_id(trunk_id: int) -> str:
    return f"td{trunk_id}"


def trunk_of(object_name: str) -> int | None:
    """The trunk whose object that is; None: it is not ours."""
    number = object_name.removeprefix("td")
    is_ours = object_name.startswith("td") and number.isascii() and number.isdecimal()
    return int(number) if is_ours else None


def dialled(trunk: SipTrunk, number: str) -> str:
    """What Asterisk is asked to call: a number in the trunk's format over the trunk, or a SIP address."""
    address = number if number.startswith(("sip:", "sips:")) else f"sip:{number}@{_place(trunk)}"
    return f"PJSIP/{object_id(trunk.trunk_id)}/{address}"


def auth(trunk: SipTrunk) -> Fields:
    """For digest authentication; empty for a trunk without."""
    if not trunk.username:
        return {}
    return {"auth_type": "userpass", "username": trunk.username, "password": trunk.password}


def endpoint(trunk: SipTrunk) -> Fields:
    """Every field is given each time, since one that is left out keeps its old value."""
    return {
        "transport": f"td-{trunk.transport}",
        "context": REGISTERED_CONTEXT if trunk.register else INCOMING_CONTEXT,
        # A name in From proves nothing; the carrier is known by its address.
        "identify_by": "ip",
        "allow": ",".join(("!all", *trunk.codecs)),
        # By default Asterisk offers them the other way round.
        "outgoing_call_offer_pref": "local_merge",
        "dtmf_mode": _DTMF[trunk.dtmf],
        "outbound_auth": object_id(trunk.trunk_id) if trunk.username else "",
        "outbound_proxy": _proxy(trunk),
        "from_user": trunk.from_user,
        "from_domain": trunk.from_domain,
        # Which number is shown: carriers read it in P-Asserted-Identity where From names the account.
        "send_pai": "true",
        "trust_id_outbound": "true",
        # Sound always goes through the node, which plays and records; and it goes back where it came from.
        "direct_media": "false",
        "rtp_symmetric": "true",
        "force_rport": "true",
        "rewrite_contact": "true",
        "rtp_timeout": str(RTP_TIMEOUT_S),
        # The other side may not send our calls elsewhere.
        "allow_transfer": "false",
        "allow_subscribe": "false",
        # A name and no number. Without either, an update takes `<unknown>` for a number, which then stands in
        # the place of every caller's.
        "callerid": "tongdai",
    }


def identify(trunk: SipTrunk, networks: Iterable[str]) -> Fields:
    """`networks`: addresses and networks that the carrier's calls come from."""
    return {"endpoint": object_id(trunk.trunk_id), "match": ",".join(networks)}


def registration(trunk: SipTrunk) -> Fields:
    """The number in `To` of a call is what was called: the address of the request names the account."""
    # A name for digest may be an address itself; the account is `from_user` then.
    user = trunk.from_user or trunk.username
    domain = trunk.from_domain or trunk.host
    return {
        "transport": f"td-{trunk.transport}",
        "server_uri": f"sip:{_place(trunk)}",
        "client_uri": f"sip:{user}@{_bracketed(domain)}",
        "contact_user": user,
        "outbound_auth": object_id(trunk.trunk_id),
        "outbound_proxy": _proxy(trunk),
        "expiration": str(EXPIRY_S),
        "retry_interval": str(RETRY_S),
        "forbidden_retry_interval": str(RETRY_S),
        "fatal_retry_interval": str(RETRY_S),
        "max_retries": "1000000",
        "auth_rejection_permanent": "false",
        # By default it would wait for up to ten seconds.
        "max_random_initial_delay": "0",
        # Calls come to an address that names the registration, from whichever of the carrier's servers.
        "line": "true",
        "endpoint": object_id(trunk.trunk_id),
    }


def matched(networks: Iterable[str]) -> list[str]:
    """Addresses and networks as Asterisk shows them, each with its mask."""
    nets = [ip_network(one, strict=False) for one in networks]
    return [f"{net.network_address}/{net.netmask}" for net in nets]


def _place(trunk: SipTrunk) -> str:
    way = "" if trunk.transport == "udp" else f";transport={trunk.transport}"
    return f"{_bracketed(trunk.host)}:{trunk.port}{way}"


def _proxy(trunk: SipTrunk) -> str:
    """As a route that keeps the request's own address (RFC 3261, 16.4): without `lr` it is rewritten."""
    proxy = trunk.outbound_proxy
    return proxy if not proxy or "lr" in proxy.split(";") else f"{proxy};lr"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
