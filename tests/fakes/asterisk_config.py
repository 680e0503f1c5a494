"""Config texts of an Asterisk of a test's own."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

MODULES = """
res_timing_timerfd format_wav format_pcm format_sln format_gsm codec_ulaw codec_alaw codec_g722 codec_resample codec_gsm
res_sorcery_config res_sorcery_memory res_sorcery_astdb bridge_simple bridge_softmix bridge_holding
bridge_builtin_features func_callerid func_channel func_cdr func_db func_env func_logic func_strings func_timeout
func_global func_hangupcause func_math pbx_config pbx_spool
app_dial app_playback app_record app_amd app_echo app_stasis app_verbose app_senddtmf app_waitforsilence app_mixmonitor
res_pjproject res_pjsip res_pjsip_pubsub res_pjsip_session res_pjsip_sdp_rtp res_rtp_asterisk res_srtp chan_pjsip
res_rtp_multicast chan_rtp res_pjsip_caller_id res_pjsip_dtmf_info res_pjsip_rfc3326 res_pjsip_nat
res_pjsip_outbound_authenticator_digest res_pjsip_outbound_registration res_pjsip_endpoint_identifier_ip
res_pjsip_endpoint_identifier_user res_pjsip_endpoint_identifier_anonymous res_pjsip_logger res_pjsip_header_funcs
res_pjsip_authenticator_digest res_pjsip_registrar res_pjsip_acl res_pjsip_diversion func_pjsip_endpoint
func_pjsip_aor func_pjsip_contact res_pjsip_empty_info res_pjsip_dlg_options res_pjsip_path
res_http_websocket res_stasis res_stasis_answer res_stasis_playback res_stasis_recording res_stasis_snoop
res_stasis_device_state res_ari_model res_ari res_ari_applications res_ari_asterisk res_ari_bridges res_ari_channels
res_websocket_client chan_websocket chan_audiosocket res_audiosocket
res_ari_device_states res_ari_endpoints res_ari_events res_ari_playbacks res_ari_recordings res_ari_sounds
"""
GENERAL = "cel features amd cdr dnsmgr udptl ccss cli manager".split()
EMPTY = "acl codecs musiconhold confbridge extconfig chan_websocket websocket_client stasis".split()


def config_files(
    folder: Path,
    root: Path,
    libraries: str,
    *,
    http: int,
    sip: int,
    rtp: tuple[int, int],
    user: str,
    password: str,
) -> dict[str, str]:
    texts = dict.fromkeys((f"{name}.conf" for name in GENERAL), "[general]\n")
    texts |= dict.fromkeys((f"{name}.conf" for name in EMPTY), ";\n")
    texts["cdr.conf"] = "[general]\nenable=no\n"
    texts["extconfig.conf"] = "[settings]\n"
    texts["pjproject.conf"] = "[startup]\nlog_level=0\n"
    texts["indications.conf"] = (
        "[general]\ncountry=us\n[us]\ndescription=US\nringcadence=2000,4000\ndial=350+440\n"
        "busy=480+620/500,0/500\nring=440+480/2000,0/4000\ncongestion=480+620/250,0/250\n"
    )
    texts["modules.conf"] = "[modules]\nautoload=no\n" + "".join(f"load={m}.so\n" for m in MODULES.split())
    texts["asterisk.conf"] = dedent(f"""\
        [directories]
        astcachedir => {folder}/cache
        astetcdir => {folder}/etc
        astmoddir => {root}/usr/lib/{libraries}/asterisk/modules
        astvarlibdir => {folder}/lib
        astdbdir => {folder}/db
        astkeydir => {folder}/keys
        astdatadir => {root}/usr/share/asterisk
        astagidir => {folder}/lib
        astspooldir => {folder}/spool
        astrundir => {folder}/run
        astlogdir => {folder}/log
        [options]
        nocolor = yes
        documentation_language = en_US
        maxload = 0
        maxfiles = 100000
        hideconnect = yes
        """)
    texts["logger.conf"] = "[general]\ndateformat=%F %T.%3q\n[logfiles]\nmessages => notice,warning,error\n"
    texts["http.conf"] = dedent(f"""\
        [general]
        enabled=yes
        bindaddr=127.0.0.1
        bindport={http}
        sessionlimit=1000
        session_inactivity=30000
        session_keep_alive=30000
        enablestatic=no
        """)
    texts["ari.conf"] = dedent(f"""\
        [general]
        enabled=yes
        pretty=no
        websocket_write_timeout=1000
        [{user}]
        type=user
        read_only=no
        password={password}
        password_format=plain
        """)
    texts["rtp.conf"] = f"[general]\nrtpstart={rtp[0]}\nrtpend={rtp[1]}\nicesupport=no\nstrictrtp=no\n"
    texts["pjsip.conf"] = dedent(f"""\
        [global]
        type=global
        user_agent=tongdai
        unidentified_request_count=50
        [system]
        type=system
        threadpool_initial_size=5
        threadpool_max_size=50
        [td-udp]
        type=transport
        protocol=udp
        bind=127.0.0.1:{sip}
        """)
    texts["sorcery.conf"] = dedent("""\
        [res_pjsip]
        endpoint=config,pjsip.conf,criteria=type=endpoint
        endpoint=memory
        aor=config,pjsip.conf,criteria=type=aor
        aor=memory
        auth=config,pjsip.conf,criteria=type=auth
        auth=memory
        [res_pjsip_endpoint_identifier_ip]
        identify=config,pjsip.conf,criteria=type=identify
        identify=memory
        [res_pjsip_outbound_registration]
        registration=config,pjsip.conf,criteria=type=registration
        registration=memory
        """)
    texts["extensions.conf"] = dedent("""\
        [td-in]
        exten => _X.,1,Stasis(td-in,${EXTEN})
         same => n,Hangup()
        exten => s,1,Stasis(td-in,s)
         same => n,Hangup()
        [td-end]
        exten => s,1,Set(DB(td${STRFTIME(${EPOCH},UTC,%Y%m%d)}/${TDLEG})=${EPOCH} ${HANGUPCAUSE} ${TDLOG})
         same => n,Return()
        """)
    return texts
