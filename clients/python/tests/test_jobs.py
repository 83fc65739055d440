"""Jobs: a roster, and many photos."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime, time
from pathlib import Path

from rollcall_client import Client

from conftest import portrait


def test_a_roster_is_imported(client: Client, tmp_path: Path) -> None:
    client.groups.create("Maths 7b", id="maths-7b")
    roster = tmp_path / "roster.csv"
    roster.write_text("id,name,groups\nobama,Barack Obama,maths-7b\njoe,Joe Biden,no-such-group\n")
    photos = zipped({"obama/1.jpg": portrait("obama"), "joe.jpg": portrait("biden")})

    dry = client.jobs.wait(client.jobs.import_people(roster, photos, dry_run=True).id)
    assert (dry.state, dry.dry_run, dry.is_over) == ("done", True, True)
    assert list(client.people.all()) == []
    job = client.jobs.import_people(roster, photos)
    progress = list(client.jobs.watch(job.id))
    assert (progress[-1].state, progress[-1].done, progress[-1].total) == ("done", 2, 2)
    assert client.jobs.get(job.id) == progress[-1]
    rows = list(client.jobs.imported(job.id))
    assert [(row.id, row.line, row.outcome) for row in rows] == [("obama", 2, "created"), (None, 3, "failed")]
    assert rows[0].samples_added == 1 and rows[1].error is not None
    assert client.jobs.results_csv(job.id).read().count(b"\n") == 3
    assert [one.id for one in client.jobs.all()] == [dry.id, job.id]


def test_a_group_is_recognised_in_many_photos(client: Client, tmp_path: Path) -> None:
    client.groups.create("Maths 7b", id="maths-7b")
    client.people.enrol("Barack Obama", [portrait("obama")], id="obama", groups=["maths-7b"])
    archive = tmp_path / "term.zip"
    archive.write_bytes(zipped({"term/2.jpg": portrait("obama3")}))
    taken = datetime(2026, 3, 2, 8, tzinfo=UTC)
    job = client.jobs.recognize("maths-7b", [portrait("obama2"), b"no photo"], photos=archive, at=taken)
    over = client.jobs.wait(job.id)
    assert (over.state, over.total, over.failed) == ("done", 3, {"not_an_image": 1})
    photos = list(client.jobs.recognized(job.id))
    assert [photo.error.code for photo in photos if photo.error] == ["not_an_image"]
    seen = [photo for photo in photos if photo.error is None]
    assert [(photo.at, photo.time_from) for photo in seen] == [(taken, "given"), (taken, "given")]
    assert [face.person for photo in seen for face in photo.faces] == ["obama", "obama"]
    (record,) = client.records.of_day("maths-7b", taken.date()).records
    assert record.person == "obama"


def test_many_photos_of_a_session(client: Client) -> None:
    client.groups.create("Maths 7b", id="maths-7b")
    client.people.enrol("Barack Obama", [portrait("obama")], id="obama", groups=["maths-7b"])
    session = client.sessions.create("maths-7b", date(2026, 3, 2), time(8), time(9))
    job = client.jobs.recognize("maths-7b", [portrait("obama2"), portrait("obama3")], session=session.id)
    assert job.session == session.id and client.jobs.wait(job.id).failed == {}
    assert [photo.time_from for photo in client.jobs.recognized(job.id)] == ["session", "session"]
    assert [one.person for one in client.sessions.review(session.id).present] == ["obama"]


def test_what_is_over_is_not_cancelled_and_what_is_not_is(client: Client) -> None:
    client.groups.create("Maths 7b", id="maths-7b")
    many = zipped({f"{number}.jpg": portrait("obama") for number in range(200)})
    job = client.jobs.recognize("maths-7b", photos=many)
    assert client.jobs.cancel(job.id).state == "cancelled"
    assert client.jobs.wait(job.id).state == "cancelled"


def zipped(files: dict[str, Path]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, file in files.items():
            archive.write(file, name)
    return packed.getvalue()
