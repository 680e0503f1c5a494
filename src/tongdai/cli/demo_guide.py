"""What `tongdai demo` prints: addresses, and commands to copy."""

from __future__ import annotations

from pathlib import Path

from tongdai.cli.demo_seed import Tenant
from tongdai.cli.demo_zalo import CALLBACK, JOURNEY_TEMPLATE

GUIDE = """
tongdai is ready.

  address     {base_url}
  API schema  {base_url}/schema
  credentials {credentials}
  Zalo        {emulator_url}, a stand-in on this machine
  logs        {logs}

Try AICallCenter's API. The last three digits of a number choose what the sandbox carrier does:
001 listens, 002 rings out, 003 busy, 004 declines, 005 no such number, 006 voicemail, 007 presses 1 …

  TOKEN=$(curl -s '{base_url}/api/users/generate-access-token?secret_key={secret}' \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["results"]["access_token"])')

  curl -s {base_url}/api/campaigns/{campaign}/import -H 'Content-Type: application/json' -d '{{
    "access_token": "'$TOKEN'", "contacts": [
      {{"phone_number": "0912345001"}}, {{"phone_number": "0912345003"}}, {{"phone_number": "0912345004"}},
      {{"phone_number": "0912345007"}}, {{"phone_number": "0912345008"}}]}}'

  curl -s "{base_url}/api/campaigns/{campaign}/export?access_token=$TOKEN"
  curl -s "{base_url}/api/users/call-log?access_token=$TOKEN"

A one-time code is called at once, and read twice:

  curl -s {base_url}/api/campaigns/{otp_campaign}/import -H 'Content-Type: application/json' -d '{{
    "access_token": "'$TOKEN'", "contacts": [{{"phone_number": "0912345001", "otp_code": "004217"}}]}}'

  curl -s "{base_url}/api/campaigns/{otp_campaign}/export?access_token=$TOKEN"

{vbot}{zalo}{incoming}And our own API:

  curl -s {base_url}/v1/campaigns/{campaign} -H 'Authorization: Bearer {api_key}'

Ctrl-C stops everything.
"""

VBOT_GUIDE = """\
VBot's API: log in, create a campaign from the template, then read the calls and what they cost:

  VBOT=$(curl -s {base_url}/token \\
    -d grant_type=password -d 'username={vbot.username}' -d 'password={vbot.password}' \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')

  curl -s {base_url}/api/campaign/create -H "Authorization: Bearer $VBOT" \\
    -H 'Content-Type: application/json' -d '{{
    "vbotId": "{vbot.vbot_id}", "groupCode": "{vbot.project_code}",
    "campaignId": {vbot.template_campaign_id}, "name": "Nhắc đơn hàng", "phones": [
      {{"fields": [{{"key": "phone", "value": "0912345007"}}, {{"key": "name", "value": "Nguyễn Văn An"}}]}},
      {{"fields": [{{"key": "phone", "value": "0912345003"}}, {{"key": "numberCall", "value": 2}}]}},
      {{"fields": [{{"key": "phone", "value": "12345"}}]}}]}}'

  curl -s "{base_url}/api/crm/historycall/getAll?page=1&size=20" -H "Authorization: Bearer $VBOT"
  curl -s {base_url}/api/account/balance -H 'X-API-Key: {api_key}'

Every call is posted to your own server, which may listen on this machine, once it is told where:

  curl -s {base_url}/v1/webhook-endpoints -H 'Authorization: Bearer {api_key}' \\
    -H 'Content-Type: application/json' -d '{{"url": "http://127.0.0.1:9000/", "format": "vbot_auto_call"}}'

"""

INCOMING_GUIDE = """\
Somebody calls a hotline, and presses 1 in its menu. Who called, and what became of it:

  TONGDAI_SANDBOX_ADDRESS='{carrier}' tongdai sandbox-call --trunk {line.trunk_id} \\
    --to {line.number} --from 0912345007

  curl -s {base_url}/v1/incoming-calls -H 'Authorization: Bearer {api_key}'

"""

ZALO_GUIDE = """\
Zalo: one Official Account is connected. Open a journey for a parcel by SenCloud's API, then its message:

  SENCLOUD='Authorization: Bearer {key}'

  JOURNEY=$(curl -s {base_url}/v1/shop.Zalo/CreateJourney \\
    -H "$SENCLOUD" -H 'Content-Type: application/json' \\
    -d '{{"oa_id": "{shop.oa_id}", "phone": "{shop.linked_phone}", "token_type": "token_logistics_7"}}' \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["journey_id"])')

  curl -s {base_url}/v1/shop.Zalo/SendZNSJourney -H "$SENCLOUD" -H 'Content-Type: application/json' -d '{{
    "oa_id": "{shop.oa_id}", "journey_id": "'$JOURNEY'", "phone": "{shop.linked_phone}",
    "template_id": {journey_template}, "tracking_id": "don-001",
    "template_data": {{"customer_name": "An", "order_code": "SM-1001", "status": "Đang giao"}}}}'

  curl -s {base_url}/v1/shop.Zalo/GetJourney -H "$SENCLOUD" -H 'Content-Type: application/json' \\
    -d '{{"oa_id": "{shop.oa_id}", "journey_id": "'$JOURNEY'"}}'

By Interits' API, once for a number that has Zalo and once for one that has not (numbers that end in 404):

  curl -s {base_url}/api/vendor/v1/zalo/create-journey -H 'API-KEY: {interits}' \\
    -H 'Content-Type: application/json' -d '{{"oa_id": "{shop.oa_id}", "phone": "{shop.linked_phone}"}}'

  curl -s {base_url}/api/vendor/v1/zalo/create-journey -H 'API-KEY: {interits}' \\
    -H 'Content-Type: application/json' -d '{{"oa_id": "{shop.oa_id}", "phone": "{shop.unlinked_phone}"}}'

  curl -s {base_url}/api/vendor/v1/zalo/list-journeys -H 'API-KEY: {interits}' \\
    -H 'Content-Type: application/json' -d '{{"paging": {{"limit": 5}}}}'

Another Official Account ({shop.unconnected_oa_id}) is to be connected: ask for the page and open it in a
browser. After "allow" the browser comes back to a page with the command that connects it.

  curl -s {base_url}/v1/shop.Zalo/AuthorizeOA -H "$SENCLOUD" -H 'Content-Type: application/json' -d '{{
    "app_id": "{app_id}", "app_secret": "{app_secret}", "redirect_uri": "{redirect_uri}"}}'

  API_KEY='{key}'   # for the command on that page

"""


def guide(
    tenant: Tenant, base_url: str, emulator_url: str, credentials: Path, logs_folder: Path, carrier: str
) -> str:
    """For this tenant, with its own keys filled in. A part that the tenant lacks is left out."""
    return GUIDE.format(
        base_url=base_url,
        emulator_url=emulator_url,
        credentials=credentials,
        logs=logs_folder,
        secret=tenant.aicallcenter.secret_key,
        campaign=tenant.aicallcenter.campaign_id,
        otp_campaign=tenant.aicallcenter.otp_campaign_id,
        api_key=tenant.native.api_key,
        vbot=_vbot(tenant, base_url),
        zalo=_zalo(tenant, base_url),
        incoming=_incoming(tenant, base_url, carrier),
    )


def _vbot(tenant: Tenant, base_url: str) -> str:
    if tenant.vbot is None:
        return ""
    return VBOT_GUIDE.format(base_url=base_url, api_key=tenant.native.api_key, vbot=tenant.vbot)


def _incoming(tenant: Tenant, base_url: str, carrier: str) -> str:
    if tenant.line is None:
        return ""
    return INCOMING_GUIDE.format(
        base_url=base_url, api_key=tenant.native.api_key, line=tenant.line, carrier=carrier
    )


def _zalo(tenant: Tenant, base_url: str) -> str:
    if tenant.zalo is None:
        return ""
    shop, sencloud = tenant.zalo.zalo.facts, tenant.zalo.sencloud
    return ZALO_GUIDE.format(
        base_url=base_url,
        interits=tenant.zalo.interits_key,
        key=sencloud.api_key,
        app_id=sencloud.app_id,
        app_secret=sencloud.app_secret,
        redirect_uri=base_url + CALLBACK,
        shop=shop,
        journey_template=shop.first_template + JOURNEY_TEMPLATE,
    )
