"""What the server answers. The server's /openapi.json says more of each field."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    id: str
    name: str
    time_zone: str
    created_at: datetime


@dataclass(frozen=True)
class GroupWithRoster(Group):
    people: list[str]


@dataclass(frozen=True)
class Quality:
    width_px: float
    sharpness: float
    brightness: float
    norm: float
    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Sample:
    id: str
    score: float
    quality: Quality
    model: str


@dataclass(frozen=True)
class Person:
    id: str
    name: str
    groups: list[str]
    faces: list[Sample]
    created_at: datetime


@dataclass(frozen=True)
class Accepted:
    image: int
    face: str
    score: float
    quality: Quality


@dataclass(frozen=True)
class Rejected:
    image: int
    reason: str
    message: str


@dataclass(frozen=True)
class Enrolled(Person):
    accepted: list[Accepted]
    rejected: list[Rejected]


@dataclass(frozen=True)
class FacesAdded:
    faces: list[Sample]
    accepted: list[Accepted]
    rejected: list[Rejected]


@dataclass(frozen=True)
class Verification:
    similarity: float
    verified: bool


@dataclass(frozen=True)
class FaceBox:
    """In pixels of the upright photo."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Candidate:
    person: str
    similarity: float


@dataclass(frozen=True)
class Face:
    box: FaceBox
    score: float
    person: str | None
    name: str | None
    similarity: float | None
    margin: float | None
    reason: str | None
    candidates: list[Candidate]
    attendance: str


@dataclass(frozen=True)
class Problem:
    code: str
    message: str


@dataclass(frozen=True)
class Photo:
    image: int
    width: int
    height: int
    faces: list[Face]
    annotated: str | None
    error: Problem | None


@dataclass(frozen=True)
class Present:
    person: str
    name: str | None
    similarity: float
    attendance: str


@dataclass(frozen=True)
class NotSeen:
    person: str
    name: str | None


@dataclass(frozen=True)
class Recognition:
    photos: list[Photo]
    present: list[Present]
    not_seen: list[NotSeen]
    unknown_faces: int
    date: Date | None


@dataclass(frozen=True)
class Record:
    id: str | None
    session: str
    person: str
    name: str | None
    status: str
    state: str
    at: datetime | None
    similarity: float | None
    margin: float | None
    width_px: float | None
    model: str | None
    reason: str | None


@dataclass(frozen=True)
class Attendance:
    group: str
    date: Date
    records: list[Record]


def read(kind: type[T], value: Any) -> T:
    """The JSON `value` as a `kind`. Fields that a newer server adds are passed over."""
    return typing.cast(T, _read(kind, value))


def _read(kind: Any, value: Any) -> Any:
    if isinstance(kind, types.UnionType):
        present = next(one for one in typing.get_args(kind) if one is not types.NoneType)
        return None if value is None else _read(present, value)
    if typing.get_origin(kind) is list:
        (item,) = typing.get_args(kind)
        return [_read(item, one) for one in value]
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _read(hint, value.get(name)) for name, hint in hints.items()})  # type: ignore[operator]
    if kind is datetime or kind is Date:
        return kind.fromisoformat(value)
    return value
