"""A real server for the tests: the binary that ROLLCALL names, on a data folder of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollcall_client import Client

PORTRAITS = Path(__file__).parents[3] / "tests" / "fixtures" / "portraits"


class Server:
    """A server that can be stopped and started again."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, address: str = "127.0.0.1:0") -> None:
        file = self.data / "server.address"
        file.unlink(missing_ok=True)
        command = [os.environ["ROLLCALL"], "--data", str(self.data), "serve", "--address", address]
        # The webhooks of the tests are received here.
        environment = {**os.environ, "ROLLCALL__WEBHOOKS__ALLOW_PRIVATE": "true"}
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (file.exists() and file.read_text().endswith("\n")):
            assert self._process.poll() is None, "the server does not start"
            time.sleep(0.02)
        self.url = f"http://{file.read_text().splitlines()[0]}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def key(self, whose: str = "default") -> str:
        return (self.data / f"{whose}.key").read_text().strip()


@contextmanager
def running(data: Path) -> Iterator[Server]:
    server = Server(data)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests: each has a tenant of its own."""
    with running(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def operator(server: Server) -> Iterator[Client]:
    with Client(server.url, server.key("operator")) as operator:
        yield operator


@pytest.fixture
def tenant(operator: Client, request: pytest.FixtureRequest) -> dict[str, str]:
    """A fresh one: its id and its key."""
    made: dict[str, str] = operator.request("POST", "/tenants", json={"name": request.node.name}, once=True)
    return made


@pytest.fixture
def client(server: Server, tenant: dict[str, str]) -> Iterator[Client]:
    """An admin of the tenant."""
    with Client(server.url, tenant["key"]) as client:
        yield client


def portrait(shot: str) -> Path:
    """A photo of the fixtures."""
    return PORTRAITS / f"{shot}.jpg"
