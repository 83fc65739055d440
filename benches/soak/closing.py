#!/usr/bin/env python3
"""What closing the session of a large group costs two builds of the server, in CPU seconds of the process.

    closing.py BEFORE AFTER [PAIRS] [PEOPLE]   from the repository's root; release binaries, in turn (10 pairs, 50 000)

Both servers take in the same roster; then a session of each is closed in turn. Prints the median of the ratios
AFTER / BEFORE, their quartiles, and both medians in seconds, and the same of taking the roster in, of one pair.
"""

import json
import secrets
import shutil
import statistics
import sys
import time
from datetime import date, timedelta

from costs import cpu_seconds
from soak import OUT, Client, Server


def import_roster(client: Client, people: int) -> None:
    rows = "id,name,groups\n" + "".join(f"s{n},Student {n},class\n" for n in range(people))
    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="csv"; filename="roster.csv"\r\n\r\n'
    body = f"{head}{rows}\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    job = json.loads(client.send("POST", "/people/import", body, kind))["id"]
    while client.json_of(f"/jobs/{job}")["finished_at"] is None:
        time.sleep(0.5)


class Closer(Client):
    def json_of(self, path: str) -> dict:
        return json.loads(self.get(path))


def prepared(program: str, name: str, people: int) -> tuple[Server, Closer, float]:
    data = OUT / name
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    server = Server(program, data)
    client = Closer(server)
    client.json("POST", "/groups", {"id": "class", "name": "Class"})
    before = cpu_seconds(server)
    import_roster(client, people)
    return server, client, cpu_seconds(server) - before


def closed(server: Server, client: Closer, number: int) -> float:
    """CPU seconds of one closing, of a session of its own day."""
    day = (date.today() - timedelta(days=1 + number)).isoformat()
    when = {"date": day, "start": "10:00", "end": "11:00"}
    session = client.json("POST", "/groups/class/sessions", when)["id"]
    before = cpu_seconds(server)
    client.json("POST", f"/sessions/{session}/close", {"force": True})
    return cpu_seconds(server) - before


def main() -> None:
    before, after = sys.argv[1:3]
    pairs, people = (int(text) for text in (sys.argv[3:] + ["10", "50000"][len(sys.argv) - 3:])[:2])
    servers = [prepared(program, name, people) for program, name in ((before, "before"), (after, "after"))]
    try:
        found = []
        for number in range(pairs):
            order = servers if number % 2 == 0 else servers[::-1]
            by_server = {id(one[0]): closed(one[0], one[1], number) for one in order}
            found.append(tuple(by_server[id(one[0])] for one in servers))
    finally:
        for server, _, _ in servers:
            server.stop()
    low, median, high = statistics.quantiles([two / one for one, two in found], n=4)
    ones, twos = (statistics.median(pair[side] for pair in found) for side in (0, 1))
    ratios = f"{median:.3f} ({low:.3f}–{high:.3f}) of {pairs} pairs"
    print(f"closings of {people}: {ratios}; {ones:.2f} and {twos:.2f} s of CPU")
    one, two = (server[2] for server in servers)
    print(f"rosters of {people}: {two / one:.3f} of one pair; {one:.2f} and {two:.2f} s of CPU")


if __name__ == "__main__":
    main()
