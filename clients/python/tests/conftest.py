"""A real server for the tests: the binary that ROLLCALL names, on a data folder of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcall_client import Client

PORTRAITS = Path(__file__).parents[3] / "tests" / "fixtures" / "portraits"


class Server:
    """A running server."""

    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self.key = (data / "default.key").read_text().strip()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("server") / "data"
    command = [os.environ["ROLLCALL"], "--data", str(data), "serve", "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            address = data / "server.address"
            while not (address.exists() and address.read_text().endswith("\n")):
                assert process.poll() is None, "the server does not start"
                time.sleep(0.05)
            yield Server(f"http://{address.read_text().splitlines()[0]}", data)
        finally:
            process.terminate()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, server.key) as client:
        yield client


def portrait(shot: str) -> Path:
    """A photo of the fixtures."""
    return PORTRAITS / f"{shot}.jpg"
