"""Groups: classes and events, with their rosters and rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from .transport import Transport, address
from .values import given, read


@dataclass(frozen=True)
class Rules:
    """What counts as attendance in a group."""

    before_minutes: int = 15
    after_minutes: int = 15
    late_after_minutes: int | None = None
    early_before_minutes: int | None = None
    max_marks_a_day: int | None = None
    min_similarity: float | None = None
    min_margin: float | None = None
    sure_similarity: float | None = None
    confirm_sightings: int = 1
    confirm_photos: int = 1
    liveness: str = "off"


@dataclass(frozen=True)
class Group:
    id: str
    name: str
    time_zone: str
    rules: Rules
    created_at: datetime


@dataclass(frozen=True)
class GroupWithRoster(Group):
    people: list[str]


@dataclass(frozen=True)
class Period:
    """A stretch of time on a roster; without an end it goes on."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class Member:
    """Somebody who is on a roster, or was."""

    person: str
    name: str | None
    on_roster: bool
    periods: list[Period]


class Groups:
    """`Client.groups`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, name: str, *, id: str | None = None, time_zone: str | None = None, rules: Rules | None = None
    ) -> Group:
        body = given(name=name, id=id, time_zone=time_zone, rules=rules)
        return read(Group, self._transport.request("POST", "/groups", json=body, once=True))

    def all(self) -> Iterator[Group]:
        """By id."""
        return (read(Group, group) for group in self._transport.pages("/groups", "groups"))

    def get(self, group: str) -> GroupWithRoster:
        return read(GroupWithRoster, self._transport.request("GET", address("groups", group)))

    def update(
        self, group: str, *, name: str | None = None, time_zone: str | None = None, rules: Rules | None = None
    ) -> Group:
        """What is not given stays. Rules are set as a whole: start from `dataclasses.replace(group.rules, …)`."""
        body = given(name=name, time_zone=time_zone, rules=rules)
        return read(Group, self._transport.request("PATCH", address("groups", group), json=body))

    def delete(self, group: str) -> None:
        """With its roster and attendance; its people stay."""
        self._transport.request("DELETE", address("groups", group))

    def roster(self, group: str, *, former: bool = False) -> list[Member]:
        """By name; with `former` also those who have left."""
        path = address("groups", group, "people")
        answer = self._transport.request("GET", path, params=given(former=former or None))
        return [read(Member, member) for member in answer["people"]]

    def add_member(self, group: str, person: str, *, since: str | None = None) -> None:
        """On the roster since a date or a moment; since the beginning of the present day if it is not said."""
        self._transport.request("PUT", address("groups", group, "people", person), params=given(since=since))

    def remove_member(self, group: str, person: str, *, until: str | None = None) -> None:
        """At the end of a date or at a moment, or now. What is known of them stays."""
        self._transport.request("DELETE", address("groups", group, "people", person), params=given(until=until))
