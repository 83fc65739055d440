"""When groups meet, and the days on which they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, time

from .transport import Transport, address
from .values import given, plain, read


@dataclass(frozen=True)
class TimetableEntry:
    """One weekly meeting, in the group's local time; an `end` that is not after the `start` is on the next day.

    `weekday` is monday to sunday. The server gives entries their `number`: keep it, and the entry keeps its sessions.
    """

    weekday: str
    start: time
    end: time
    title: str | None = None
    number: int | None = None
    from_: date | None = None
    until: date | None = None
    expected: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Holiday:
    """Days on which nobody meets: one if there is no `until`."""

    name: str
    from_: date
    until: date | None = None


@dataclass(frozen=True)
class Timetable:
    entries: list[TimetableEntry]
    holidays: list[Holiday] = field(default_factory=list)


class Timetables:
    """`Client.timetables`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, group: str) -> Timetable:
        return read(Timetable, self._transport.request("GET", address("groups", group, "timetable")))

    def replace(self, group: str, timetable: Timetable) -> Timetable:
        """Makes this the group's timetable. The answer has the numbers of new entries."""
        path = address("groups", group, "timetable")
        return read(Timetable, self._transport.request("PUT", path, json=plain(timetable)))

    def holidays(self) -> list[Holiday]:
        """On which no group meets."""
        return read(list[Holiday], self._transport.request("GET", "/holidays")["holidays"])

    def replace_holidays(self, holidays: Sequence[Holiday]) -> list[Holiday]:
        body = given(holidays=list(holidays))
        return read(list[Holiday], self._transport.request("PUT", "/holidays", json=body)["holidays"])
