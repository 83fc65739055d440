"""The client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from .audit import Audit
from .erasures import Erasures
from .events import Events
from .groups import Groups
from .jobs import Jobs
from .people import People
from .photos import Photos
from .records import Records
from .reports import Reports
from .sessions import Sessions
from .timetables import Timetables
from .transport import File, Transport
from .webhooks import Webhooks


class Client:
    """Speaks to one server with one tenant's key. Threads may share it."""

    def __init__(self, url: str, key: str, *, timeout_s: float = 120.0, retries: int = 4) -> None:
        """A busy or unreachable server is asked `retries` times more."""
        self._transport = Transport(url, key, timeout_s, retries)
        self.groups = Groups(self._transport)
        self.people = People(self._transport)
        self.photos = Photos(self._transport)
        self.timetables = Timetables(self._transport)
        self.sessions = Sessions(self._transport)
        self.records = Records(self._transport)
        self.jobs = Jobs(self._transport)
        self.events = Events(self._transport)
        self.webhooks = Webhooks(self._transport)
        self.reports = Reports(self._transport)
        self.audit = Audit(self._transport)
        self.erasures = Erasures(self._transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        fields: Mapping[str, Any] | None = None,
        files: Sequence[tuple[str, File]] = (),
        once: bool = False,
    ) -> Any:
        """The JSON that the route `path` below /api/v1 answers. With `once` it is done once however often it is sent.

        Raises `ApiError`, or `httpx.TransportError` where the server cannot be reached.
        """
        return self._transport.request(
            method, path, params=params, json=json, fields=fields, files=files, once=once
        )
