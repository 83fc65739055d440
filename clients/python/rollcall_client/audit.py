"""The audit log: every change, by whom and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .transport import Transport
from .values import given, read


@dataclass(frozen=True)
class AuditEntry:
    """One change. Names and ids of people are digests in it; each entry holds the hash of the one before."""

    number: int
    at: datetime
    actor: str
    request_id: str | None
    action: str
    subjects: list[str]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    previous: str
    hash: str


class Audit:
    """`Client.audit`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def all(
        self,
        *,
        action: str | None = None,
        actor: str | None = None,
        person: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> Iterator[AuditEntry]:
        """In order, not before `from_` and before `to`; about `person` also when they are gone."""
        wanted = given(action=action, actor=actor, person=person, from_=from_, to=to)
        return (read(AuditEntry, entry) for entry in self._transport.pages("/audit", "entries", wanted))
