#!/usr/bin/env python3
"""Floods a server with each kind of client in turn, and watches who else is served, and its memory.

    floods.py ROLLCALL [FLOOD…]   from the repository's root; `make floods` calls it
    FLOOD_SECONDS                 how long each flood lasts (60)

Beside each flood, once a second: health on its own address, a photo of another tenant's teacher, and as the operator
`rollcall check` on the same data folder. Fails if one of them fails or takes over two seconds, if what is resident grows
by more than the budget, or if the store is not sound afterwards.
"""

import base64
import http.client
import io
import json
import multiprocessing
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

from soak import CLASS_PHOTOS, OUT, PORTRAITS, Client, Server, prepare

SECONDS = float(os.environ.get("FLOOD_SECONDS", "60"))
MAX_SECONDS = 2
# pipeline.budget_bytes, and what the allocator keeps for a while.
MAX_GROWTH_MB = 512 + 100
REST_SECONDS = 15
# Nearly all connections that there are, over several addresses.
CONNECTIONS = 1450
ADDRESSES = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"]

PORTRAIT = sorted(PORTRAITS.glob("*.jpg"))[0].read_bytes()
CLASS_PHOTO = sorted(CLASS_PHOTOS.glob("*.jpg"))[0].read_bytes()


class Flood:
    """What a flood needs to know; each runs in a process of its own until that is ended."""

    def __init__(self, server: Server, admin: str, kiosk: str) -> None:
        host, port = server.url.removeprefix("http://").split("/")[0].rsplit(":", 1)
        self.server, self.address, self.admin, self.kiosk = server, (host, int(port)), admin, kiosk

    def together(self, clients: int, work) -> None:
        def client(number: int) -> None:
            while True:
                try:
                    work(number)
                except OSError:
                    time.sleep(0.02)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        line = socket.socket()
        line.settimeout(10)
        line.bind((source, 0))
        line.connect(self.address)
        return line

    def send(self, path: str, key: str, body: bytes, kind: str) -> None:
        """Whatever the answer is."""
        line = http.client.HTTPConnection(*self.address, timeout=90)
        try:
            line.request("POST", f"/api/v1{path}", body, {"Authorization": f"Bearer {key}", "Content-Type": kind})
            line.getresponse().read()
        finally:
            line.close()

    def holds(self, first: bytes, drip: bytes, reads: bool) -> None:
        """As many connections as there are, each with its first bytes and then ever so little; never read, or to the end."""
        lines: list[socket.socket] = []
        while True:
            while len(lines) < CONNECTIONS:
                try:
                    line = self.connect(ADDRESSES[len(lines) % len(ADDRESSES)])
                    line.setblocking(False)
                    line.send(first)
                except OSError:
                    break
                lines.append(line)
            for line in list(lines):
                try:
                    line.send(drip)
                    if reads and line.recv(4096) == b"":
                        raise ConnectionResetError
                except BlockingIOError:
                    pass
                except OSError:
                    line.close()
                    lines.remove(line)
            time.sleep(0.2)

    def idle(self) -> None:
        self.holds(b"", b"", True)

    def slow(self) -> None:
        head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7000\r\n\r\n{"
        self.holds(head.encode(), b" ", True)

    def unread(self) -> None:
        short = b"GET / HTTP/1.1\r\nHost:x\r\n\r\n"
        self.holds(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" + short * 400, b"", False)

    def logins(self) -> None:
        def guess(number: int) -> None:
            guess = {"tenant": "victim", "user": f"user{number % 3}", "password": secrets.token_hex(8)}
            self.send("/auth/login", "", json.dumps(guess).encode(), "application/json")

        self.together(40, guess)

    def kiosks(self) -> None:
        client = Client(self.server, self.kiosk)
        self.together(40, lambda _: client.form("/groups/class/recognize", [], [CLASS_PHOTO]))

    def bodies(self) -> None:
        photos = json.dumps({"images": [base64.b64encode(CLASS_PHOTO).decode()] * 15}).encode()
        large = b'{"images":["' + b"A" * 24_000_000 + b'","' + b"A" * 24_000_000 + b'"]}'
        self.together(30, lambda number: self.send("/detect", self.admin, [photos, large][number % 2], "application/json"))

    def jobs(self) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for number in range(60):
                archive.writestr(f"{number}.jpg", CLASS_PHOTO)
        head = b'--x\r\nContent-Disposition: form-data; name="mark"\r\n\r\nfalse\r\n--x\r\nContent-Disposition: form-data; '
        body = head + b'name="photos"; filename="p.zip"\r\n\r\n' + packed.getvalue() + b"\r\n--x--\r\n"
        path, kind = "/groups/class/jobs/recognize", "multipart/form-data; boundary=x"
        self.together(12, lambda _: self.send(path, self.admin, body, kind))

    def streams(self) -> None:
        def listen(number: int) -> None:
            line = self.connect()
            upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            path, more = ("/events/ws", upgrade) if number % 2 else ("/events", "Accept: text/event-stream\r\n")
            head = f"GET /api/v1{path}?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.admin}\r\n{more}\r\n"
            line.sendall(head.encode())
            line.recv(300)
            for _ in range(30):
                line.sendall((b"\x89\xfd\0\0\0\0" + b"p" * 125) * 50)
                time.sleep(0.05)
            line.close()

        self.together(150, listen)


FLOODS = ["idle", "slow", "unread", "logins", "kiosks", "bodies", "jobs", "streams"]


class Beside:
    """What is done once a second beside a flood, and how long it takes."""

    def __init__(self, work, over: threading.Event) -> None:
        self.seconds: list[float] = []
        self.failure: Exception | None = None
        self.work, self.over = work, over
        self.thread = threading.Thread(target=self.repeat)
        self.thread.start()

    def repeat(self) -> None:
        while not self.over.wait(1):
            begun = time.perf_counter()
            try:
                self.work()
            except Exception as error:  # noqa: BLE001: it is told in the end
                self.failure = error
            self.seconds.append(time.perf_counter() - begun)

    def is_served(self) -> bool:
        return self.failure is None and max(self.seconds) < MAX_SECONDS

    def __str__(self) -> str:
        times = f"p50 {1000 * statistics.median(self.seconds):.0f} ms, max {1000 * max(self.seconds):.0f} ms"
        return f"{times} of {len(self.seconds)}" + (f", FAILED: {self.failure}" if self.failure else "")


def free_address() -> str:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return "127.0.0.1:{}".format(line.getsockname()[1])


def main() -> int:
    rollcall, *wanted = sys.argv[1:]
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    data, health = OUT / "data", free_address()
    server = Server(rollcall, data, {"ROLLCALL__SERVER__HEALTH_ADDRESS": health})
    check = [rollcall, "check", "--data", str(data)]
    failed = False
    try:
        admin = Client(server)
        prepare(admin)
        kiosk = admin.json("POST", "/keys", {"name": "door", "role": "kiosk", "groups": ["class"]})["key"]
        operator = Client(server, (data / "operator.key").read_text().strip())
        victim = Client(server, operator.json("POST", "/tenants", {"id": "victim", "name": "Victim"})["key"])
        prepare(victim)
        teacher = victim.json("POST", "/keys", {"name": "t", "role": "teacher", "groups": ["class"]})["key"]

        def is_healthy() -> None:
            host, port = health.rsplit(":", 1)
            line = http.client.HTTPConnection(host, int(port), timeout=10)
            line.request("GET", "/health/ready")
            if line.getresponse().status != 200:
                raise RuntimeError("not ready")
            line.close()

        work = {
            "health": is_healthy,
            "teacher": lambda: Client(server, teacher).form("/groups/class/recognize", [], [PORTRAIT]),
            "operator": lambda: subprocess.run(check, check=True, capture_output=True, timeout=60),
        }
        for name in wanted or FLOODS:
            before, peak = server.resident_mb(), 0.0
            flood = getattr(Flood(server, admin.key, kiosk), name)
            # Threads of this process would wait for each other.
            process = multiprocessing.get_context("fork").Process(target=flood)
            process.start()
            over = threading.Event()
            beside = {who: Beside(does, over) for who, does in work.items()}
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                peak = max(peak, server.resident_mb())
                time.sleep(0.1)
            over.set()
            for each in beside.values():
                each.thread.join()
            process.kill()
            process.join()
            time.sleep(REST_SECONDS)
            is_sound = subprocess.run(check, capture_output=True).returncode == 0
            print(f"{name}: resident {before:.0f}, peak {peak:.0f}, after {server.resident_mb():.0f} MB", flush=True)
            for who, each in beside.items():
                print(f"    {who}: {each}", flush=True)
            is_served = all(each.is_served() for each in beside.values())
            failed |= not (is_sound and is_served and peak - before < MAX_GROWTH_MB)
    finally:
        server.stop()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
