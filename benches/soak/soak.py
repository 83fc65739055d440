#!/usr/bin/env python3
"""Loads a server for a while with everything that a school does at once, and watches its memory.

    soak.py ROLLCALL COMPOSE      from the repository's root; `make soak` calls it
    SOAK_MINUTES                  how long the load lasts (60)

Fails if resident memory grows by 2 % or more over the second half of the load (by the straight line through its samples:
single minutes differ by a tenth), or is over 150 MB a minute after it, or if a request fails. Who is enrolled is deleted
again, and so are the groups with their registers: but for the logs, what is stored stays as large as it was, and memory
has no reason to grow.
"""

import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

MINUTES = float(os.environ.get("SOAK_MINUTES", "60"))
MAX_GROWTH = 0.02
MAX_AFTER_MB = 150
AFTER_SECONDS = 60
SAMPLE_SECONDS = 0.25
# What a full server says: the same again, a little later.
BUSY = 429

OUT = Path("target/soak")
PORTRAITS = Path("tests/fixtures/portraits")
CLASS_PHOTOS = Path("tests/fixtures/class")
PEOPLE = {
    "obama": ["obama.jpg", "obama2.jpg"],
    "biden": ["biden.jpg"],
    "hopper": ["hopper.jpg"],
    "collins": ["astronaut.jpg"],
}
# Rows of portraits, and how high each is: photos of some 12 and 3 megapixels.
COMPOSED = {
    "large.jpg": (1480, "obama3 biden:mirror:dark hopper / obama3:mirror astronaut:mirror biden"),
    "crowd.jpg": (260, " / ".join(["obama biden:mirror hopper:dark astronaut obama2:mirror biden:dark"] * 6)),
}


class Server:
    """A release server on a folder of its own."""

    def __init__(self, rollcall: str, data: Path, settings: dict[str, str] | None = None) -> None:
        command = [rollcall, "serve", "--data", str(data), "--address", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, env=os.environ | {"ROLLCALL__LOG__FILTER": "warn"} | (settings or {}))
        address = data / "server.address"
        while not (address.exists() and address.read_text()):
            if self.process.poll() is not None:
                sys.exit("the server does not start")
            time.sleep(0.1)
        self.url = f"http://{address.read_text().splitlines()[0]}/api/v1"
        self.key = (data / "default.key").read_text().strip()

    def resident_mb(self) -> float:
        """What the kernel counts as resident, exactly."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Rss:")) / 1000

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


class Client:
    """One client's requests; a full server is asked again."""

    def __init__(self, server: Server, key: str = "") -> None:
        self.server = server
        self.key = key or server.key
        self.requests = 0

    def send(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Content-Type": kind} if kind else {})
        request = urllib.request.Request(self.server.url + path, body, headers, method=method)
        while True:
            self.requests += 1
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                if error.code != BUSY:
                    raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error
                time.sleep(0.2)

    def get(self, path: str) -> bytes:
        return self.send("GET", path)

    def json(self, method: str, path: str, value: object) -> dict:
        return json.loads(self.send(method, path, json.dumps(value).encode(), "application/json") or b"{}")

    def form(self, path: str, fields: list[tuple[str, str]], images: list[bytes]) -> dict:
        boundary = secrets.token_hex(16)
        parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
                 for name, value in fields]
        for image in images:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="images"; filename="photo.jpg"\r\n'
            parts.append(f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + image + b"\r\n")
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        return json.loads(self.send("POST", path, body, f"multipart/form-data; boundary={boundary}"))


def make_photos(compose: str) -> dict[str, bytes]:
    for name, (height, rows) in COMPOSED.items():
        portraits = [word if word == "/" else portrait(word) for word in rows.split()]
        subprocess.run([compose, str(OUT / name), str(height), *portraits], check=True)
    paths = [OUT / name for name in COMPOSED] + sorted(CLASS_PHOTOS.glob("*.jpg"))
    return {path.name: path.read_bytes() for path in paths}


def portrait(word: str) -> str:
    """`biden:mirror` as compose wants it."""
    name, *changes = word.split(":")
    return ":".join([str(PORTRAITS / f"{name}.jpg"), *changes])


def portraits_of(person: str) -> list[bytes]:
    return [(PORTRAITS / name).read_bytes() for name in PEOPLE[person]]


def prepare(client: Client) -> None:
    client.json("POST", "/groups", {"id": "class", "name": "Class"})
    for person in PEOPLE:
        fields = [("id", person), ("name", person.title()), ("groups", "class")]
        client.form("/people", fields, portraits_of(person))


def recognises(client: Client, photos: list[bytes]) -> None:
    """A camera: each photo of the class in turn, and several in one request."""
    for photo in photos:
        client.form("/groups/class/recognize", [("mark", "false")], [photo])
    client.form("/groups/class/recognize", [("mark", "false"), ("annotate", "true")], photos[:1])
    client.form("/identify", [], photos)


def enrols(client: Client) -> None:
    """An office: people come, get further samples, are looked at, and leave."""
    ids = [f"new-{secrets.token_hex(6)}" for _ in range(4)]
    for person, known in zip(ids, PEOPLE):
        client.form("/people", [("id", person), ("name", f"New {known}")], portraits_of(known))
    client.form(f"/people/{ids[0]}/faces", [], [(PORTRAITS / "obama3.jpg").read_bytes()])
    client.get("/people?query=new")
    client.get(f"/people/{ids[0]}/export")
    for person in ids:
        client.send("DELETE", f"/people/{person}")


def teaches(client: Client, photo: bytes) -> None:
    """A teacher: a group with its sessions, marked by photos and by hand, closed, reported in every format."""
    group = f"term-{secrets.token_hex(6)}"
    client.json("POST", "/groups", {"id": group, "name": "Term"})
    for person in PEOPLE:
        client.send("PUT", f"/groups/{group}/people/{person}")
    # A mark cannot lie in the future.
    day = (datetime.now(timezone.utc).date() - timedelta(days=1)).isoformat()
    for hour in range(8, 14):
        lesson = {"title": "Lesson", "date": day, "start": f"{hour:02}:00", "end": f"{hour:02}:50"}
        session = client.json("POST", f"/groups/{group}/sessions", lesson)["id"]
        at = f"{day}T{hour:02}:10:00Z"
        client.form(f"/groups/{group}/recognize", [("session", session), ("at", at)], [photo])
        client.get(f"/sessions/{session}/review")
        word = {"person": "collins", "status": "late", "reason": "ten past"}
        client.json("POST", f"/sessions/{session}/confirm", {"set": [word]})
        client.json("POST", f"/sessions/{session}/close", {"force": True})
    for form in ("json", "csv", "xlsx", "svg"):
        client.get(f"/reports/attendance?group={group}&format={form}")
    client.get(f"/reports/attendance?group={group}&by=matrix&format=xlsx")
    client.get(f"/groups/{group}/attendance")
    client.get("/events?after=0")
    client.get("/audit?limit=100")
    client.send("DELETE", f"/groups/{group}")


class Load:
    """Clients that go on until they are told to stop; the first failure stops them all."""

    def __init__(self, server: Server, photos: dict[str, bytes]) -> None:
        large, crowd, *rooms = photos.values()
        works = [lambda client: recognises(client, [large, *rooms])] * 8
        works += [lambda client: recognises(client, [crowd, *rooms])] * 4
        works += [enrols, lambda client: teaches(client, rooms[0])] * 2
        self.clients = [Client(server) for _ in works]
        self.over = threading.Event()
        self.failures: list[Exception] = []
        self.threads = [threading.Thread(target=self.repeat, args=pair) for pair in zip(works, self.clients)]

    def repeat(self, work, client: Client) -> None:
        try:
            while not self.over.is_set():
                work(client)
        except Exception as failure:  # noqa: BLE001 whatever it was, the soak has failed
            self.failures.append(failure)
            self.over.set()

    def run(self, seconds: float, sample) -> None:
        for thread in self.threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.over.wait(SAMPLE_SECONDS):
            sample()
        self.over.set()
        for thread in self.threads:
            thread.join()


def quarters(samples: list[float]) -> list[float]:
    """The mean of each quarter of the load: what is in flight makes single minutes differ by a tenth."""
    length = len(samples) // 4
    return [statistics.fmean(samples[start * length:][:length]) for start in range(4)]


def growth_over(samples: list[float]) -> float:
    """By how much of their mean the straight line through the samples rises from the first to the last."""
    slope, _ = statistics.linear_regression(range(len(samples)), samples)
    return slope * (len(samples) - 1) / statistics.fmean(samples)


def main() -> int:
    rollcall, compose = sys.argv[1:]
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    photos = make_photos(compose)
    server = Server(rollcall, OUT / "data")
    try:
        prepare(Client(server))
        idle = server.resident_mb()
        load = Load(server, photos)
        samples: list[float] = []
        load.run(MINUTES * 60, lambda: samples.append(server.resident_mb()))
        if load.failures:
            print(f"failed: {load.failures[0]}")
            return 1
        time.sleep(AFTER_SECONDS)
        after = server.resident_mb()
    finally:
        server.stop()
    means = quarters(samples)
    growth = growth_over(samples[len(samples) // 2 :])
    print(f"load: {MINUTES:g} min, {sum(client.requests for client in load.clients)} requests")
    print(f"resident before the load: {idle:.0f} MB")
    print(f"peak: {max(samples):.0f} MB")
    print(f"mean of each quarter: {', '.join(f'{mean:.0f}' for mean in means)} MB")
    print(f"growth over the second half: {growth:+.1%} (less than {MAX_GROWTH:.0%})")
    print(f"a minute after: {after:.0f} MB (at most {MAX_AFTER_MB})")
    (OUT / "samples.csv").write_text("".join(f"{sample:.1f}\n" for sample in samples))
    return int(growth >= MAX_GROWTH or after > MAX_AFTER_MB)


if __name__ == "__main__":
    sys.exit(main())
