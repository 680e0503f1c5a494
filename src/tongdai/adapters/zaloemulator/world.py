"""The apps, Official Accounts, templates and recipients that there are, in memory and in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, Generic, TypeVar

import msgspec

from tongdai.adapters.zaloemulator.fixtures import (
    App,
    FixtureError,
    Fixtures,
    Oa,
    Recipient,
    Template,
    read,
    recipient_by_ending,
)
from tongdai.adapters.zaloemulator.store import Store

SAVE: Final = "INSERT OR REPLACE INTO fixtures VALUES (?, ?, ?)"

K = TypeVar("K", int, str)
V = TypeVar("V", bound=App | Oa | Template | Recipient)


class Shelf(Generic[K, V]):
    """The fixtures of one kind by their key. A change is merged, checked, kept and stored."""

    def __init__(self, store: Store, kind: type[V], key: str) -> None:
        self._store = store
        self._kind = kind
        self._key = key
        self.by_key: dict[K, V] = {}
        for _, doc in store.all("SELECT id, doc FROM fixtures WHERE kind = ?", (kind.__name__,)):
            self._keep(read(kind, msgspec.json.decode(doc)))

    def get(self, key: K) -> V | None:
        return self.by_key.get(key)

    def merge(self, told: dict[str, Any]) -> V:
        """A new one, or changes to the one of this key. Raises FixtureError."""
        return self.merge_all([told])[0]

    def merge_all(self, told: Iterable[dict[str, Any]]) -> list[V]:
        """All of them, or none. Raises FixtureError."""
        every = [self._merged(one) for one in told]
        for merged in every:
            self._keep(merged)
            name = str(getattr(merged, self._key))
            self._store.write(SAVE, (self._kind.__name__, name, msgspec.json.encode(merged).decode()))
        return every

    def _merged(self, told: dict[str, Any]) -> V:
        known = self.by_key.get(self._key_of(told))
        return read(self._kind, {**(msgspec.to_builtins(known) if known else {}), **told})

    def _keep(self, fixture: V) -> None:
        self.by_key[getattr(fixture, self._key)] = fixture

    def _key_of(self, told: dict[str, Any]) -> Any:
        key = told.get(self._key)
        if isinstance(key, str) and key.isascii() and key.isdigit() and self._kind is not Recipient:
            return int(key)
        if key is None or isinstance(key, (dict, list)):
            raise FixtureError(f"{self._kind.__name__}: {self._key} is missing")
        return key


class World:
    def __init__(self, store: Store) -> None:
        self.apps: Shelf[int, App] = Shelf(store, App, "app_id")
        self.oas: Shelf[int, Oa] = Shelf(store, Oa, "oa_id")
        self.templates: Shelf[int, Template] = Shelf(store, Template, "template_id")
        self.recipients: Shelf[str, Recipient] = Shelf(store, Recipient, "phone")
        self._by_hash = {hash_of(phone): phone for phone in self.recipients.by_key}

    def load(self, fixtures: Fixtures) -> None:
        """Merge them into what there is. Raises FixtureError."""
        self.apps.merge_all(fixtures.apps)
        self.oas.merge_all(fixtures.oas)
        self.templates.merge_all(fixtures.templates)
        self.recipients.merge_all(fixtures.recipients)
        self._by_hash = {hash_of(phone): phone for phone in self.recipients.by_key}

    @property
    def empty(self) -> bool:
        return not self.apps.by_key and not self.oas.by_key

    def recipient(self, address: str) -> Recipient:
        """By number, or by its SHA-256. A hash of a number that no fixture names is somebody who has Zalo."""
        phone = self._by_hash.get(address, address)
        return self.recipients.get(phone) or recipient_by_ending(phone)

    def choices(self, app_id: int) -> list[Oa]:
        """The Official Accounts that may let this app in."""
        return [oa for oa in self.oas.by_key.values() if may_let_in(oa, app_id)]

    def templates_of(self, oa_id: int) -> list[Template]:
        """Newest first."""
        mine = [one for one in self.templates.by_key.values() if one.oa_id == oa_id]
        return sorted(mine, key=lambda one: (one.created_ms, one.template_id), reverse=True)


def may_let_in(oa: Oa, app_id: int) -> bool:
    return not oa.disabled and (oa.apps is None or app_id in oa.apps)


def hash_of(phone: str) -> str:
    return hashlib.sha256(phone.encode()).hexdigest()
