from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.kit.crypto import Keyring, MasterKeyTooShortError, SealBrokenError

MASTER = bytes(range(32))


@given(plain=st.binary(max_size=200), context=st.text(alphabet="abcé:/0", max_size=20))
def test_what_was_sealed_opens_to_the_same_bytes(plain: bytes, context: str) -> None:
    assert Keyring(MASTER).open(Keyring(MASTER).seal(plain, context=context), context=context) == plain


def test_the_same_text_never_looks_the_same_twice() -> None:
    keyring = Keyring(MASTER)
    assert len({keyring.seal(b"123456", context="otp") for _ in range(100)}) == 100


def test_a_seal_hides_its_text() -> None:
    assert b"123456" not in Keyring(MASTER).seal(b"123456", context="otp")


def test_a_seal_opens_in_no_other_context() -> None:
    keyring = Keyring(MASTER)
    with pytest.raises(SealBrokenError):
        keyring.open(keyring.seal(b"123456", context="otp"), context="client_secret")


def test_a_seal_opens_with_no_other_key() -> None:
    sealed = Keyring(MASTER).seal(b"123456", context="otp")
    with pytest.raises(SealBrokenError):
        Keyring(MASTER[::-1]).open(sealed, context="otp")


@given(place=st.integers(min_value=0), change=st.integers(1, 255))
def test_one_changed_byte_breaks_a_seal(place: int, change: int) -> None:
    keyring = Keyring(MASTER)
    sealed = bytearray(keyring.seal(b"123456", context="otp"))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(SealBrokenError):
        keyring.open(bytes(sealed), context="otp")


@given(garbage=st.binary(max_size=100))
def test_garbage_is_refused_as_a_broken_seal(garbage: bytes) -> None:
    with pytest.raises(SealBrokenError):
        Keyring(MASTER).open(garbage, context="otp")


def test_look_up_hashes_are_stable_within_a_context_and_differ_outside_it() -> None:
    hashed = Keyring(MASTER).lookup_hash("secret", context="a")
    assert hashed == Keyring(MASTER).lookup_hash("secret", context="a")
    assert hashed != Keyring(MASTER).lookup_hash("secret", context="b")
    assert hashed != Keyring(MASTER).lookup_hash("Secret", context="a")
    assert hashed != Keyring(MASTER[::-1]).lookup_hash("secret", context="a")
    assert len(hashed) == 32


def test_any_text_has_a_look_up_hash() -> None:
    assert len(Keyring(MASTER).lookup_hash("\ud800\x00ế", context="a")) == 32


def test_signing_keys_are_stable_and_differ_by_context_and_master() -> None:
    key = Keyring(MASTER).signing_key("token")
    assert key == Keyring(MASTER).signing_key("token")
    assert len({key, Keyring(MASTER).signing_key("cookie"), Keyring(MASTER[::-1]).signing_key("token")}) == 3


def test_a_short_master_key_is_refused() -> None:
    with pytest.raises(MasterKeyTooShortError):
        Keyring(MASTER[:31])


def test_a_keyring_does_not_print_its_keys() -> None:
    assert MASTER.hex() not in repr(Keyring(MASTER))
