"""How requests are sent, repeated and answered."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from .credentials import Credential, Key, Login, User
from .errors import ApiError
from .values import text

File = Path | bytes
"""A file: where it is, or its bytes."""

Image = File
"""A photo."""

_BUSY = (429, 503)
_LONGEST_WAIT_S = 30.0
# The server says something every 15 s.
_SILENCE_S = 60.0
# Before a stream is opened again.
_AGAIN_S = 1.0


class Transport:
    """Speaks to one server as one caller. Threads may share it."""

    def __init__(self, url: str, caller: str | User, ca: Path | None, timeout_s: float, retries: int) -> None:
        verify = True if ca is None else ssl.create_default_context(cafile=ca)
        self._http = httpx.Client(base_url=url, verify=verify, timeout=timeout_s, trust_env=False)
        self._retries = retries
        self._credential: Credential = Key(caller) if isinstance(caller, str) else Login(caller, self._post_open)

    def close(self) -> None:
        """Ends the login, where there is one, and closes the connections."""
        if isinstance(self._credential, Login) and self._credential.is_open():
            try:
                self.request("POST", "/auth/logout")
            except (ApiError, httpx.TransportError):
                # It ends by itself when nobody refreshes it.
                pass
        self._http.close()

    def _post_open(self, path: str, body: Any) -> Any:
        return self._repeated(lambda: self._http.post(f"/api/v1{path}", json=body), repeatable=False).json()

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
        answer = self.send(method, path, params=params, json=json, fields=fields, files=files, once=once)
        return answer.json() if answer.content else None

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        fields: Mapping[str, Any] | None = None,
        files: Sequence[tuple[str, File]] = (),
        headers: Mapping[str, str] | None = None,
        once: bool = False,
        stream: bool = False,
        timeout: httpx.Timeout | None = None,
    ) -> httpx.Response:
        """The answer to `request`, whole, or with `stream` as it begins: then it wants closing."""
        headers = {**(headers or {}), **({"Idempotency-Key": str(uuid.uuid4())} if once else {})}
        query = {name: text(value) for name, value in (params or {}).items()}
        # A request that may take effect twice is not sent again when its answer is lost.
        repeatable = once or method in ("GET", "PUT", "DELETE")

        def exchange(token: str) -> httpx.Response:
            with ExitStack() as opened:
                request = self._http.build_request(
                    method,
                    f"/api/v1{path}",
                    params=query,
                    json=json,
                    data={name: text(value) for name, value in fields.items()} if fields else None,
                    files=[_part(name, file, opened) for name, file in files] or None,
                    headers={**headers, "Authorization": f"Bearer {token}"},
                    timeout=timeout or self._http.timeout,
                )
                return self._http.send(request, stream=stream)

        return self._repeated(lambda: self._shown(exchange), repeatable)

    def _shown(self, exchange: Callable[[str], httpx.Response]) -> httpx.Response:
        """The answer to who the caller is. A token that is over opens nothing, so the next one is shown at once."""
        token = self._credential.token()
        answer = exchange(token)
        if answer.status_code == 401 and self._credential.refused(token):
            answer.close()
            answer = exchange(self._credential.token())
        return answer

    def _repeated(self, exchange: Callable[[], httpx.Response], repeatable: bool) -> httpx.Response:
        """The answer of a server that is asked again while it is busy, and if `repeatable` when its answer is lost."""
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                answer = exchange()
            except httpx.TransportError:
                if last or not repeatable:
                    raise
                time.sleep(_pause_s(attempt, None))
                continue
            if answer.is_success:
                return answer
            answer.read()
            error = _error(answer)
            busy = answer.status_code in _BUSY or error.code == "idempotency_in_progress"
            if last or not busy:
                raise error
            time.sleep(_pause_s(attempt, answer.headers.get("retry-after")))
        raise AssertionError("the last attempt returns or raises")

    def pages(self, path: str, what: str, params: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """The entries `what` of all pages."""
        query: dict[str, Any] = {"limit": 1000, **(params or {})}
        while True:
            page = self.request("GET", path, params=query)
            yield from page[what]
            if page["next"] is None:
                return
            query["after"] = page["next"]

    def listen(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        resume: Callable[[], Mapping[str, str]] = dict,
    ) -> Iterator[Any]:
        """The data of a stream's server-sent events, until this client is closed: connects again, with the headers that
        `resume` then gives, when the server ends the stream or the line breaks or goes dead.

        Raises what `request` does if it cannot connect at first; later `ApiError` alone, where the server refuses.
        """
        timeout = httpx.Timeout(self._http.timeout.connect, read=_SILENCE_S)
        was_connected = False
        while not self._http.is_closed:
            headers = {"Accept": "text/event-stream", **resume()}
            try:
                answer = self.send("GET", path, params=params, headers=headers, stream=True, timeout=timeout)
                was_connected = True
                with closing(answer):
                    # The server's JSON has no line breaks: an event has one line of data.
                    lines = (line.removeprefix("data:") for line in answer.iter_lines() if line.startswith("data:"))
                    yield from map(json.loads, lines)
            except httpx.TransportError:
                if not was_connected:
                    raise
            except ApiError as error:
                if not was_connected or error.status not in _BUSY:
                    raise
            time.sleep(_AGAIN_S)


class Download:
    """A file that the server makes when it is asked for: by `read` or `save`."""

    def __init__(self, transport: Transport, path: str, params: Mapping[str, Any]) -> None:
        self._transport = transport
        self._path = path
        self._params = params

    def read(self) -> bytes:
        """All of it, in memory."""
        return self._transport.send("GET", self._path, params=self._params).content

    def save(self, to: Path) -> Path:
        """Writes it to a file as it comes, which has its name `to` when it is whole."""
        part = to.with_name(f"{to.name}.part")
        answer = self._transport.send("GET", self._path, params=self._params, stream=True)
        try:
            with part.open("wb") as file:
                for piece in answer.iter_bytes():
                    file.write(piece)
            return part.replace(to)
        finally:
            answer.close()
            part.unlink(missing_ok=True)


def address(*parts: str) -> str:
    """A path of these parts, whatever is in them."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _part(name: str, file: File, opened: ExitStack) -> tuple[str, tuple[str, Any]]:
    if isinstance(file, bytes):
        return name, ("file", file)
    return name, (file.name, opened.enter_context(file.open("rb")))


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
