"""Sessions: the meetings of a group, from planned to closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime, time

from .photos import Box
from .records import NamedCandidate, Record, RecordWithEvidence
from .transport import Transport, address
from .values import given, read


@dataclass(frozen=True)
class Reopening:
    at: datetime
    reason: str


@dataclass(frozen=True)
class Session:
    """One meeting. `state` is planned, open, closed or cancelled; `origin` timetable, single or day.

    Its marks belong to the local `date`. `missing` are those `expected` sources that have not reported.
    """

    id: str
    group: str
    title: str | None
    date: Date
    starts_at: datetime
    ends_at: datetime
    state: str
    origin: str
    expected: list[str]
    missing: list[str]
    closed_at: datetime | None
    reopenings: list[Reopening]


@dataclass(frozen=True)
class StatusCount:
    status: str
    people: int


@dataclass(frozen=True)
class Closing:
    session: Session
    counts: list[StatusCount]
    joined_later: int


@dataclass(frozen=True)
class RosterPerson:
    person: str
    name: str | None


@dataclass(frozen=True)
class ToConfirm(RecordWithEvidence):
    """Whom the faces could show: the person, and the most similar other one."""

    candidates: list[NamedCandidate]
    enrolled_twice: bool


@dataclass(frozen=True)
class Glimpse:
    """A face that nobody was named for; its box in shares of the photo's sides."""

    photo: str
    face: int
    at: datetime
    normalized: Box
    width_px: float
    liveness: str | None


@dataclass(frozen=True)
class UnknownFace:
    """Faces of one stranger, and whom they are most like."""

    id: str
    sightings: list[Glimpse]
    candidates: list[NamedCandidate]
    first_seen: datetime | None
    last_seen: datetime | None


@dataclass(frozen=True)
class Review:
    """One screen's worth of a session; where a list `is_cut`, `counts` counts all.

    There are `unknown_faces` where the tenant keeps them.
    """

    session: Session
    counts: list[StatusCount]
    present: list[Record]
    to_confirm: list[ToConfirm]
    set_by_hand: list[Record]
    not_expected: list[Record]
    not_seen: list[RosterPerson]
    unknown_faces: list[UnknownFace]
    is_cut: bool


class Sessions:
    """`Client.sessions`. Times are local to the group; an `end` that is not after the `start` is on the next day."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        group: str,
        date: Date,
        start: time,
        end: time,
        *,
        title: str | None = None,
        expected: Sequence[str] | None = None,
    ) -> Session:
        """Plans one beside the timetable."""
        body = given(date=date, start=start, end=end, title=title, expected=expected)
        path = address("groups", group, "sessions")
        return read(Session, self._transport.request("POST", path, json=body, once=True))

    def all(self, group: str, *, from_: Date | None = None, until: Date | None = None) -> list[Session]:
        """By start, those of the timetable too: from today for a week, or in up to 366 days."""
        path, wanted = address("groups", group, "sessions"), given(from_=from_, until=until)
        return read(list[Session], self._transport.request("GET", path, params=wanted)["sessions"])

    def current(self, group: str, *, at: datetime | None = None) -> Session:
        """The one to which a photo of then belongs, or of now."""
        path = address("groups", group, "sessions", "current")
        return read(Session, self._transport.request("GET", path, params=given(at=at)))

    def get(self, session: str) -> Session:
        return read(Session, self._transport.request("GET", address("sessions", session)))

    def update(
        self,
        session: str,
        *,
        title: str | None = None,
        date: Date | None = None,
        start: time | None = None,
        end: time | None = None,
        expected: Sequence[str] | None = None,
    ) -> Session:
        """Of a session that is not closed. What is not given stays."""
        body = given(title=title, date=date, start=start, end=end, expected=expected)
        return read(Session, self._transport.request("PATCH", address("sessions", session), json=body))

    def cancel(self, session: str) -> Session:
        return read(Session, self._transport.request("DELETE", address("sessions", session)))

    def restore(self, session: str) -> Session:
        """One that was cancelled."""
        return read(Session, self._transport.request("POST", address("sessions", session, "restore")))

    def open(self, session: str) -> Session:
        """At any time; the first mark does so by itself."""
        return read(Session, self._transport.request("POST", address("sessions", session, "open")))

    def close(self, session: str, *, force: bool = False, count_joined_later: bool = False) -> Closing:
        """Declares who was absent. While sources are `missing` it stays as it is, and before it begins it is refused, unless
        `force` is set. With `count_joined_later` also of those who joined the group after its beginning."""
        path = address("sessions", session, "close")
        return read(Closing, self._transport.request("POST", path, json=given(force=force, count_joined_later=count_joined_later)))

    def reopen(self, session: str, reason: str) -> Session:
        path = address("sessions", session, "reopen")
        return read(Session, self._transport.request("POST", path, json=given(reason=reason)))

    def review(self, session: str, *, limit: int | None = None) -> Review:
        """Who is present, who is to be confirmed, who was not seen; up to `limit` (100, 1000 at most) of each."""
        path = address("sessions", session, "review")
        return read(Review, self._transport.request("GET", path, params=given(limit=limit)))

    def name_unknown_face(self, session: str, face: str, person: str) -> Record:
        """Says whose an unknown face is: the person was there when it was seen, and it is unknown no more."""
        path = address("sessions", session, "strangers", face, "name")
        return read(Record, self._transport.request("POST", path, json=given(person=person)))

    def forget_unknown_face(self, session: str, face: str) -> None:
        """Nobody's of the group."""
        self._transport.request("DELETE", address("sessions", session, "strangers", face))
