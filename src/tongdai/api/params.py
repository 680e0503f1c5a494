"""Path parameters. They are read as text and checked here, so that a bad id is answered in our own shape."""

from __future__ import annotations

from typing import Annotated

from litestar.params import Parameter

from tongdai.api.bodies import MAX_ID

AccountId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of an account.")]
UserId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of a user.")]
KeyId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of an API key.")]
ProjectId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of a project.")]
TrunkId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of a trunk.")]
HotlineId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of a hotline.")]
ScriptId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of a script.")]
AudioId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of an audio file.")]
TemplateId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of a template.")]
CampaignId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of a campaign.")]
CallId = Annotated[int, Parameter(ge=1, le=MAX_ID, description="Id of a call.")]
