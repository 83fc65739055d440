"""Events: what happened, listed or followed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from typing import Any

from .transport import Transport
from .values import given, read

# An id that no event will have.
_NEVER = 2**63 - 1


@dataclass(frozen=True)
class Event:
    """Something that happened; of a kind that this client does not know, only this is known."""

    kind: str
    # Later events have greater ones. A gap and a job's progress have none: they are not kept.
    id: int | None
    time: datetime | None


@dataclass(frozen=True)
class Marked(Event):
    group: str
    person: str
    record: str
    date: Date
    at: datetime
    similarity: float


@dataclass(frozen=True)
class Corrected(Event):
    """`before` and `after` are what counted; None: there was no record."""

    group: str
    person: str
    record: str | None
    date: Date
    before: str | None
    after: str | None


@dataclass(frozen=True)
class SessionOpened(Event):
    group: str
    session: str
    date: Date


@dataclass(frozen=True)
class SessionClosed(Event):
    group: str
    session: str
    date: Date


@dataclass(frozen=True)
class UnknownSeen(Event):
    group: str | None
    faces: int


@dataclass(frozen=True)
class JobProgress(Event):
    """Told to open streams alone; without a group, it is a roster that is imported."""

    job: str
    group: str | None
    state: str
    done: int
    total: int


@dataclass(frozen=True)
class Gap(Event):
    """Some events after the event `after` are no longer kept, or there is none of that id; it goes on after `next`."""

    after: int
    next: int


_KINDS: dict[str, type[Event]] = {
    "marked": Marked,
    "corrected": Corrected,
    "session_opened": SessionOpened,
    "session_closed": SessionClosed,
    "unknown_seen": UnknownSeen,
    "job_progress": JobProgress,
    "gap": Gap,
}


@dataclass(frozen=True)
class Ticket:
    """Opens /events or /events/ws once, within `expires_in` seconds, where no key can be sent."""

    ticket: str
    expires_in: int


def read_event(value: Any) -> Event:
    """The JSON of an event."""
    return read(_KINDS.get(value["kind"], Event), value)


class Events:
    """`Client.events`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def all(
        self, *, after: int | None = None, kinds: Sequence[str] = (), group: str | None = None
    ) -> Iterator[Event]:
        """Those that are kept, or of them those after the event of the id `after`, up to now."""
        wanted = given(kinds=",".join(kinds) or None, group=group, limit=1000)
        position = after
        while True:
            page = self._transport.request("GET", "/events", params={**wanted, **given(after=position)})
            events = [read_event(event) for event in page["events"]]
            if page["gap"] and position is not None:
                yield Gap(kind="gap", id=None, time=None, after=position, next=page["next"])
            yield from events
            if not page["more"]:
                return
            position = page["next"]

    def follow(
        self, *, after: int | None = None, kinds: Sequence[str] = (), group: str | None = None
    ) -> Iterator[Event]:
        """Events as they happen, until the client is closed; first those after the event of the id `after`, if given.

        Connects again by itself and misses none meanwhile; a `Gap` says where the server no longer had them. It sleeps
        while nothing happens: give it a thread. Raises `ApiError` when the key is no longer good.
        """
        wanted = given(kinds=",".join(kinds) or None, group=group)
        # From the end, which the server tells whoever asks for what is far beyond it.
        end = {"after": _NEVER, "limit": 1}
        position: int = after if after is not None else self._transport.request("GET", "/events", params=end)["next"]
        for told in self._transport.listen("/events", wanted, lambda: {"Last-Event-ID": str(position)}):
            event = read_event(told)
            if isinstance(event, Gap):
                position = event.next
            elif event.id is not None:
                position = event.id
            yield event

    def ticket(self) -> Ticket:
        """For a page in a browser."""
        return read(Ticket, self._transport.request("POST", "/events/ticket"))

