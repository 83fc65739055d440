"""Webhooks: events that the server sends, and how a receiver knows that they are genuine."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .events import Event, read_event
from .transport import Transport, address
from .values import KEEP, Keep, changed, given, read


@dataclass(frozen=True)
class Delivery:
    """How it goes: events up to the id `done` were delivered or given up."""

    done: int
    attempts: int
    failing_since: datetime | None
    last_failure: str | None
    dead_letters: int
    replaying: bool


@dataclass(frozen=True)
class Webhook:
    """All `kinds` if there is none, all groups if `groups` is None."""

    id: str
    url: str
    kinds: list[str]
    groups: list[str] | None
    active: bool
    created_at: datetime
    delivery: Delivery


@dataclass(frozen=True)
class WebhookWithSecret(Webhook):
    secret: str


@dataclass(frozen=True)
class DeadLetter:
    """An event that could not be delivered for so long that it was given up."""

    event: Event
    failure: str
    given_up_at: datetime


class Webhooks:
    """`Client.webhooks`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        url: str,
        *,
        kinds: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        active: bool = True,
    ) -> WebhookWithSecret:
        """The secret is never shown again."""
        body = given(url=url, kinds=kinds, groups=groups, active=active)
        return read(WebhookWithSecret, self._transport.request("POST", "/webhooks", json=body, once=True))

    def all(self) -> list[Webhook]:
        return read(list[Webhook], self._transport.request("GET", "/webhooks")["webhooks"])

    def get(self, webhook: str) -> Webhook:
        return read(Webhook, self._transport.request("GET", address("webhooks", webhook)))

    def update(
        self,
        webhook: str,
        *,
        url: str | Keep = KEEP,
        kinds: Sequence[str] | Keep = KEEP,
        groups: Sequence[str] | None | Keep = KEEP,
        active: bool | Keep = KEEP,
    ) -> Webhook:
        """What is not given stays; `groups` None is all groups."""
        body = changed(url=url, kinds=kinds, groups=groups, active=active)
        return read(Webhook, self._transport.request("PATCH", address("webhooks", webhook), json=body))

    def delete(self, webhook: str) -> None:
        self._transport.request("DELETE", address("webhooks", webhook))

    def dead_letters(self, webhook: str) -> Iterator[DeadLetter]:
        """By event."""
        pages = self._transport.pages(address("webhooks", webhook, "dead"), "dead_letters")
        return (
            DeadLetter(read_event(letter["event"]), letter["failure"], read(datetime, letter["given_up_at"]))
            for letter in pages
        )

    def replay(self, webhook: str, event: int | None = None) -> int:
        """Sends dead letters again, all or the one of this event; how many they are."""
        path = address("webhooks", webhook, "replay")
        replayed: int = self._transport.request("POST", path, json=given(event=event))["replayed"]
        return replayed


def is_genuine(headers: Mapping[str, str], body: bytes, secret: str, *, max_age_s: float = 300.0) -> bool:
    """Whether a request to a receiver was signed with the webhook's secret, not longer than `max_age_s` ago.

    An event may come twice: its id, and the header x-rollcall-webhook, tell what was seen already.
    """
    given = {name.lower(): value for name, value in headers.items()}
    stamp = given.get("x-rollcall-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit()):
        return False
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    is_signed = hmac.compare_digest(f"v1={signature}".encode(), given.get("x-rollcall-signature", "").encode())
    return is_signed and abs(time.time() - int(stamp)) <= max_age_s


def delivered_event(body: bytes) -> Event:
    """The event in the body of a genuine request."""
    return read_event(json.loads(body))
