"""What the far end does for each dialled number, as scenarios of sipp: the last three digits choose.

001  answers and listens              013  a status that nobody has heard of (433)
002  rings out                        014  sound before the answer, then answers
003  busy                             015  sound before the answer, then 404
004  rings, then declines             016  invites us anew in the midst of the call
005  404                              017  says nothing for a second, then rings
006  a machine's greeting             018  answers, then vanishes without BYE
007  answers, presses 1 (RFC 4733)    019  asks who we are (407), then answers
008  answers, presses 2               020  never says anything
009  answers, hangs up after 0.3 s    021  answers, presses 5 by SIP INFO
010  503                              022  answers, hangs up after 2 s
011  rings for 5 s, then answers      023  answers and says "hello": half a second of 300 Hz
012  480                              024  asks who we are (401), then answers
                                      025  183 without a sound, and no more

400 to 699 refuse with that SIP status; every other number does as 001. Who answers has rung for 0.3 s.

In the scenarios `[relay]` is the port that all messages go through (tests/fakes/sipp_relay.py), and `[ear]`
the port that sound is sent to. A call may be cancelled while it rings and ended by us at any time later.
"""

from __future__ import annotations

from collections.abc import Mapping

USERNAME = "tongdai"
PASSWORD = "open sesame"
"""What 019 and the registrar ask for."""
REASONS = {
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    410: "Gone",
    480: "Temporarily Unavailable",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
    603: "Decline",
}

_HEAD = """[last_Via:]
[last_From:]
[last_To:];tag=[pid]T[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:far-end@[local_ip]:[relay]>
"""
_SAME_TO = _HEAD.replace(";tag=[pid]T[call_number]", "")
_SDP = """v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio {port} RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
"""
_LISTENS = _SDP.format(port="[ear]")
_SPEAKS = _SDP.format(port="[rtpstream_audio_port]")

_INVITE = """<recv request="INVITE" crlf="true"><action>
<ereg regexp="[0-9]+" search_in="hdr" header="CSeq:" assign_to="cseq"/>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/>
<ereg regexp=".*" search_in="hdr" header="To:" assign_to="to"/>
<ereg regexp="sip:[^>;]*" search_in="hdr" header="Contact:" assign_to="peer"/>
</action></recv>
"""
_USED = '<Reference variables="cseq,from,to,peer"/>\n'


def _send(text: str, sdp: str = "", *, again: bool = False) -> str:
    body = (
        f"Content-Type: application/sdp\nContent-Length: [len]\n\n{sdp}" if sdp else "Content-Length: 0\n\n"
    )
    retrans = ' retrans="500"' if again else ""
    return f"<send{retrans}><![CDATA[\n{text}{body}]]></send>\n"


def _answer(status: str, sdp: str = "", *, again: bool = False) -> str:
    return _send(f"SIP/2.0 {status}\n{_HEAD}", sdp, again=again)


def _request(method: str, cseq: int, sdp: str = "", *, again: bool = False) -> str:
    text = f"""{method} [$peer] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[relay];branch=[branch]
Max-Forwards: 70
From:[$to];tag=[pid]T[call_number]
To:[$from]
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:far-end@[local_ip]:[relay]>
"""
    return _send(text, sdp, again=again)


_TRYING = _answer("100 Trying")
_RINGS = _answer("180 Ringing")
_ACK = '<recv request="ACK" crlf="true"/>\n'
_ACK_OF_ANSWER = """<recv request="CANCEL" optional="true" next="crossed"/>
<recv request="BYE" optional="true" next="ended"/>
<recv request="ACK" crlf="true"/>
"""
_OK_TO_CANCEL = _send(f"SIP/2.0 200 OK\n{_HEAD}")
_OK_TO_BYE = _send(f"SIP/2.0 200 OK\n{_SAME_TO}")
_TERMINATED = _send(
    f"SIP/2.0 487 Request Terminated\n{_HEAD}".replace("[last_CSeq:]", "CSeq: [$cseq] INVITE"), again=True
)


def _wait(ms: int, label: str) -> str:
    """Rings on for so long, unless it is cancelled."""
    cancelled = f'<nop next="go_{label}"/>\n'
    return f"""<recv request="CANCEL" timeout="{ms}" ontimeout="go_{label}" next="cancelled"/>
{cancelled}<label id="go_{label}"/>
"""


def _talk(ms: int, label: str) -> str:
    """The call stays up for so long, unless the caller ends it."""
    return f"""<recv request="BYE" timeout="{ms}" ontimeout="on_{label}" next="ended"/>
<nop next="on_{label}"/>
<label id="on_{label}"/>
"""


_UNTIL_BYE = '<recv request="BYE" crlf="true" next="ended"/>\n'
_ENDINGS = f"""<nop next="over"/>
<label id="crossed"/>
{_OK_TO_CANCEL}{_ACK}{_UNTIL_BYE}<label id="cancelled"/>
{_OK_TO_CANCEL}{_TERMINATED}{_ACK}<nop next="over"/>
<label id="ended"/>
{_OK_TO_BYE}<label id="over"/>
"""


def _picks_up(sdp: str = _LISTENS) -> str:
    return _answer("200 OK", sdp=sdp, again=True) + _ACK_OF_ANSWER


def _stream(sound: str) -> str:
    return f'<nop><action><exec rtp_stream="[sounds]/{sound}.alaw,1,8,PCMA/8000"/></action></nop>\n'


def _refuses(status: int) -> str:
    return _answer(f"{status} {REASONS.get(status, 'Refused')}", again=True) + _ACK


_BYE = _request("BYE", 3, again=True) + '<recv response="200" crlf="true" next="over"/>\n'
_INFO_5 = _request("INFO", 2, again=True).replace(
    "Content-Length: 0\n\n",
    "Content-Type: application/dtmf-relay\nContent-Length: [len]\n\nSignal=5\nDuration=160\n",
)
_CHALLENGE = 'Digest realm="far-end", nonce="47ebe028cda119c35d4877b383027d28", algorithm=MD5'
_LOGIN = f'<verifyauth assign_to="known" username="{USERNAME}" password="{PASSWORD}"/>'

# sipp checks the answer to a 401 and not that to a 407: there it only looks whether one was given.
_LOOK = (
    f'<ereg regexp="username=.{USERNAME}.,.*response=" search_in="hdr" header="Proxy-Authorization:"'
    ' assign_to="known"/>'
)


def _asks_who(status: str, header: str, check: str) -> str:
    return (
        _INVITE
        + _send(f"SIP/2.0 {status}\n{_HEAD}{header}: {_CHALLENGE}\n", again=True)
        + _ACK
        + _INVITE.replace("</action>", f"{check}</action>")
        + '<nop next="in" test="known"/>\n'
        + _refuses(403)
        + '<nop next="over"/>\n<label id="in"/>\n'
        + _TRYING
        + _RINGS
        + _wait(300, "a")
        + _picks_up()
        + _UNTIL_BYE
    )


_BODIES: Mapping[str, str] = {
    "001": _INVITE + _TRYING + _RINGS + _wait(300, "a") + _picks_up() + _UNTIL_BYE,
    "002": _INVITE + _TRYING + _RINGS + _wait(60_000, "a") + _refuses(408),
    "004": _INVITE + _TRYING + _RINGS + _wait(700, "a") + _refuses(603),
    "006": _INVITE
    + _TRYING
    + _RINGS
    + _wait(300, "a")
    + _picks_up(_SPEAKS)
    + _stream("machine")
    + _UNTIL_BYE,
    "009": _INVITE + _TRYING + _RINGS + _wait(300, "a") + _picks_up() + _talk(300, "b") + _BYE,
    "011": _INVITE + _TRYING + _RINGS + _wait(5_000, "a") + _picks_up() + _UNTIL_BYE,
    "014": _INVITE
    + _TRYING
    + _answer("183 Session Progress", sdp=_SPEAKS)
    + _stream("ringback")
    + _wait(1_000, "a")
    + _picks_up(_SPEAKS)
    + _UNTIL_BYE,
    "015": _INVITE
    + _TRYING
    + _answer("183 Session Progress", sdp=_SPEAKS)
    + _stream("ringback")
    + _wait(1_000, "a")
    + _refuses(404),
    "016": _INVITE
    + _TRYING
    + _RINGS
    + _wait(300, "a")
    + _picks_up()
    + _talk(1_000, "b")
    + _request("INVITE", 2, sdp=_LISTENS, again=True)
    + '<recv response="100" optional="true"/>\n<recv response="200" crlf="true"/>\n'
    + _request("ACK", 2)
    + _UNTIL_BYE,
    "017": _INVITE + _wait(1_000, "a") + _TRYING + _RINGS + _wait(300, "b") + _picks_up() + _UNTIL_BYE,
    "018": _INVITE + _TRYING + _RINGS + _wait(300, "a") + _picks_up() + '<pause milliseconds="600000"/>\n',
    "019": _asks_who("407 Proxy Authentication Required", "Proxy-Authenticate", _LOOK),
    "020": _INVITE + '<pause milliseconds="60000"/>\n',
    "021": _INVITE
    + _TRYING
    + _RINGS
    + _wait(300, "a")
    + _picks_up()
    + _talk(1_000, "b")
    + _INFO_5
    + '<recv response="200" crlf="true"/>\n'
    + _UNTIL_BYE,
    "022": _INVITE + _TRYING + _RINGS + _wait(300, "a") + _picks_up() + _talk(2_000, "b") + _BYE,
    "023": _INVITE + _TRYING + _RINGS + _wait(300, "a") + _picks_up(_SPEAKS) + _stream("hello") + _UNTIL_BYE,
    "024": _asks_who("401 Unauthorized", "WWW-Authenticate", _LOGIN),
    "025": _INVITE
    + _TRYING
    + _answer("183 Session Progress", sdp=_SPEAKS)
    + _wait(60_000, "a")
    + _refuses(408),
}
REFUSED = {"003": 486, "005": 404, "010": 503, "012": 480, "013": 433}
PRESSED = {"007": "1", "008": "2"}
"""By RFC 4733, `PRESSED_AFTER_S` after the answer. sipp needs root for that: the relay sends the packets."""
PRESSED_AFTER_S = 1.0
REGISTRAR = "register"

_REGISTERED = _SAME_TO.replace("Contact: <sip:far-end@[local_ip]:[relay]>", "[last_Contact:];expires=60")
_REGISTER = (
    '<recv request="REGISTER" crlf="true"/>\n'
    + _send(f"SIP/2.0 401 Unauthorized\n{_HEAD}WWW-Authenticate: {_CHALLENGE}\n")
    + f'<recv request="REGISTER" crlf="true"><action>{_LOGIN}</action></recv>\n'
    + '<nop next="in" test="known"/>\n'
    + _send(f"SIP/2.0 403 Forbidden\n{_HEAD}")
    + '<nop next="over"/>\n<label id="in"/>\n'
    + _send(f"SIP/2.0 200 OK\n{_REGISTERED}")
    + '<label id="over"/>\n'
)


def kind_of(number: str) -> str:
    """Which scenario a dialled number has: a key for `scenario`, of three digits."""
    digits = number[-3:]
    if digits in REFUSED:
        return str(REFUSED[digits])
    if digits in PRESSED:
        return "001"
    if digits in _BODIES or (digits.isdigit() and 400 <= int(digits) <= 699):
        return digits
    return "001"


def scenario(kind: str) -> str:
    """The text of a scenario for sipp."""
    if kind == REGISTRAR:
        body = _REGISTER
    elif kind in _BODIES:
        body = _BODIES[kind] + _ENDINGS + _USED
    else:
        body = _INVITE + _TRYING + _refuses(int(kind)) + _USED
    return f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="{kind}">\n{body}</scenario>\n'


def behaviours(kind: str) -> str:
    """What sipp does by itself: for a far end that is gone, nothing."""
    return "none" if kind in ("018", "020") else "all"
