"""Users who log in, and servers with a certificate by an authority of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollcall_client import ApiError, Client

from conftest import Server, running

PASSWORD = "a long password"


@pytest.fixture
def teacher(client: Client, tenant: dict[str, str]) -> dict[str, str]:
    """Who logs in."""
    client.groups.create("Maths", id="maths")
    new = {"id": "bob", "password": PASSWORD, "role": "teacher", "groups": ["maths"]}
    client.request("POST", "/users", json=new, once=True)
    return {"user": "bob", "password": PASSWORD, "tenant": tenant["id"]}


def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all requests from here on."""
    paths: list[str] = []
    send = httpx.Client.send

    def note(self: httpx.Client, request: httpx.Request, **named: Any) -> httpx.Response:
        paths.append(request.url.path.removeprefix("/api/v1"))
        return send(self, request, **named)

    monkeypatch.setattr(httpx.Client, "send", note)
    return paths


def test_a_user_logs_in_once_and_out_at_the_end(
    server: Server, teacher: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sent(monkeypatch)
    with Client(server.url, **teacher) as bob:  # type: ignore[arg-type]
        assert [group.id for group in bob.groups.all()] == ["maths"]
        assert bob.request("GET", "/auth/me")["user"] == "bob"
    assert paths == ["/auth/login", "/groups", "/auth/me", "/auth/logout"]


def test_a_login_lasts_beyond_its_tokens(
    server: Server, teacher: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.url, **teacher) as bob:  # type: ignore[arg-type]
        bob.groups.get("maths")
        login: Any = bob._transport._credential
        paths = sent(monkeypatch)
        # Its time is over.
        login._good_until = 0.0
        bob.groups.get("maths")
        assert paths == ["/auth/refresh", "/groups/maths"]
        # The server does not take it any more.
        paths.clear()
        login._access += "x"
        bob.groups.get("maths")
        assert paths == ["/groups/maths", "/auth/refresh", "/groups/maths"]
        # The login itself is over.
        paths.clear()
        login._access, login._refresh = "", "rr_0"
        bob.groups.get("maths")
        assert paths == ["/auth/refresh", "/auth/login", "/groups/maths"]


def test_a_wrong_password_is_told_and_a_caller_is_one_of_two(server: Server, teacher: dict[str, str]) -> None:
    wrong = {**teacher, "password": "another password"}
    with Client(server.url, **wrong) as bob, pytest.raises(ApiError) as refusal:  # type: ignore[arg-type]
        bob.groups.get("maths")
    assert (refusal.value.status, refusal.value.code) == (401, "wrong_login")
    for callers in ({}, {"user": "bob"}, {"key": "k", "user": "bob", "password": PASSWORD}):
        with pytest.raises(ValueError):
            Client(server.url, **callers)  # type: ignore[arg-type]


def test_a_server_of_an_authority_of_its_own_is_trusted_by_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    subprocess.run([os.environ["ROLLCALL"], "--data", str(data), "tls", "init"], check=True, stdout=subprocess.DEVNULL)
    monkeypatch.setenv("ROLLCALL__SERVER__TLS_CERTIFICATE", str(data / "tls" / "server.pem"))
    monkeypatch.setenv("ROLLCALL__SERVER__TLS_KEY", str(data / "tls" / "server.key"))
    with running(data) as server:
        url = server.url.replace("http://", "https://")
        with Client(url, server.key(), ca=data / "tls" / "ca.pem") as client:
            assert client.groups.create("over TLS").name == "over TLS"
        with Client(url, server.key(), retries=0) as doubtful, pytest.raises(httpx.ConnectError):
            doubtful.groups.get("g")
