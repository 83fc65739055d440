"""Who the client is: a key, or somebody who logs in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from .errors import ApiError

Post = Callable[[str, Any], Any]
"""Sends JSON to a route that wants no credential, and gives the JSON of its answer."""

# An access token that is over so soon is not used any more: the request has to arrive.
_SOON_S = 20.0


class Credential(Protocol):
    """What goes with every request."""

    def token(self) -> str:
        """What to send now."""

    def refused(self, token: str) -> bool:
        """Notes that the server refused a token; whether there is another one to try."""


class Key:
    """An API key: good until it is revoked."""

    def __init__(self, key: str) -> None:
        self._key = key

    def token(self) -> str:
        return self._key

    def refused(self, token: str) -> bool:
        return False


@dataclass(frozen=True)
class User:
    """Who logs in: of a tenant, or an operator without one."""

    name: str
    password: str
    tenant: str | None


class Login:
    """A user who logs in when a token is needed first, stays in by refresh tokens, and logs in again when the login is
    over. Threads may share it.
    """

    def __init__(self, user: User, post: Post) -> None:
        self._user = user
        self._post = post
        self._access = ""
        self._refresh: str | None = None
        self._good_until = 0.0
        self._lock = threading.Lock()

    def token(self) -> str:
        # One asks and all use the answer: a refresh token that comes twice ends the login.
        with self._lock:
            if not self._access or time.monotonic() > self._good_until:
                self._take(self._next_pair())
            return self._access

    def refused(self, token: str) -> bool:
        with self._lock:
            # Another thread may have the next one already.
            if self._access == token:
                self._access = ""
        return True

    def is_open(self) -> bool:
        """Whether there is a login that can be ended."""
        return self._refresh is not None

    def _next_pair(self) -> Any:
        refresh, self._refresh = self._refresh, None
        if refresh is not None:
            try:
                return self._post("/auth/refresh", {"refresh_token": refresh})
            except (ApiError, httpx.TransportError):
                # It is over, or its answer was lost and it is spent: the password is still good.
                pass
        login = {"user": self._user.name, "password": self._user.password}
        tenant = {} if self._user.tenant is None else {"tenant": self._user.tenant}
        return self._post("/auth/login", {**tenant, **login})

    def _take(self, pair: Any) -> None:
        self._access, self._refresh = pair["access_token"], pair["refresh_token"]
        self._good_until = time.monotonic() + max(pair["expires_in"] - _SOON_S, pair["expires_in"] / 2)
