"""Refusals and repeats: against a real server, and one that is busy."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from rollcall_client import ApiError, Client

from conftest import Server


def test_a_refusal_is_an_exception_that_says_why(client: Client, server: Server) -> None:
    with pytest.raises(ApiError) as refusal:
        client.groups.get("none")
    assert (refusal.value.status, refusal.value.code) == (404, "group_not_found")
    assert len(refusal.value.request_id) == 36
    with pytest.raises(ApiError) as refusal:
        client.people.enrol("Nobody", [b"no photo"])
    assert refusal.value.code == "no_usable_image"
    assert refusal.value.details["rejected"][0]["reason"] == "not_an_image"
    with Client(server.url, "wrong") as stranger, pytest.raises(ApiError) as refusal:
        stranger.groups.get("none")
    assert refusal.value.status == 401


def test_what_is_made_once_is_not_made_twice(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server takes the first request; its answer is lost on the way."""
    send = httpx.Client.send
    lost: list[httpx.Response] = []

    def lose_the_first(self: httpx.Client, *args: object, **named: object) -> httpx.Response:
        answer = send(self, *args, **named)  # type: ignore[arg-type]
        if not lost:
            lost.append(answer)
            raise httpx.ReadError("lost on the way")
        return answer

    monkeypatch.setattr(httpx.Client, "send", lose_the_first)
    made = client.groups.create("Once")
    assert lost[0].status_code == 201 and lost[0].json()["id"] == made.id
    assert [group.id for group in client.groups.all()] == [made.id]


@contextmanager
def scripted(answers: list[int]) -> Iterator[tuple[str, list[str | None]]]:
    """A server that gives these statuses in turn; its address, and the idempotency keys that it saw."""
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            keys.append(self.headers.get("idempotency-key"))
            status = answers.pop(0)
            group = {"id": "g", "name": "g", "time_zone": "UTC", "rules": {}, "created_at": "2026-09-01T08:00:00.123456789Z"}
            error = {"error": {"code": "overloaded", "message": "busy", "details": None}, "request_id": "r"}
            body = json.dumps(error if status >= 400 else group).encode()
            self.send_response(status)
            self.send_header("retry-after", "0")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", keys
        finally:
            server.shutdown()
            thread.join()


def test_a_busy_server_is_asked_again_under_the_same_key() -> None:
    with scripted([429, 503, 201]) as (url, keys), Client(url, "k") as client:
        assert client.groups.create("g").id == "g"
        assert len(keys) == 3 and len(set(keys)) == 1 and keys[0]


def test_a_server_that_stays_busy_is_given_up() -> None:
    with scripted([429, 429, 429]) as (url, keys), Client(url, "k", retries=2) as client:
        with pytest.raises(ApiError) as refusal:
            client.groups.create("g")
        assert (refusal.value.code, len(keys)) == ("overloaded", 3)
