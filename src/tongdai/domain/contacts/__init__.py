"""Vietnamese numbers and the networks they belong to."""

from tongdai.domain.contacts.errors import NumberInvalidError
from tongdai.domain.contacts.model import (
    UNKNOWN_NETWORK,
    DialFormat,
    Kind,
    Network,
    Normalised,
    Prefix,
    PrefixTable,
    Reason,
    dial_form,
    is_allocated,
    normalise,
    normalise_given,
    shown,
)
from tongdai.domain.contacts.service import (
    default_prefixes,
    load_default_prefixes,
    load_prefixes,
    networks_of,
    override_network,
    routing_groups,
)

__all__ = [
    "UNKNOWN_NETWORK",
    "DialFormat",
    "Kind",
    "Network",
    "Normalised",
    "NumberInvalidError",
    "Prefix",
    "PrefixTable",
    "Reason",
    "default_prefixes",
    "dial_form",
    "is_allocated",
    "load_default_prefixes",
    "load_prefixes",
    "networks_of",
    "normalise",
    "normalise_given",
    "override_network",
    "routing_groups",
    "shown",
]
