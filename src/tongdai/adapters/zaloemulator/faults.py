"""What is made to go wrong: by path, a number of times, before or after the thing is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from tongdai.adapters.zaloemulator.exchange import Answer, encode
from tongdai.adapters.zaloemulator.fixtures import FixtureError

Kind = Literal[
    "error",
    "empty",
    "html_504",
    "hang",
    "reset",
    "half_body",
    "wrong_types",
    "missing_refresh_token",
    "status",
    "body",
    "slow",
]
OF_THE_ANSWER: Final = frozenset({"half_body", "wrong_types", "missing_refresh_token"})
"""These change a true answer, so the thing is always done."""
MOST: Final = 1000
GATEWAY_PAGE: Final = (
    b"<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n"
    b"<center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    kind: Kind
    path: str | None = None
    """None: any that Zalo has."""
    times: int = 1
    app_id: int | None = None
    """Only of this app; None: any."""
    after: bool = False
    """True: the thing is done, and only its answer goes wrong."""
    code: int = -100
    message: str = "Unknown error"
    quoted: bool = False
    """The code as a string."""
    status: int = 500
    body: str = ""
    content_type: str = "application/json; charset=utf-8"
    delay_ms: int = 0

    @property
    def does_it(self) -> bool:
        """Whether the thing itself is done."""
        return self.after or self.kind in OF_THE_ANSWER or self.kind == "slow"


class Faults:
    """Those that wait. The oldest that fits is taken."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, told: object) -> Fault:
        """Raises FixtureError."""
        try:
            fault = msgspec.convert(told, Fault, strict=False)
        except msgspec.ValidationError as error:
            raise FixtureError(f"the fault: {error}") from None
        if len(self.waiting) >= MOST:
            raise FixtureError(f"{MOST} faults wait already")
        self.waiting.append(fault)
        return fault

    def take(self, path: str, app_id: Callable[[], int | None]) -> Fault | None:
        """`app_id` is asked for only when a fault needs it."""
        for fault in self.waiting:
            if fault.path in (None, path) and (fault.app_id is None or fault.app_id == app_id()):
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None


def spoil(fault: Fault, true: Answer | None) -> Answer:
    """The answer of a fault that is one. `true`: what would have been answered, where it was done."""
    match fault.kind:
        case "error":
            code = str(fault.code) if fault.quoted else fault.code
            return Answer(encode({"error": code, "message": fault.message}), fault.code)
        case "empty":
            return Answer(b"")
        case "html_504":
            return Answer(GATEWAY_PAGE, status=504, content_type="text/html")
        case "status":
            return Answer(fault.body.encode(), status=fault.status, content_type=fault.content_type)
        case "body":
            return Answer(fault.body.encode(), content_type=fault.content_type)
        case "wrong_types" | "missing_refresh_token":
            assert true is not None
            return Answer(_changed(fault.kind, true.body), true.error, headers=true.headers)
        case _:
            return true or Answer(b"")


def _changed(kind: Kind, body: bytes) -> bytes:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    if not isinstance(document, dict):
        return body
    if kind == "missing_refresh_token":
        document.pop("refresh_token", None)
        return encode(document)
    # The code stays, or nobody would look at the rest.
    return encode(
        {name: value if name == "error" else _of_another_type(value) for name, value in document.items()}
    )


def _of_another_type(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _of_another_type(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_of_another_type(one) for one in value]
    return [value] if isinstance(value, str) else {"value": value}
