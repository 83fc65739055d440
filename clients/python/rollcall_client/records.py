"""Records of attendance: what is known of a person in a session, and what counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from typing import Any, Literal

from .transport import Transport, address
from .values import given, plain, read

Status = Literal["present", "late", "left_early", "absent", "excused"]
"""What somebody may say of a person. The server's own rules say more."""


@dataclass(frozen=True)
class Appeal:
    """What a student says against a record; `state` is open, accepted or refused."""

    at: datetime
    note: str
    state: str


@dataclass(frozen=True)
class Record:
    """`state` is how it is known: sure, to_confirm, not_seen or by_hand; `status` is what counts."""

    id: str | None
    session: str
    session_title: str | None
    person: str
    name: str | None
    status: str
    state: str
    at: datetime | None
    last_seen: datetime | None
    late_minutes: int
    early_minutes: int
    similarity: float | None
    margin: float | None
    width_px: float | None
    liveness: str | None
    model: str | None
    reason: str | None
    appeal: Appeal | None


@dataclass(frozen=True)
class NamedCandidate:
    """Somebody whom a face could show."""

    person: str
    name: str | None
    similarity: float


@dataclass(frozen=True)
class Sighting:
    """A face that was taken for the person's, unless it is `refuted`. The `runner_up` is the next best person."""

    photo: str
    face: int
    at: datetime
    similarity: float
    margin: float | None
    runner_up: NamedCandidate | None
    width_px: float
    liveness: str | None
    model: str
    refuted: bool
    offline: bool = False


@dataclass(frozen=True)
class Correction:
    """What somebody said: `said` is confirmed, rejected or {"set": status}."""

    at: datetime
    said: Any
    reason: str | None


@dataclass(frozen=True)
class RecordWithEvidence(Record):
    sightings: list[Sighting]
    corrections: list[Correction]


@dataclass(frozen=True)
class Attendance:
    """A local day of a group."""

    group: str
    date: Date
    records: list[Record]


@dataclass(frozen=True)
class SetStatus:
    """This counts of the person, and why."""

    person: str
    status: Status
    reason: str


class Records:
    """`Client.records`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def of_day(self, group: str, date: Date | None = None) -> Attendance:
        """Of a local day of the group; today's if none is given."""
        path = address("groups", group, "attendance")
        return read(Attendance, self._transport.request("GET", path, params=given(date=date)))

    def of_session(self, session: str) -> Iterator[RecordWithEvidence]:
        """By person."""
        pages = self._transport.pages(address("sessions", session, "records"), "records")
        return (read(RecordWithEvidence, record) for record in pages)

    def delete(self, group: str, record: str) -> None:
        """Takes a mark back, with its evidence."""
        self._transport.request("DELETE", address("groups", group, "attendance", record))

    def confirm(
        self,
        session: str,
        *,
        confirm: Sequence[str] = (),
        reject: Sequence[str] = (),
        set: Sequence[SetStatus] = (),
    ) -> list[Record]:
        """Settles up to 1000 people at once: these were there, those faces are not theirs, of these that counts."""
        body = plain({"confirm": confirm, "reject": reject, "set": set})
        path = address("sessions", session, "confirm")
        return read(list[Record], self._transport.request("POST", path, json=body)["records"])

    def correct(self, session: str, person: str, status: Status, reason: str) -> Record:
        """What counts of one person, by hand."""
        (record,) = self.confirm(session, set=[SetStatus(person, status, reason)])
        return record

    def undo(self, session: str, person: str) -> Record:
        """Takes back what was said last of the person."""
        path = address("sessions", session, "records", person, "undo")
        return read(Record, self._transport.request("POST", path))

    def appeal(self, session: str, person: str, note: str) -> Record:
        path = address("sessions", session, "records", person, "appeal")
        return read(Record, self._transport.request("PUT", path, json=given(note=note)))

    def settle_appeal(self, session: str, person: str, state: Literal["accepted", "refused"]) -> Record:
        """Says what became of the appeal; what counts is corrected apart."""
        path = address("sessions", session, "records", person, "appeal")
        return read(Record, self._transport.request("PATCH", path, json=given(state=state)))
