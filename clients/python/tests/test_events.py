"""Events: listed, followed over a restart of the server, and sent to a webhook."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue

import httpx

from rollcall_client import Client, Event, Gap, Marked, SessionClosed, SessionOpened, delivered_event, is_genuine

from conftest import Server, portrait, running

DAY = date(2026, 3, 2)
PATIENCE_S = 60


def a_session(client: Client, group: str = "maths-7b") -> str:
    """Opened: an event."""
    return client.sessions.open(client.sessions.create(group, DAY, time(8), time(9)).id).id


def test_what_happened_is_listed(client: Client, server: Server) -> None:
    client.groups.create("Maths 7b", id="maths-7b")
    client.groups.create("Art", id="art")
    client.people.enrol("Barack Obama", [portrait("obama")], id="obama", groups=["art"])
    first = a_session(client)
    other = client.sessions.create("art", DAY, time(10), time(11))
    client.photos.recognize("art", [portrait("obama2")], session=other.id, at=other.starts_at)
    client.sessions.close(first)
    everything = list(client.events.all())
    assert [type(event) for event in everything] == [SessionOpened, SessionOpened, Marked, SessionClosed]
    assert [event.id for event in everything] == [1, 2, 3, 4]
    (marked,) = client.events.all(kinds=["marked"])
    assert isinstance(marked, Marked) and (marked.person, marked.group, marked.date) == ("obama", "art", DAY)
    assert list(client.events.all(after=2)) == everything[2:]
    assert [event.id for event in client.events.all(group="maths-7b")] == [1, 4]
    (gap,) = client.events.all(after=1000)
    assert isinstance(gap, Gap) and gap.next == 4

    ticket = client.events.ticket()
    wanted: dict[str, str | int] = {"ticket": ticket.ticket, "after": 3}
    assert [one["id"] for one in httpx.get(f"{server.url}/api/v1/events", params=wanted).json()["events"]] == [4]


def test_a_follower_misses_nothing_when_the_server_starts_again(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server, Client(server.url, server.key()) as client:
        address = server.url.removeprefix("http://")
        client.groups.create("Maths 7b", id="maths-7b")
        before = a_session(client)
        heard: Queue[Event] = Queue()

        def listen() -> None:
            for event in client.events.follow(after=0):
                heard.put(event)

        threading.Thread(target=listen, daemon=True).start()
        opened = heard.get(timeout=PATIENCE_S)
        assert isinstance(opened, SessionOpened) and opened.session == before
        server.stop()
        server.start(address)
        during = a_session(client)
        after = heard.get(timeout=PATIENCE_S)
        assert isinstance(after, SessionOpened) and (after.id, after.session) == (2, during)
        assert heard.empty()


def test_a_follower_begins_with_what_happens_next(client: Client) -> None:
    client.groups.create("Maths 7b", id="maths-7b")
    a_session(client)
    events = client.events.follow()
    first: Queue[Event] = Queue()
    # The generator looks where the log ends when it is first asked, and waits: events go on until it has heard one.
    thread = threading.Thread(target=lambda: first.put(next(events)), daemon=True)
    thread.start()
    made = 1
    while thread.is_alive():
        a_session(client)
        made += 1
        thread.join(0.1)
    heard = first.get(timeout=PATIENCE_S).id
    assert heard is not None and 1 < heard <= made


@contextmanager
def receiver() -> Iterator[tuple[str, Queue[tuple[dict[str, str], bytes]]]]:
    """A receiver of webhooks: its address, and what came."""
    came: Queue[tuple[dict[str, str], bytes]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.put((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/rollcall", came
        finally:
            server.shutdown()
            thread.join()


def test_a_webhook_is_told_and_can_tell_that_it_is_us(client: Client) -> None:
    client.groups.create("Maths 7b", id="maths-7b")
    with receiver() as (url, came):
        webhook = client.webhooks.create(url, kinds=["session_opened"], groups=["maths-7b"])
        session = a_session(client)
        headers, body = came.get(timeout=PATIENCE_S)
        assert is_genuine(headers, body, webhook.secret)
        event = delivered_event(body)
        assert isinstance(event, SessionOpened) and event.session == session
        assert not is_genuine(headers, body + b" ", webhook.secret)
        assert not is_genuine(headers, body, "another secret")
        assert not is_genuine({**headers, "x-rollcall-timestamp": "1"}, body, webhook.secret)
        assert not is_genuine({}, body, webhook.secret)
        assert not is_genuine(headers, body, webhook.secret, max_age_s=-1)

    changed = client.webhooks.update(webhook.id, groups=None, active=False)
    assert (changed.groups, changed.kinds, changed.active) == (None, ["session_opened"], False)
    assert [one.id for one in client.webhooks.all()] == [webhook.id]
    assert list(client.webhooks.dead_letters(webhook.id)) == [] and client.webhooks.replay(webhook.id) == 0
    client.webhooks.delete(webhook.id)
    assert client.webhooks.all() == []
