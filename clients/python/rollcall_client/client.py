"""The client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .audit import Audit
from .credentials import User
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
    """Speaks to one server, with a key or as a user who logs in. Threads may share it."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        tenant: str | None = "default",
        ca: Path | None = None,
        timeout_s: float = 120.0,
        retries: int = 4,
    ) -> None:
        """With a `key`, or with `user` and `password`: of a `tenant`, or of an operator with `tenant=None`. Tokens are
        renewed as long as the client is used; `close` ends the login.

        `ca` is the certificate of the authority to trust instead of the public ones, a PEM file: that of
        `rollcall tls init` is `data/tls/ca.pem`. A busy or unreachable server is asked `retries` times more.
        """
        self._transport = Transport(url, _caller(key, user, password, tenant), ca, timeout_s, retries)
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
        """Ends the login, where there is one, and closes the connections."""
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


def _caller(key: str | None, user: str | None, password: str | None, tenant: str | None) -> str | User:
    if key is not None and user is None and password is None:
        return key
    if key is None and user is not None and password is not None:
        return User(user, password, tenant)
    raise ValueError("give a key, or a user and a password")
