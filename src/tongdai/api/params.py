"""Path parameters. They are read as text and checked here, so that a bad id is answered in our own shape."""

from __future__ import annotations

from typing import Annotated

from litestar.params import PathParameter

from tongdai.api.bodies import MAX_ID

AccountId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of an account.")]
UserId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a user.")]
KeyId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of an API key.")]
VendorKeyId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a key of a vendor's API.")]
ProjectId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a project.")]
TrunkId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a trunk.")]
NodeId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of an Asterisk node.")]
HotlineId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a hotline.")]
ScriptId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a script.")]
AudioId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of an audio file.")]
TemplateId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a template.")]
CampaignId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a campaign.")]
CallId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a call.")]
RecordingId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a recording.")]
EndpointId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a webhook endpoint.")]
IncomingCallId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of an incoming call.")]
DeliveryId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a webhook delivery.")]
ContactFileId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a contact file.")]
EntryId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a number on a do-not-call list.")]
AttestationId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of an attestation.")]
