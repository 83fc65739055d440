"""People, their face samples, photos and consents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from .transport import Download, Image, Transport, address
from .values import KEEP, Keep, changed, given, read


@dataclass(frozen=True)
class Quality:
    """Degrees: `yaw` to the viewer's left, `pitch` up and `roll` clockwise, as the viewer sees it, are positive."""

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
class Consent:
    """`basis` is consent, contract, legal_obligation, vital_interest, public_task or legitimate_interest."""

    given_by: str
    basis: str
    at: datetime | None = None
    expires_at: datetime | None = None
    note: str | None = None


@dataclass(frozen=True)
class Person:
    id: str
    name: str
    email: str | None
    metadata: dict[str, str]
    consent: Consent | None
    consent_withdrawn_at: datetime | None
    groups: list[str]
    faces: list[Sample]
    created_at: datetime


@dataclass(frozen=True)
class Accepted:
    """`turned` is by how many degrees the image was turned clockwise to find the face upright."""

    image: int
    face: str
    score: float
    quality: Quality
    turned: int | None


@dataclass(frozen=True)
class Rejected:
    image: int
    reason: str
    message: str


@dataclass(frozen=True)
class Twin:
    """A photo whose face is someone else's."""

    image: int
    person: str
    similarity: float


@dataclass(frozen=True)
class Enrolled(Person):
    accepted: list[Accepted]
    rejected: list[Rejected]
    duplicates: list[Twin]


@dataclass(frozen=True)
class FacesAdded:
    faces: list[Sample]
    accepted: list[Accepted]
    rejected: list[Rejected]
    duplicates: list[Twin]


@dataclass(frozen=True)
class Negative:
    """A face that is not the person's: of a photo, or a sample `of` somebody else."""

    id: str
    of: str | None
    model: str
    created_at: datetime


@dataclass(frozen=True)
class Verification:
    similarity: float
    threshold: float
    verified: bool


class People:
    """`Client.people`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def enrol(
        self,
        name: str,
        images: Sequence[Image],
        *,
        id: str | None = None,
        email: str | None = None,
        groups: Sequence[str] = (),
        faces: str | None = None,
        quality: str | None = None,
        duplicates: str | None = None,
    ) -> Enrolled:
        """Makes a person from 1 to 20 photos; those that cannot be used are `rejected`, all of them is an error.

        `faces` is clear, one or largest; `quality` off, standard or strict; `duplicates` off, flag or refuse. The last
        two count where they are stricter than the tenant's.
        """
        fields = given(
            name=name, id=id, email=email, groups=groups, faces=faces, quality=quality, duplicates=duplicates
        )
        return read(Enrolled, self._send_images("POST", "/people", fields, images))

    def all(
        self,
        *,
        query: str | None = None,
        group: str | None = None,
        consent: Literal["valid", "expired", "missing"] | None = None,
        faces: Literal["all", "none"] | None = None,
    ) -> Iterator[Person]:
        """Everybody, or those wanted. `query` is beginnings of words of names and ids; for a list of names `faces="none"`
        leaves the samples out.
        """
        wanted = given(query=query, group=group, consent=consent, faces=faces)
        return (read(Person, person) for person in self._transport.pages("/people", "people", wanted))

    def get(self, person: str) -> Person:
        return read(Person, self._transport.request("GET", address("people", person)))

    def update(
        self,
        person: str,
        *,
        name: str | Keep = KEEP,
        email: str | None | Keep = KEEP,
        metadata: Mapping[str, str | None] | Keep = KEEP,
        groups: Sequence[str] | Keep = KEEP,
    ) -> Person:
        """What is not given stays. None removes the address, or the entry of the metadata."""
        body = changed(name=name, email=email, metadata=metadata, groups=groups)
        return read(Person, self._transport.request("PATCH", address("people", person), json=body))

    def delete(self, person: str) -> str:
        """With all samples and attendance. Gives the erasure's id, see `Client.erasures`."""
        return self._transport.send("DELETE", address("people", person)).headers["erasure-id"]

    def merge(self, person: str, from_: str) -> Person:
        """The person gets everything of the other, who is gone. It cannot be undone."""
        path = address("people", person, "merge")
        return read(Person, self._transport.request("POST", path, json=given(from_=from_)))

    def export(self, person: str) -> dict[str, Any]:
        """All that is stored of the person, as the server writes it."""
        exported: dict[str, Any] = self._transport.request("GET", address("people", person, "export"))
        return exported

    def add_faces(
        self, person: str, images: Sequence[Image], *, faces: str | None = None, quality: str | None = None
    ) -> FacesAdded:
        fields = given(faces=faces, quality=quality)
        return read(FacesAdded, self._send_images("POST", address("people", person, "faces"), fields, images))

    def replace_faces(
        self, person: str, images: Sequence[Image], *, faces: str | None = None, quality: str | None = None
    ) -> Enrolled:
        """All samples, or none."""
        fields = given(faces=faces, quality=quality)
        return read(Enrolled, self._send_images("PUT", address("people", person, "faces"), fields, images))

    def delete_face(self, person: str, face: str) -> None:
        self._transport.request("DELETE", address("people", person, "faces", face))

    def move_face(self, person: str, face: str, to: str) -> Person:
        """Gives a sample to the person whose it is, who is the answer."""
        path = address("people", person, "faces", face, "move")
        return read(Person, self._transport.request("POST", path, json=given(to=to)))

    def verify(self, person: str, image: Image, *, threshold: float | None = None) -> Verification:
        """Whether the photo shows the person."""
        fields = given(threshold=threshold)
        path = address("people", person, "verify")
        return read(Verification, self._transport.request("POST", path, fields=fields, files=[("images", image)]))

    def photo(self, person: str, face: str | None = None) -> Download:
        """A JPEG, where the tenant keeps photos: the one behind the sample `face`, or the newest."""
        return Download(self._transport, address("people", person, "photo"), given(face=face))

    def consent(self, person: str) -> Consent:
        return read(Consent, self._transport.request("GET", address("people", person, "consent")))

    def give_consent(self, person: str, consent: Consent) -> Consent:
        """Records who agreed to what; without `at`, now."""
        path = address("people", person, "consent")
        return read(Consent, self._transport.request("PUT", path, json=given(**vars(consent))))

    def withdraw_consent(self, person: str) -> None:
        self._transport.request("DELETE", address("people", person, "consent"))

    def negatives(self, person: str) -> list[Negative]:
        """Faces that the person is not to be taken for."""
        return read(list[Negative], self._transport.request("GET", address("people", person, "negatives"))["negatives"])

    def add_negative(self, person: str, image: Image, *, faces: str | None = None) -> Negative:
        """The face in the photo is not the person's."""
        path = address("people", person, "negatives")
        return read(Negative, self._send_images("POST", path, given(faces=faces), [image]))

    def add_negative_of(self, person: str, of: str, face: str) -> Negative:
        """The sample `face` of somebody else is not the person's."""
        path = address("people", person, "negatives")
        return read(Negative, self._transport.request("POST", path, json=given(of=of, face=face), once=True))

    def delete_negative(self, person: str, negative: str) -> None:
        self._transport.request("DELETE", address("people", person, "negatives", negative))

    def _send_images(self, method: str, path: str, fields: dict[str, Any], images: Sequence[Image]) -> Any:
        files = [("images", image) for image in images]
        return self._transport.request(method, path, fields=fields, files=files, once=method == "POST")
