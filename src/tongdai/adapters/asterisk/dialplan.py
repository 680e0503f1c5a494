"""The text of every configuration file that a node needs. Pure: nothing is written or asked here.

Two kinds of node: an instance of our own, which has every directory to itself (`instance_files`), and an
Asterisk that does other work too, which includes a few files of ours (`existing_files`). Trunks stand in none
of them; they are pushed at run time.

What the engine and these files agree on:

- `td-in,<any>,1` and `td-in-to,<any>,1`: a call from a trunk. It enters the Stasis application `td-in` with
  the arguments trunk id and called number as the carrier wrote it: in the request's address, or in `To` for a
  trunk that registers. With nobody to hear it, it is refused with 503. The call has an absolute limit of
  `INCOMING_LIMIT_S` from then on; whoever accepts it sets `TIMEOUT(absolute)` anew.
- `td-end,s,1`: the hangup handler of a leg. It writes what became of the leg into AstDB: under the family
  `td<YYYYMMDD>` (the day of the end in UTC) and the key `<leg id>` the line
  `<epoch with milliseconds>|<Q.850 cause>|<the SIP status that was heard last, or nothing>|<STASISSTATUS,
  nothing when nobody answered>|<state of the channel, "Ringing" when the phone rang>|<log>` (`ends` reads
  it), and each further part of the log under `<leg id>.<n>`, 1 to `LOG_PARTS`, up to the first that is empty.
  The leg is `TDLEG`, or else what follows `td-` in the channel's id. The log is the global
  variable `TDL<leg id>`, its further parts `TDL<leg id>_<n>`; without one, it is `TDLOG` of the channel.
  Where a client has set a variable of the channel, this needs `live_dangerously = yes` in asterisk.conf.
- `td-amd,s,1`: listens whether a person or a machine has answered, then enters the application that `TDAPP`
  names with `amd`, status and cause. `TDAMD` may hold arguments of AMD.
- `td-purge,<YYYYMMDD>,1`: forgets the ends of that day. Reached as `Local/<YYYYMMDD>@td-purge`; rings
  nothing.
- `td-read,<leg id>,1`: reads what `td-end` wrote of a leg today or yesterday into `TDREC`, `TDREC1` and so on
  of this channel, sets `TDREAD` to 1 and does nothing for `STILL_S`. Reached as `Local/<leg id>@td-read`;
  rings nothing. Functions that read AstDB are closed to ARI itself.
- `td-still,s,1`: does nothing for `STILL_S`. Reached as `Local/s@td-still`; rings nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

INCOMING_APP: Final = "td-in"
INCOMING_CONTEXT: Final = "td-in"
REGISTERED_CONTEXT: Final = "td-in-to"
END_HANDLER: Final = "td-end,s,1"
AMD_CONTEXT: Final = "td-amd"
PURGE_CONTEXT: Final = "td-purge"
STILL_CONTEXT: Final = "td-still"
READ_CONTEXT: Final = "td-read"

LOG_PARTS: Final = 12
"""Further parts of a leg's log that are kept, each of at most 3,000 bytes."""
INCOMING_LIMIT_S: Final = 300
"""After so long a call that nobody accepted ends, should whoever heard it be gone."""
STILL_S: Final = 60
_CONGESTION: Final = 34
"""Q.850 cause, which Asterisk answers with SIP status 503: the carrier may try another node."""

_MODULES: Final = """
res_timing_timerfd format_wav format_pcm format_sln codec_ulaw codec_alaw codec_g722 codec_resample
res_sorcery_config res_sorcery_memory res_sorcery_astdb bridge_simple bridge_softmix bridge_holding
bridge_builtin_features func_callerid func_channel func_cut func_db func_global func_hangupcause func_logic
func_strings func_timeout pbx_config pbx_spool app_stack app_db app_amd app_dial app_echo app_stasis
app_verbose app_playback app_record res_pjproject res_pjsip res_pjsip_pubsub res_pjsip_session
res_pjsip_sdp_rtp res_rtp_asterisk res_srtp chan_pjsip res_pjsip_caller_id res_pjsip_dtmf_info
res_pjsip_rfc3326 res_pjsip_nat res_pjsip_outbound_authenticator_digest res_pjsip_outbound_registration
res_pjsip_endpoint_identifier_ip res_pjsip_authenticator_digest res_pjsip_logger res_pjsip_header_funcs
res_pjsip_acl res_pjsip_diversion res_pjsip_empty_info res_pjsip_dlg_options res_pjsip_path
res_http_websocket res_websocket_client res_stasis res_stasis_answer res_stasis_playback
res_stasis_recording res_stasis_snoop res_stasis_device_state res_ari_model res_ari res_ari_applications
res_ari_asterisk res_ari_bridges res_ari_channels res_ari_device_states res_ari_endpoints res_ari_events
res_ari_playbacks res_ari_recordings res_ari_sounds
"""
"""All that is loaded, and nothing that would take calls or registrations from anybody but a trunk."""

# Asterisk warns of those that it does not find.
_EMPTY: Final = (
    "acl", "ccss", "cel", "cli", "codecs", "dnsmgr", "extconfig", "features", "musiconhold", "stasis",
    "udptl", "websocket_client",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What a node listens on, and who may ask it."""

    username: str
    password: str = field(repr=False)
    address: str = "127.0.0.1"
    """Of SIP and sound; 0.0.0.0: all of the machine."""
    sip_port: int = 5060
    """For UDP and TCP."""
    tls_port: int | None = None
    """None: no TLS."""
    certificate: str = ""
    """PEM file with a certificate and its key, for TLS; "": carriers are called over TLS, but cannot call."""
    external_address: str = ""
    """Where carriers find the node when it stands behind NAT."""
    local_networks: tuple[str, ...] = ()
    """Networks that are on this side of it."""
    http_address: str = "127.0.0.1"
    http_port: int = 8088


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An Asterisk of our own: one folder holds its configuration and all its state."""

    folder: Path
    """The files belong into its `etc`."""
    modules: Path
    """Where Asterisk's modules are."""
    data: Path
    """Asterisk's own data (/usr/share/asterisk), with its documentation, which it needs."""
    listening: Listening
    rtp_ports: tuple[int, int] = (10_000, 19_999)
    """First and last; a call takes two."""


def folders(instance: Instance) -> list[Path]:
    """What has to be there before it starts."""
    below = (
        "etc", "lib", "db", "keys", "cache", "sounds", "run", "log",
        "spool/outgoing", "spool/tmp", "spool/recording", "spool/monitor", "spool/voicemail",
    )  # fmt: skip
    return [instance.folder / one for one in below]


def instance_files(instance: Instance) -> dict[str, str]:
    """Text of each file by its name in the instance's `etc`, for `asterisk -C <folder>/etc/asterisk.conf`."""
    listening = instance.listening
    first, last = instance.rtp_ports
    written = {
        "asterisk.conf": _asterisk(instance),
        "modules.conf": _modules(),
        "logger.conf": "[general]\ndateformat=%F %T.%3q\n[logfiles]\nmessages => warning,error\n",
        "http.conf": "[general]\n" + _http(listening) + _http_sessions(),
        "ari.conf": "[general]\n" + _ari_general() + _ari_user(listening),
        "rtp.conf": f"[general]\nrtpstart={first}\nrtpend={last}\nicesupport=no\nstrictrtp=yes\n",
        "pjsip.conf": _pjsip_global() + transports(listening),
        "sorcery.conf": sorcery(),
        "extensions.conf": extensions(),
        "amd.conf": "[general]\n",
        "cdr.conf": "[general]\nenable=no\n",
        "manager.conf": "[general]\nenabled=no\n",
        "pjproject.conf": "[startup]\nlog_level=0\n",
        "indications.conf": _indications(),
    }
    return {**{f"{name}.conf": ";\n" for name in _EMPTY}, **written}


def existing_files(listening: Listening) -> dict[str, str]:
    """Text of each file that an Asterisk with other work includes, by the name of the file that includes it.

    The name of each is that of Asterisk's own file, at whose end an `#include` of ours belongs. Our trunks
    have transports of their own, so that nothing of the other work changes; `sip_port` must be free.
    """
    return {
        "http.conf": "[general](+)\n" + _http(listening),
        "ari.conf": "[general](+)\n" + _ari_general() + _ari_user(listening),
        "pjsip.conf": transports(listening),
        "sorcery.conf": sorcery(),
        "extensions.conf": extensions(),
    }


def transports(listening: Listening) -> str:
    """Sections of pjsip.conf: `td-udp`, `td-tcp` and, with a port, `td-tls`. Trunks name them."""
    shared = []
    if listening.external_address:
        shared += [f"external_media_address={listening.external_address}"]
        shared += [f"external_signaling_address={listening.external_address}"]
    shared += [f"local_net={network}" for network in listening.local_networks]
    bind = _bind(listening.address, listening.sip_port)
    text = "".join(
        _section(f"td-{way}", "transport", f"protocol={way}", bind, *shared) for way in ("udp", "tcp")
    )
    if listening.tls_port is not None:
        secure = ["method=tlsv1_2", "verify_server=yes", "ca_list_path=/etc/ssl/certs"]
        if listening.certificate:
            secure += [f"cert_file={listening.certificate}", f"priv_key_file={listening.certificate}"]
        bind = _bind(listening.address, listening.tls_port)
        text += _section("td-tls", "transport", "protocol=tls", bind, *secure, *shared)
    return text


def sorcery() -> str:
    """sorcery.conf: where trunks are kept. In memory: they are pushed again after a restart, and no password
    lies on the node's disk. Objects of pjsip.conf go on to be found."""
    kinds: Mapping[str, tuple[str, ...]] = {
        "res_pjsip": ("endpoint", "aor", "auth"),
        "res_pjsip_endpoint_identifier_ip": ("identify",),
        "res_pjsip_outbound_registration": ("registration",),
    }
    lines = []
    for module, names in kinds.items():
        lines.append(f"[{module}]")
        for name in names:
            lines += [f"{name}=config,pjsip.conf,criteria=type={name}", f"{name}=memory"]
    return "\n".join(lines) + "\n"


def extensions() -> str:
    """Sections of extensions.conf, as the module says."""
    return _incoming() + _end() + _others()


def _incoming() -> str:
    # Not `_.`, which would match `h` too and run once more at the end.
    patterns = ("_[+0-9*#]!", "_[A-Za-z][A-Za-z0-9]!", "s")
    called = {
        INCOMING_CONTEXT: "${EXTEN}",
        REGISTERED_CONTEXT: "${PJSIP_PARSE_URI(${CHANNEL(pjsip,local_uri)},user)}",
    }
    entries = "".join(
        f"[{context}]\n"
        + "".join(
            f"exten => {one},1,Set(TDCALLED={number})\n same => n,Goto(td-come,s,1)\n" for one in patterns
        )
        + "\n"
        for context, number in called.items()
    )
    return f"""{entries}[td-come]
exten => s,1,Set(TIMEOUT(absolute)={INCOMING_LIMIT_S})
 same => n,Stasis({INCOMING_APP},${{CHANNEL(endpoint):2}},${{FILTER(0-9A-Za-z+*#._,${{TDCALLED}})}})
 same => n,Hangup({_CONGESTION})

"""


def _end() -> str:
    parts = "".join(
        f' same => n,GotoIf($["${{LEN(${{TDL${{TDOF}}_{n}}})}}" = "0"]?done)\n'
        f" same => n,Set(DB(${{TDKEY}}.{n})=${{TDL${{TDOF}}_{n}}})\n"
        for n in range(1, LOG_PARTS + 1)
    )
    return f"""[td-end]
exten => s,1,Set(TDOF=${{IF($["${{TDLEG}}" = ""]?${{CHANNEL(uniqueid):3}}:${{TDLEG}})}})
 same => n,Set(TDKEY=td${{STRFTIME(${{EPOCH}},UTC,%Y%m%d)}}/${{TDOF}})
 same => n,Set(TDSIP=${{HANGUPCAUSE(${{CHANNEL(name)}},tech)}})
 same => n,Set(TDEND=${{STRFTIME(,UTC,%s.%3q)}}|${{HANGUPCAUSE}}|${{TDSIP:4:3}})
 same => n,Set(TDEND=${{TDEND}}|${{STASISSTATUS}}|${{CHANNEL(state)}})
 same => n,GotoIf($["${{LEN(${{TDL${{TDOF}}}})}}" = "0"]?write)
 same => n,Set(TDLOG=${{TDL${{TDOF}}}})
 same => n(write),Set(DB(${{TDKEY}})=${{TDEND}}|${{TDLOG}})
{parts} same => n(done),Return()

"""


def _others() -> str:
    day = "STRFTIME({},UTC,%Y%m%d)"
    days = (day.format("${EPOCH}"), day.format("$[${EPOCH} - 86400]"))
    find = "".join(
        f" same => n,Set(TDKEY=td${{{one}}}/${{EXTEN}})\n"
        f' same => n,GotoIf($["${{DB(${{TDKEY}})}}" != ""]?found)\n'
        for one in days
    )
    parts = "".join(
        f" same => n,Set(TDREC{n}=${{DB(${{TDKEY}}.{n})}})\n"
        f' same => n,GotoIf($["${{LEN(${{TDREC{n}}})}}" = "0"]?read)\n'
        for n in range(1, LOG_PARTS + 1)
    )
    return f"""[{READ_CONTEXT}]
exten => _X!,1,NoOp()
{find} same => n,Goto(read)
 same => n(found),Set(TDREC=${{DB(${{TDKEY}})}})
{parts} same => n(read),Set(TDREAD=1)
 same => n,Wait({STILL_S})
 same => n,Hangup()

[{AMD_CONTEXT}]
exten => s,1,AMD(${{TDAMD}})
 same => n,Stasis(${{TDAPP}},amd,${{AMDSTATUS}},${{AMDCAUSE}})
 same => n,Hangup()

[{PURGE_CONTEXT}]
exten => _X!,1,DBdeltree(td${{EXTEN}})
 same => n,Hangup()

[{STILL_CONTEXT}]
exten => s,1,Wait({STILL_S})
 same => n,Hangup()
"""


def _asterisk(instance: Instance) -> str:
    at = instance.folder
    places: Mapping[str, Path] = {
        "astcachedir": at / "cache",
        "astetcdir": at / "etc",
        "astmoddir": instance.modules,
        "astvarlibdir": at / "lib",
        "astdbdir": at / "db",
        "astkeydir": at / "keys",
        "astdatadir": instance.data,
        "astagidir": at / "lib",
        "astspooldir": at / "spool",
        "astrundir": at / "run",
        "astlogdir": at / "log",
    }
    directories = "".join(f"{name} => {place}\n" for name, place in places.items())
    # A call takes several files (sound, its control, timers); how many there are is the cap's matter.
    options = "nocolor = yes\nmaxfiles = 65536\nhideconnect = yes\n"
    # A channel on which a client has set a variable may not write AstDB otherwise, and the ends of calls
    # would be lost. What else this opens to clients are functions of modules that are not loaded here.
    options += "live_dangerously = yes\n"
    # A key shorter than this, 80 ms unless told, is stretched, and one that comes meanwhile is told twice.
    options += "mindtmfduration = 0\n"
    # Where it may: a thread of sound that waits for the processor is heard, and recorded, as a gap.
    options += "highpriority = yes\n"
    return f"[directories]\n{directories}[options]\n{options}"


def _modules() -> str:
    return "[modules]\nautoload=no\n" + "".join(f"load={name}.so\n" for name in _MODULES.split())


def _http(listening: Listening) -> str:
    return f"enabled=yes\nbindaddr={listening.http_address}\nbindport={listening.http_port}\n"


def _http_sessions() -> str:
    # Connections are few and kept: each client has a WebSocket, and fetches recordings.
    return "enable_static=no\nsessionlimit=1000\nsession_inactivity=30000\nsession_keep_alive=30000\n"


def _ari_general() -> str:
    # So many milliseconds a client may be slow before it is closed; by default hardly any.
    return "enabled=yes\nwebsocket_write_timeout=1000\n"


def _ari_user(listening: Listening) -> str:
    secret = f"password={listening.password}\npassword_format=plain\n"
    return f"[{listening.username}]\ntype=user\nread_only=no\n{secret}"


def _pjsip_global() -> str:
    # Who calls is known by address alone: a name in From proves nothing.
    return _section(
        "global", "global", "user_agent=tongdai", "default_from_user=tongdai", "endpoint_identifier_order=ip"
    ) + _section("system", "system", "threadpool_initial_size=5", "threadpool_max_size=50")


def _indications() -> str:
    # ITU-T E.180: 425 Hz, one second in five while it rings.
    tones = "dial=425\nbusy=425/500,0/500\nring=425/1000,0/4000\ncongestion=425/250,0/250\n"
    return f"[general]\ncountry=vn\n[vn]\ndescription=Vietnam\nringcadence=1000,4000\n{tones}"


def _section(name: str, kind: str, *lines: str) -> str:
    return "\n".join([f"[{name}]", f"type={kind}", *lines]) + "\n\n"


def _bind(address: str, port: int) -> str:
    return f"bind=[{address}]:{port}" if ":" in address else f"bind={address}:{port}"
