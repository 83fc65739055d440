"""Erasures: what became of deletions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from .transport import Transport
from .values import read


@dataclass(frozen=True)
class Backup:
    """A backup that may still hold what was erased; one that is not `is_whole` was cut short."""

    id: str
    begun_at: datetime
    ended_at: datetime | None
    name: str | None
    bytes: int | None
    is_whole: bool


@dataclass(frozen=True)
class Erasure:
    """`pending` until the store was rewritten, then `done`. It does not say who was erased."""

    id: str
    state: str
    asked_at: datetime
    by: str
    done_at: datetime | None
    backups: list[Backup]


class Erasures:
    """`Client.erasures`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def all(self) -> Iterator[Erasure]:
        """Oldest first."""
        return (read(Erasure, erasure) for erasure in self._transport.pages("/erasures", "erasures"))
