"""A SIP telephone as a process: pjsua2, driven by JSON lines over a socket. GPL code is in it, so nothing of
ours imports it; tests/fakes/handset.py starts it and tells what it may be told.

One thread does everything, as the library aborts the process when another one touches its objects, even to
collect them. It allows four calls at once and about twenty new ones a second.
"""

from __future__ import annotations

import gc
import heapq
import json
import os
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pjsua2 as pj  # type: ignore[import-not-found, import-untyped, unused-ignore]

MOST_CALLS = 4
TURN_MS = 10
BUFFER_MS = 100
RETRIES = 50
"""The library frees an ended call's slot some milliseconds later; a new call is tried again so often."""

Message = dict[str, Any]


class Phone:
    def __init__(self, line: socket.socket, folder: str, host: str, sip: int, rtp: int) -> None:
        self.folder = folder
        self.host = host
        self.calls: dict[int, Call] = {}
        self._line = line
        self._input = b""
        self._plans: dict[str, Message] = {}
        self._numbers = count(1)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._over: list[Call] = []
        self._endpoint = self._start()
        transport = pj.TransportConfig()
        transport.port, transport.boundAddress = sip, host
        self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        for codec in self._endpoint.codecEnum2():
            self._endpoint.codecSetPriority(codec.codecId, 0)
        self._endpoint.codecSetPriority("PCMA/8000/1", 200)
        self._endpoint.codecSetPriority("PCMU/8000/1", 199)
        self.account = Account(self)
        self.account.create(self._settings(sip, rtp), True)

    def _start(self) -> Any:
        endpoint = pj.Endpoint()
        endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.maxCalls = MOST_CALLS
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.medConfig.clockRate = 8_000
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        # A buffer that never grows or shrinks: one that adapts leaves out frames that came over the line.
        config.medConfig.jbInit = config.medConfig.jbMinPre = config.medConfig.jbMaxPre = BUFFER_MS
        config.medConfig.jbMax = 1_000
        config.logConfig.level = config.logConfig.consoleLevel = 1
        endpoint.libInit(_without_discarding(config))
        return endpoint

    def _settings(self, sip: int, rtp: int) -> Any:
        account = pj.AccountConfig()
        account.idUri = f"sip:phone@{self.host}:{sip}"
        account.regConfig.registerOnAdd = False
        account.callConfig.timerUse = pj.PJSUA_SIP_TIMER_INACTIVE
        account.mediaConfig.transportConfig.boundAddress = self.host
        account.mediaConfig.transportConfig.port = rtp
        account.mediaConfig.transportConfig.portRange = 200
        return account

    def run(self) -> None:
        while self._obey():
            self._endpoint.libHandleEvents(TURN_MS)
            while self._due and self._due[0][0] <= time.monotonic():
                self.guard(heapq.heappop(self._due)[2])
            for call in self._over:
                self.guard(call.put_away)
            self._over.clear()

    def tell(self, event: str, call: int = 0, **more: object) -> None:
        line = json.dumps({"event": event, "call": call, "at": time.monotonic(), **more})
        self._line.sendall(line.encode() + b"\n")

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), do))

    def guard(self, do: Callable[[], None]) -> None:
        """What goes wrong is told, and does not end the process."""
        try:
            do()
        except Exception as error:
            info = getattr(error, "info", None)
            self.tell("wrong", text=info() if info else traceback.format_exc())

    def ended(self, call: Call) -> None:
        self._over.append(call)

    # ------------------------------------------------------------------ calls

    def comes_in(self, call_id: int) -> None:
        call = Call(self, self.account, next(self._numbers), call_id)
        self.calls[call.number] = call
        info = call.getInfo()
        dialled, caller = _user(info.localUri), _user(info.remoteUri)
        self.tell("incoming", call.number, number=dialled, caller=caller)
        ends = [end for end in self._plans if dialled.endswith(end)]
        call.take(self._plans[max(ends, key=len)] if ends else {})

    def place(self, told: Message, tries: int = 0) -> None:
        call = Call(self, self.account, told["call"])
        call.plan = told["plan"]
        options = pj.CallOpParam(True)
        options.txOption.localUri = f"sip:{told['caller']}@{self.host}"
        self.calls[call.number] = call
        try:
            call.makeCall(told["to"], options)
        except pj.Error:
            del self.calls[call.number]
            if tries >= RETRIES:
                raise
            self.after(0.02, lambda: self.place(told, tries + 1))

    # ------------------------------------------------------------------ orders

    def _obey(self) -> bool:
        try:
            data = self._line.recv(65_536)
            if not data:
                return False
            self._input += data
        except BlockingIOError:
            return True
        *lines, self._input = self._input.split(b"\n")
        for line in lines:
            self.guard(partial(self._do, json.loads(line)))
        return True

    def _do(self, told: Message) -> None:
        if told["do"] == "plan":
            self._plans[told["ends"]] = told["plan"]
            self.tell("planned")
        elif told["do"] == "call":
            self.place(told)
        elif told["call"] in self.calls:
            self.calls[told["call"]].do(told)


class Account(pj.Account):  # type: ignore[misc]
    def __init__(self, phone: Phone) -> None:
        super().__init__()
        self._phone = phone

    def onIncomingCall(self, told: Any) -> None:  # noqa: N802 - the library's name
        self._phone.guard(lambda: self._phone.comes_in(told.callId))


class Call(pj.Call):  # type: ignore[misc]
    """A call and its plan: see Plan in tests/fakes/handset.py."""

    def __init__(self, phone: Phone, account: Account, number: int, call_id: int = -1) -> None:
        super().__init__(account, call_id)
        self.number = number
        self.plan: Message = {}
        self._phone = phone
        self._heard = f"{phone.folder}/heard-{number}.wav"
        self._recorder: Any = None
        self._players: list[Any] = []
        self._is_up = False
        self._is_over = False

    def take(self, plan: Message) -> None:
        self.plan = plan
        if plan.get("early"):
            self._say(183)
        elif plan.get("rings", True):
            self._say(180)
        status = plan.get("status", 200)
        self._phone.after(plan.get("ring_s", 0.1), lambda: None if self._is_over else self._say(status))

    def do(self, told: Message) -> None:
        what = told["do"]
        if what == "press":
            self._press(told)
        elif what == "speak":
            self._speak(told["file"])
        elif what == "hang_up":
            self._hang_up()
        elif what == "answer":
            self._say(told["status"])

    def put_away(self) -> None:
        """Lets go of everything of the call. The file is whole some turns after its recorder is gone."""
        had_sound = self._recorder is not None
        self._players.clear()
        self._recorder = None
        self._phone.calls.pop(self.number, None)
        if had_sound:
            self._tell_of_file()
        else:
            self._phone.tell("put_away", self.number)

    def _tell_of_file(self) -> None:
        if _is_whole(self._heard):
            self._phone.tell("put_away", self.number, file=self._heard)
        else:
            self._phone.after(0.01, self._tell_of_file)

    # ------------------------------------------------------------------ what the library tells

    def onCallState(self, _: Any) -> None:  # noqa: N802 - the library's name
        self._phone.guard(self._state_changed)

    def onCallMediaState(self, _: Any) -> None:  # noqa: N802 - the library's name
        self._phone.guard(self._sound_begins)

    def onDtmfDigit(self, told: Any) -> None:  # noqa: N802 - the library's name
        digit = told.digit
        self._phone.guard(lambda: self._phone.tell("digit", self.number, digit=digit))

    def _state_changed(self) -> None:
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY:
            self._phone.tell("ringing", self.number, status=info.lastStatusCode)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._is_up = True
            self._phone.tell("answered", self.number)
            self._follow_plan()
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._is_over = True
            self._phone.tell("ended", self.number, status=info.lastStatusCode, reason=info.lastReason)
            self._phone.ended(self)

    def _sound_begins(self) -> None:
        if self._recorder is None and not self._is_over:
            self._recorder = pj.AudioMediaRecorder()
            self._recorder.createRecorder(self._heard)
            self.getAudioMedia(-1).startTransmit(self._recorder)
            self._phone.tell("sound", self.number)

    # ------------------------------------------------------------------ what it does

    def _follow_plan(self) -> None:
        plan = self.plan
        if plan.get("speaks"):
            self._later(plan.get("speaks_after_s", 0.0), lambda: self._speak(plan["speaks"]))
        for press in plan.get("presses", ()):
            self._later(press["after_s"], partial(self._press, press))
        if plan.get("hangs_up_after_s") is not None:
            self._later(plan["hangs_up_after_s"], self._hang_up)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._phone.after(seconds, lambda: None if self._is_over else do())

    def _say(self, status: int) -> None:
        options = pj.CallOpParam()
        options.statusCode = status
        self.answer(options)

    def _hang_up(self) -> None:
        if not self._is_over:
            self.hangup(pj.CallOpParam())

    def _speak(self, file: str) -> None:
        player = pj.AudioMediaPlayer()
        player.createPlayer(file, pj.PJMEDIA_FILE_NO_LOOP)
        player.startTransmit(self.getAudioMedia(-1))
        self._players.append(player)
        self._phone.tell("speaks", self.number)

    def _press(self, told: Message) -> None:
        options = pj.CallSendDtmfParam()
        info = told.get("how") == "info"
        options.method = pj.PJSUA_DTMF_METHOD_SIP_INFO if info else pj.PJSUA_DTMF_METHOD_RFC2833
        options.digits = told["digits"]
        options.duration = told.get("duration_ms", 160)
        self.sendDtmf(options)
        self._phone.tell("pressed", self.number, digits=told["digits"])


def _without_discarding(config: Any) -> Any:
    """The same, but no frame is left out to shorten the buffer. Python cannot set that field; JSON can."""
    document = pj.JsonDocument()
    document.writeObject(config)
    text, times = re.subn(r'("jbDiscardAlgo":\s*)\d+', r"\g<1>0", document.saveString())
    assert times == 1
    changed, document = pj.EpConfig(), pj.JsonDocument()
    document.loadString(text)
    document.readObject(changed)
    return changed


def _is_whole(file: str) -> bool:
    """The length in a RIFF file's head is written last."""
    with open(file, "rb") as wav:
        head = wav.read(8)
        return len(head) == 8 and int.from_bytes(head[4:], "little") == os.fstat(wav.fileno()).st_size - 8 > 0


def _user(uri: str) -> str:
    """sip:0912345678@… with or without a name and brackets."""
    return uri.rpartition("sip:")[2].partition("@")[0]


def main() -> None:
    fd, folder, host, sip, rtp = sys.argv[1:]
    gc.disable()
    line = socket.socket(fileno=int(fd))
    phone = Phone(line, folder, host, int(sip), int(rtp))
    line.setblocking(True)
    line.settimeout(0)
    phone.tell("ready")
    phone.run()
    # The library takes a second to end in order, and there is nothing left to put in order.
    os._exit(0)


if __name__ == "__main__":
    main()
