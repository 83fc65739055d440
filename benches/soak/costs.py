#!/usr/bin/env python3
"""What marks, enrolments and photos cost two builds of the server, in CPU seconds of the process, and how long one portrait
takes where nobody else asks.

    costs.py BEFORE AFTER [PAIRS]     from the repository's root; both are release binaries, run in turn (10 pairs)

Prints for each kind the median of the ratios AFTER / BEFORE, their quartiles, and both medians in milliseconds.
"""

import os
import shutil
import statistics
import sys
import threading
import time
from pathlib import Path

from soak import CLASS_PHOTOS, OUT, PORTRAITS, Client, Server

CLIENTS = 8
MARKS = 2000
ENROLMENTS = 64
PHOTOS = 64


def cpu_seconds(server: Server) -> float:
    user, system = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def cost(server: Server, count: int, work) -> float:
    """CPU milliseconds of one, of `count` that as many clients as there are make."""
    before = cpu_seconds(server)

    def client(number: int) -> None:
        asks = Client(server)
        for at in range(number, count, CLIENTS):
            work(asks, at)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1000 * (cpu_seconds(server) - before) / count


def costs(program: str) -> dict[str, float]:
    data = OUT / "costs"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    server = Server(program, data)
    try:
        return measured(server)
    finally:
        server.stop()


def measured(server: Server) -> dict[str, float]:
    first = Client(server)
    first.json("POST", "/groups", {"id": "class", "name": "Class"})
    portrait, photo = (PORTRAITS / "obama.jpg").read_bytes(), (CLASS_PHOTOS / "first.jpg").read_bytes()
    first.form("/people", [("id", "obama"), ("name", "obama"), ("groups", "class")], [portrait])
    for number in range(CLIENTS):
        first.form("/people", [("id", f"marked-{number}"), ("name", "m"), ("groups", "class")], [portrait])
    session = first.json("POST", "/groups/class/sessions", {"date": "2026-01-05", "start": "10:00", "end": "11:00"})["id"]
    status = ["present", "absent", "late"]

    def mark(client: Client, at: int) -> None:
        changed = {"person": f"marked-{at % CLIENTS}", "status": status[at // CLIENTS % 3], "reason": "by hand"}
        client.json("POST", f"/sessions/{session}/confirm", {"set": [changed]})

    def enrol(client: Client, at: int) -> None:
        client.form("/people", [("id", f"p-{at}"), ("name", f"Person {at}"), ("groups", "class")], [portrait])

    def recognise(client: Client, at: int) -> None:
        client.form("/groups/class/recognize", [("mark", "false")], [photo])

    def portrait_seconds() -> float:
        begun = time.perf_counter()
        first.form("/groups/class/recognize", [("mark", "false")], [portrait])
        return time.perf_counter() - begun

    return {
        "one portrait, p50 of the answer": 1000 * statistics.median(portrait_seconds() for _ in range(PHOTOS)),
        "marks": cost(server, MARKS, mark),
        "enrolments": cost(server, ENROLMENTS, enrol),
        "photos": cost(server, PHOTOS, recognise),
    }


def main() -> None:
    before, after, pairs = sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["10"])[0])
    found = []
    for number in range(pairs):
        # Each goes first as often as the other.
        programs = [before, after] if number % 2 == 0 else [after, before]
        by_program = {program: costs(program) for program in programs}
        found.append((by_program[before], by_program[after]))
    for kind in found[0][0]:
        ratios = [two[kind] / one[kind] for one, two in found]
        low, median, high = statistics.quantiles(ratios, n=4)
        ones, twos = (statistics.median(pair[side][kind] for pair in found) for side in (0, 1))
        print(f"{kind}: {median:.3f} ({low:.3f}–{high:.3f}) of {pairs} pairs; {ones:.2f} and {twos:.2f} ms each")


if __name__ == "__main__":
    main()
