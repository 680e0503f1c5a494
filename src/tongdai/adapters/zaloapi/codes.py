"""Every code with which Zalo says no: what it asks of us, and what it means in English.

From Zalo's pages on error codes of the OA API and of ZNS / ZBS template messages; those of the token endpoint
are on no page, and are as its answers have been seen. The numbers of the three do not overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tongdai.ports.zalo import Refusal

_A, _R, _T = Refusal.ADMIN, Refusal.ACCESS, Refusal.TRANSIENT
_Q, _U, _P = Refusal.QUOTA, Refusal.RECIPIENT, Refusal.REQUEST

Meaning = tuple[Refusal, str]

TOO_OFTEN: Final = -32
NO_JSON: Final = -122
ACCESS_INVALID: Final = -124
JOURNEY_INVALID: Final = -149
SECRET_INVALID: Final = -14004

OA_CODES: Final[Mapping[int, Meaning]] = {
    -32: (_T, "The app or the Official Account reached its limit of requests"),
    -200: (_T, "The message could not be sent"),
    -201: (_P, "A parameter is invalid"),
    -204: (_A, "The Official Account is disabled"),
    -205: (_A, "The Official Account does not exist"),
    -209: (_A, "The app is not activated"),
    -210: (_P, "A parameter exceeds its limit"),
    -211: (_Q, "Out of quota"),
    -212: (_A, "The app has not registered this API"),
    -213: (_U, "The user does not follow the Official Account"),
    -216: (_R, "The access token is invalid"),
    -217: (_U, "The user blocks invitations of the Official Account"),
    -218: (_Q, "The user has received as much as is allowed"),
    -219: (_A, "The app is removed or disabled"),
    -220: (_R, "The access token is expired or removed"),
    -221: (_A, "The Official Account must be verified"),
    -223: (_A, "The Official Account has not authorized this API"),
    -224: (_A, "The Official Account must upgrade its package"),
    -227: (_U, "The user is banned, or inactive for 45 days"),
    -230: (_U, "The user has not interacted with the Official Account for 7 days"),
    -232: (_U, "There is no interaction with the user, or it is over"),
    -233: (_P, "The type of the message is invalid"),
    -234: (_T, "Not between 22:00 and 06:00"),
    -235: (_A, "This type of Official Account is not supported"),
    -240: (_P, "This version of the message API has been shut down"),
    -242: (_A, "The appsecret_proof is invalid"),
    -244: (_U, "The user restricts this type of message"),
    -248: (_P, "The message violates the platform's standards"),
    -249: (_P, "The template cannot be sent to a user id"),
    -320: (_A, "The app needs a Zalo Cloud account"),
    -321: (_Q, "The Zalo Cloud account cannot be charged"),
}

ZNS_CODES: Final[Mapping[int, Meaning]] = {
    -100: (_T, "Unknown error"),
    -101: (_A, "Application invalid"),
    -102: (_A, "Application not existed"),
    -103: (_A, "Application not activated"),
    -104: (_A, "App secret key invalid"),
    -105: (_A, "Application not link to any OA"),
    -106: (_P, "Method unsupported"),
    -107: (_P, "Message ID invalid"),
    -108: (_U, "Phone number invalid"),
    -109: (_P, "Template ID invalid"),
    -1091: (_P, "The template may not be edited"),
    -110: (_U, "Zalo version unsupported"),
    -111: (_P, "Template data empty"),
    -112: (_P, "A type of the template data is not defined"),
    -1121: (_P, "A parameter of the template is too long"),
    -1122: (_P, "A parameter of the template is missing"),
    -1123: (_P, "QR code cannot be generated"),
    -1124: (_P, "A parameter of the template has a wrong format"),
    -113: (_P, "Button invalid"),
    -1131: (_P, "The link of a button has a wrong format"),
    -1132: (_P, "At least one button is needed"),
    # One recent list of a client's has "button content invalid" instead, another leaves it out.
    -114: (
        _U,
        "User is inactive, or reject the message, or using an outdated Zalo version, "
        "or other internal errors",
    ),
    -115: (_Q, "Out of quota"),
    -116: (_P, "Text invalid"),
    -117: (_A, "OA or App does not have permission to access this template"),
    -118: (_U, "Zalo account not existed"),
    -119: (_U, "Account can not receive message"),
    -120: (_A, "The Official Account or the app lacks this feature"),
    -1201: (_A, "The Official Account may not make templates of promotion"),
    -1202: (_A, "The Official Account may not use media"),
    -121: (_P, "The body is empty"),
    -122: (_P, "The body is not valid JSON"),
    -123: (_P, "RSA cannot decode the data"),
    -124: (_R, "Access token invalid"),
    -1241: (_A, "The appsecret_proof is invalid"),
    -125: (_A, "The id of the Official Account is invalid"),
    -126: (_Q, "Out of quota in development mode"),
    -127: (_P, "A test template only goes to administrators"),
    -128: (_P, "The encoding key is missing"),
    -129: (_P, "The RSA key cannot be made"),
    -130: (_P, "The content exceeds its limit of characters"),
    -131: (_A, "The template is not approved"),
    -132: (_P, "A parameter is invalid"),
    -133: (_T, "Not between 22:00 and 06:00"),
    -134: (_U, "The user has not answered the request for consent"),
    -135: (_A, "The Official Account may not send: it is not verified, or on a free plan"),
    -1351: (_A, "The Official Account is blocked for a violation"),
    -136: (_A, "A link to a billing account is required"),
    -137: (_Q, "The billing account could not be charged: its balance is too low"),
    -138: (_A, "The app lacks this feature"),
    -1381: (_A, "The extension lacks the permission to bill"),
    -139: (_U, "The user refuses this type of message"),
    -140: (_U, "The user may not receive this message by policy"),
    -141: (_U, "The user refuses messages of this Official Account"),
    -142: (_P, "The RSA key is missing"),
    -143: (_P, "The RSA key already exists"),
    -144: (_Q, "The Official Account is over its daily limit"),
    -1441: (_Q, "The Official Account is over its monthly quota of promotion"),
    -145: (_A, "The Official Account may not send this type of content"),
    -146: (_A, "The template is disabled for its low quality"),
    -147: (_Q, "The template is over its daily limit"),
    -1471: (_Q, "The monthly limit of follow-up messages to this user is reached"),
    -1472: (_Q, "The daily limit of promotion to this user is reached"),
    -148: (_P, "The journey token is missing or not found"),
    -149: (_P, "The journey token is invalid"),
    -1491: (_P, "The journey token is of another type than the template"),
    -150: (_P, "The journey token is expired"),
    -151: (_P, "The template is not for end-to-end encryption"),
    -152: (_P, "The keys of end-to-end encryption could not be fetched"),
    -153: (_P, "The data breaks the specification"),
    -158: (_P, "The file is too large"),
    -159: (_P, "The format of the file is not allowed"),
    -160: (_Q, "The daily quota of making, editing or uploading is used up"),
    -161: (_P, "The sending mode is not allowed"),
    -162: (_P, "The sending mode is not allowed for this type of content"),
}

TOKEN_CODES: Final[Mapping[int, Meaning]] = {
    -14002: (_A, "The app's id is invalid, or the app is not active"),
    -14003: (_A, "The redirect address is not the one that the app has saved"),
    -14004: (_A, "The app's secret is invalid"),
    -14005: (_P, "The authorization code is invalid, expired or used"),
    -14006: (_P, "The authorization code or refresh token is invalid"),
    -14012: (_A, "The Official Account is owned by somebody else"),
    -14014: (_A, "The refresh token is invalid"),
    -14018: (_P, "The grant type is invalid"),
    -14019: (_P, "The authorization code is expired"),
    -14020: (_A, "The refresh token is expired"),
    -14024: (_A, "The Official Account is owned by somebody else"),
}

CODES: Final[Mapping[int, Meaning]] = {**OA_CODES, **ZNS_CODES, **TOKEN_CODES}

_UNKNOWN: Final[Meaning] = (_P, "Zalo gives a code that is on none of its pages")
_UNKNOWN_OF_TOKENS: Final[Meaning] = (_A, "Zalo refuses the app, or its Official Account")


def meaning(code: int) -> Meaning:
    """Of any code. One that is unknown asks for the request to be mended: what is not understood is never
    repeated by itself. The token endpoint's unknown ones (-14000 to -14999) ask for an administrator."""
    known = CODES.get(code)
    if known is not None:
        return known
    return _UNKNOWN_OF_TOKENS if -14999 <= code <= -14000 else _UNKNOWN
