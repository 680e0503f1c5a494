"""Campaigns: what they are told, their states, templates, import, retry rules and progress."""

from tongdai.domain.campaigns.errors import (
    BadTransitionError,
    CampaignInvalidError,
    CampaignNotFoundError,
    CampaignStoppedError,
    TemplateNotFoundError,
)
from tongdai.domain.campaigns.model import (
    LOST_RULE,
    TRANSITIONS,
    Campaign,
    CampaignConfig,
    CampaignState,
    Final,
    ImportReport,
    NewContact,
    Progress,
    RetryAt,
    RetryRule,
    Template,
    TemplateConfig,
    next_step,
)

__all__ = [
    "LOST_RULE",
    "TRANSITIONS",
    "BadTransitionError",
    "Campaign",
    "CampaignConfig",
    "CampaignInvalidError",
    "CampaignNotFoundError",
    "CampaignState",
    "CampaignStoppedError",
    "Final",
    "ImportReport",
    "NewContact",
    "Progress",
    "RetryAt",
    "RetryRule",
    "Template",
    "TemplateConfig",
    "TemplateNotFoundError",
    "next_step",
]
