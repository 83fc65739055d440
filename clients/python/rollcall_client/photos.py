"""Photos and the faces in them: recognised, identified, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from typing import Any

from .transport import Image, Transport, address
from .values import Problem, given, read


@dataclass(frozen=True)
class Box:
    """In pixels of the upright photo, or in shares of its sides."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Candidate:
    person: str
    similarity: float


@dataclass(frozen=True)
class Liveness:
    """`live`, `spoof` or `not_assessable`."""

    verdict: str
    score: float | None


@dataclass(frozen=True)
class FoundFace:
    """A face; `normalized` is its box in shares of the photo's sides."""

    box: Box
    normalized: Box
    landmarks: list[list[float]]
    score: float
    width_px: float


@dataclass(frozen=True)
class Face(FoundFace):
    """A face and whose it is; without a `person`, the `reason` why it is not named. `annotated` shows it by its `number`.

    `hint` is come_closer, look_here, one_at_a_time, not_known, hold_no_picture or too_dark.
    """

    number: int
    person: str | None
    name: str | None
    similarity: float | None
    margin: float | None
    reason: str | None
    candidates: list[Candidate]
    liveness: Liveness | None
    attendance: str
    hint: str | None


@dataclass(frozen=True)
class Photo:
    """
    `photo` names it in the evidence of records, where marks were asked; `turned` is by how many degrees it was turned
    clockwise to find its faces upright; `advice` is a sentence where all its faces are too small; `annotated` is a JPEG
    in base64.
    """

    image: int
    photo: str | None
    width: int
    height: int
    turned: int | None
    faces: list[Face]
    advice: str | None
    annotated: str | None
    error: Problem | None


@dataclass(frozen=True)
class Present:
    """`attendance` is `marked`, `already_marked`, `to_confirm` or `not_marked`."""

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
    """`session` and `date` are those that were marked."""

    photos: list[Photo]
    present: list[Present]
    not_seen: list[NotSeen]
    unknown_faces: int
    session: str | None
    date: Date | None


@dataclass(frozen=True)
class Comparison:
    """`similarity` is a raw cosine."""

    similarity: float
    faces: list[FoundFace]


@dataclass(frozen=True)
class PhotoOfFaces:
    """`turned` is by how many degrees it was turned clockwise to find its faces upright."""

    image: int
    width: int
    height: int
    turned: int | None
    faces: list[FoundFace]
    error: Problem | None


class Photos:
    """`Client.photos`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def recognize(
        self,
        group: str,
        images: Sequence[Image],
        *,
        mark: bool = True,
        at: datetime | None = None,
        session: str | None = None,
        source: str | None = None,
        threshold: float | None = None,
        margin: float | None = None,
        liveness: str | None = None,
        annotate: bool = False,
    ) -> Recognition:
        """Who of the group is in the photos; they are marked present unless `mark` is off.

        In the `session`, or in the one of the time `at` which they were taken (now). `source` is one that the session
        expects and that has reported with this. `liveness` is off, passive or strict.
        """
        options = given(mark=mark, at=at, session=session, source=source, annotate=annotate)
        options |= given(threshold=threshold, margin=margin, liveness=liveness)
        return read(Recognition, self._post(address("groups", group, "recognize"), options, images))

    def identify(
        self,
        images: Sequence[Image],
        *,
        threshold: float | None = None,
        margin: float | None = None,
        liveness: str | None = None,
        annotate: bool = False,
    ) -> Recognition:
        """Who of all people is in the photos; nobody is marked."""
        options = given(threshold=threshold, margin=margin, liveness=liveness, annotate=annotate)
        return read(Recognition, self._post("/identify", options, images))

    def compare(self, one: Image, other: Image, *, faces: str | None = None) -> Comparison:
        """How alike the faces of two photos are. `faces` is clear, one or largest."""
        return read(Comparison, self._post("/compare", given(faces=faces), [one, other]))

    def detect(self, images: Sequence[Image]) -> list[PhotoOfFaces]:
        """Where there are faces."""
        return read(list[PhotoOfFaces], self._post("/detect", {}, images)["photos"])

    def _post(self, path: str, fields: dict[str, Any], images: Sequence[Image]) -> Any:
        return self._transport.request("POST", path, fields=fields, files=[("images", image) for image in images])
