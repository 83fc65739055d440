#!/usr/bin/env python3
"""How long a tenant waits for its portraits while the kiosks of another tenant send all they can.

    fair.py ROLLCALL COMPOSE      from the repository's root; `make fair` calls it
    FAIR_SECONDS                  how long each flood lasts (60)

Portraits are identified one after the other, first on an idle server, then beside forty kiosks of another tenant that
recognise portraits, class photos, and photos of some 12 and 3 megapixels. Fails if the 99th percentile beside a flood is
over four times the idle one, or one of them takes over a second or is refused.
"""

import math
import multiprocessing
import os
import shutil
import statistics
import sys
import threading
import time

from soak import OUT, PORTRAITS, Client, Server, make_photos, prepare

SECONDS = float(os.environ.get("FAIR_SECONDS", "60"))
KIOSKS = 40
IDLE_PORTRAITS = 200
# Between two portraits of the one who waits.
PAUSE_SECONDS = 0.02
WARM_UP_SECONDS = 3
MAX_RATIO = 4
MAX_SECONDS = 1


def flood(server: Server, key: str, photos: list[bytes]) -> None:
    """Forty kiosks, each with a photo under way at any time, until the process is ended."""

    def kiosk(number: int) -> None:
        client = Client(server, key)
        while True:
            photo = photos[(number + client.requests) % len(photos)]
            client.form("/groups/class/recognize", [], [photo])

    threads = [threading.Thread(target=kiosk, args=(number,)) for number in range(KIOSKS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Waits:
    """How long portraits took, in seconds."""

    def __init__(self, client: Client, portrait: bytes, goes_on) -> None:
        self.seconds: list[float] = []
        before = client.requests
        while goes_on(self.seconds):
            begun = time.perf_counter()
            client.form("/identify", [], [portrait])
            self.seconds.append(time.perf_counter() - begun)
            time.sleep(PAUSE_SECONDS)
        self.refused = client.requests - before - len(self.seconds)

    def p99(self) -> float:
        return sorted(self.seconds)[math.ceil(0.99 * len(self.seconds)) - 1]

    def __str__(self) -> str:
        median, p99, longest = (1000 * value for value in (statistics.median(self.seconds), self.p99(), max(self.seconds)))
        return f"p50 {median:.0f} ms, p99 {p99:.0f} ms, max {longest:.0f} ms of {len(self.seconds)}, {self.refused} refused"


def beside(server: Server, key: str, photos: list[bytes], client: Client, portrait: bytes) -> Waits:
    # Threads of this process would wait for each other.
    kiosks = multiprocessing.get_context("fork").Process(target=flood, args=(server, key, photos))
    kiosks.start()
    try:
        time.sleep(WARM_UP_SECONDS)
        end = time.monotonic() + SECONDS
        return Waits(client, portrait, lambda _: time.monotonic() < end)
    finally:
        kiosks.kill()
        kiosks.join()


def main() -> int:
    rollcall, compose = sys.argv[1:]
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    large, crowd, *rooms = make_photos(compose).values()
    portraits = [path.read_bytes() for path in sorted(PORTRAITS.glob("*.jpg"))]
    server = Server(rollcall, OUT / "data")
    try:
        school = Client(server)
        prepare(school)
        kiosk = school.json("POST", "/keys", {"name": "door", "role": "kiosk", "groups": ["class"]})["key"]
        operator = Client(server, (OUT / "data" / "operator.key").read_text().strip())
        other = Client(server, operator.json("POST", "/tenants", {"id": "other", "name": "Other"})["key"])
        prepare(other)
        idle = Waits(other, portraits[-1], lambda seconds: len(seconds) < IDLE_PORTRAITS)
        print(f"idle: {idle}")
        failed = False
        for name, photos in {"portraits": portraits, "class photos": rooms, "large photos": [large, crowd]}.items():
            waits = beside(server, kiosk, photos, other, portraits[-1])
            ratio = waits.p99() / idle.p99()
            print(f"beside {KIOSKS} kiosks with {name}: {waits}; {ratio:.1f} times idle")
            failed |= ratio > MAX_RATIO or max(waits.seconds) > MAX_SECONDS or waits.refused > 0
            time.sleep(WARM_UP_SECONDS)
    finally:
        server.stop()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
