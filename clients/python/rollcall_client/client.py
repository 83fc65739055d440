"""The client."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import date as Date
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from .types import (
    Attendance,
    Enrolled,
    FacesAdded,
    Group,
    GroupWithRoster,
    Person,
    Recognition,
    Verification,
    read,
)

Image = Path | bytes
"""A photo: where it is, or its bytes."""

_BUSY = (429, 503)
_LONGEST_WAIT_S = 30.0


class ApiError(Exception):
    """The server refused, with a machine-readable `code`; quote `request_id` when asking its operator."""

    def __init__(self, status: int, code: str, message: str, details: Any, request_id: str) -> None:
        super().__init__(f"{message} ({code}, {status}, request {request_id})")
        self.status = status
        self.code = code
        self.details = details
        self.request_id = request_id


class Client:
    """Speaks to one server with one tenant's key. Threads may share it."""

    def __init__(self, url: str, key: str, *, timeout_s: float = 120.0, retries: int = 4) -> None:
        """A busy or unreachable server is asked `retries` times more."""
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=timeout_s, trust_env=False
        )
        self._retries = retries

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def create_group(self, name: str, *, id: str | None = None, time_zone: str | None = None) -> Group:
        body = _given({"name": name, "id": id, "time_zone": time_zone})
        return read(Group, self.request("POST", "/groups", json=body, once=True))

    def groups(self) -> Iterator[Group]:
        """All groups, by id."""
        return (read(Group, group) for group in self._pages("groups"))

    def group(self, group: str) -> GroupWithRoster:
        return read(GroupWithRoster, self.request("GET", _path("groups", group)))

    def delete_group(self, group: str) -> None:
        """With its roster and attendance; its people stay."""
        self.request("DELETE", _path("groups", group))

    def add_member(self, group: str, person: str) -> None:
        self.request("PUT", _path("groups", group, "people", person))

    def remove_member(self, group: str, person: str) -> None:
        self.request("DELETE", _path("groups", group, "people", person))

    def enrol(
        self,
        name: str,
        images: Sequence[Image],
        *,
        id: str | None = None,
        groups: Sequence[str] = (),
        faces: str | None = None,
        quality: str | None = None,
    ) -> Enrolled:
        """Makes a person from 1 to 20 photos; those that cannot be used are `rejected`, all of them is an error."""
        fields = _given({"name": name, "id": id, "groups": list(groups), "faces": faces, "quality": quality})
        return read(Enrolled, self.request("POST", "/people", fields=fields, images=images, once=True))

    def add_faces(self, person: str, images: Sequence[Image], *, faces: str | None = None) -> FacesAdded:
        path = _path("people", person, "faces")
        return read(FacesAdded, self.request("POST", path, fields=_given({"faces": faces}), images=images, once=True))

    def people(self) -> Iterator[Person]:
        """Everybody, by id."""
        return (read(Person, person) for person in self._pages("people"))

    def person(self, person: str) -> Person:
        return read(Person, self.request("GET", _path("people", person)))

    def delete_person(self, person: str) -> None:
        """With all samples and attendance."""
        self.request("DELETE", _path("people", person))

    def verify(self, person: str, image: Image, *, threshold: float | None = None) -> Verification:
        """Whether the photo shows the person."""
        path = _path("people", person, "verify")
        return read(Verification, self.request("POST", path, fields=_given({"threshold": threshold}), images=[image]))

    def recognize(
        self,
        group: str,
        images: Sequence[Image],
        *,
        mark: bool = True,
        threshold: float | None = None,
        margin: float | None = None,
        annotate: bool = False,
    ) -> Recognition:
        """Who of the group is in the photos; they are marked present unless `mark` is off."""
        options = {"mark": mark, "threshold": threshold, "margin": margin, "annotate": annotate}
        path = _path("groups", group, "recognize")
        return read(Recognition, self.request("POST", path, fields=_given(options), images=images))

    def attendance(self, group: str, date: Date | None = None) -> Attendance:
        """Of a local day of the group; today's if none is given."""
        params = _given({"date": date.isoformat() if date else None})
        return read(Attendance, self.request("GET", _path("groups", group, "attendance"), params=params))

    def undo_mark(self, group: str, record: str) -> None:
        self.request("DELETE", _path("groups", group, "attendance", record))

    def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        json: Any = None,
        fields: dict[str, Any] | None = None,
        images: Sequence[Image] = (),
        once: bool = False,
    ) -> Any:
        """The JSON that the route `path` below /api/v1 answers. With `once` it is done once however often it is sent.

        Raises `ApiError`, or `httpx.TransportError` where the server cannot be reached.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4())} if once else {}
        files = [("images", ("image", image if isinstance(image, bytes) else image.read_bytes())) for image in images]
        data = {name: _text(value) for name, value in fields.items()} if fields else None
        # A request that may take effect twice is not sent again when its answer is lost.
        repeatable = once or method in ("GET", "PUT", "DELETE")
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                answer = self._http.request(
                    method, f"/api/v1{path}", params=params, json=json, data=data, files=files or None, headers=headers
                )
            except httpx.TransportError:
                if last or not repeatable:
                    raise
                time.sleep(_pause_s(attempt, None))
                continue
            if answer.is_success:
                return answer.json() if answer.content else None
            error = _error(answer)
            busy = answer.status_code in _BUSY or error.code == "idempotency_in_progress"
            if last or not busy:
                raise error
            time.sleep(_pause_s(attempt, answer.headers.get("retry-after")))
        raise AssertionError("the last attempt returns or raises")

    def _pages(self, what: str) -> Iterator[Any]:
        params: dict[str, Any] = {"limit": 1000}
        while True:
            page = self.request("GET", f"/{what}", params=params)
            yield from page[what]
            if page["next"] is None:
                return
            params["after"] = page["next"]


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pause_s(attempt: int, retry_after: str | None) -> float:
    if retry_after is not None and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_WAIT_S)
    return min(0.25 * 2.0**attempt, _LONGEST_WAIT_S)


def _error(answer: httpx.Response) -> ApiError:
    request_id = answer.headers.get("x-request-id", "")
    try:
        error = answer.json()["error"]
        return ApiError(answer.status_code, error["code"], error["message"], error["details"], request_id)
    except (ValueError, KeyError, TypeError):
        # A proxy between us, or nothing that speaks our language.
        return ApiError(answer.status_code, "unknown", answer.reason_phrase, None, request_id)
