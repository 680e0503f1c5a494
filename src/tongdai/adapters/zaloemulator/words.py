"""Zalo's codes and what Zalo says with them (its error tables for the OA API and for template messages)."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = "Success"

OPENAPI: Final = {
    -32: "Your application reached limit call api",
    -201: "Data is not json format",
    -204: "Offical Account is disable",
    -205: "Offical Account is not exist",
    -209: "Not supported this api",
    -212: "App has not registed this api",
    -216: "Access token is invalid",
    -219: "App is removed or disabled",
    -220: "access_token is expired or removed",
    -223: "Official Account has not authorized this API",
    -242: "Invalid appsecret_proof provided in the API argument",
    404: "You are accessing an empty or invalid API",
}

BUSINESS: Final = {
    -32: "Your application reached limit call api",
    -100: "Unknown error",
    -101: "Application invalid",
    -103: "Application not activated",
    -105: "Application not link to any OA",
    -106: "Method unsupported",
    -107: "Message ID invalid",
    -108: "Phone number invalid",
    -109: "Template ID invalid",
    -110: "Zalo version unsupported",
    -111: "Template data empty",
    -112: "Template data invalid",
    -1121: "Template data over the character limit",
    -1122: "Template data missing parameter",
    -1124: "Template data parameter format invalid",
    -114: "User is inactive, or reject the message, or using an outdated Zalo version, "
    "or other internal errors",
    -117: "OA or App does not have permission to access this template",
    -118: "Zalo account not existed",
    -119: "Account can not receive message",
    -121: "Body data empty",
    -122: "Body data is not valid JSON",
    -124: "Access token invalid",
    -1241: "appsecret_proof invalid",
    -126: "Out of quota in development mode",
    -127: "Template test can only be sent to admin",
    -131: "Template is not approved",
    -132: "Parameter invalid",
    -133: "ZNS can not be sent at night (22:00 - 06:00)",
    -135: "OA does not have permission to send ZNS",
    -1351: "OA is blocked from sending ZNS",
    -136: "Need to link with a ZBS account to use this feature",
    -137: "ZBS account charge failed: not enough balance",
    -139: "User refused this type of ZNS",
    -140: "User is not eligible for ZNS by policy",
    -141: "User refused ZNS from this OA",
    -144: "OA exceeded its daily sending limit",
    -1441: "OA exceeded its monthly promotion quota",
    -145: "OA may not send this type of content",
    -146: "Template disabled for low quality",
    -147: "Template exceeded its daily sending limit",
    -1471: "Monthly limit of this type for this user is reached",
    -1472: "Daily promotion limit for this user is reached",
    -148: "Journey token not found",
    -149: "Journey token invalid",
    -1491: "Journey token type does not match the template",
    -150: "Journey token expired",
    -161: "sending_mode invalid",
    -162: "sending_mode is not allowed for this template tag",
    404: "You are accessing an empty or invalid API",
}

OAUTH: Final = {
    -14002: "Invalid app id.",
    -14003: "Invalid redirect uri.",
    -14004: "Invalid secret key.",
    -14005: "Invalid authorization code.",
    -14012: "Wrong Official Account.",
    -14014: "Invalid refresh token.",
    -14018: "Invalid grant type.",
    -14019: "Authorization code expired.",
    -14020: "Refresh token expired.",
}
