"""People, consents, photos, erasures and the audit log."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from rollcall_client import ApiError, Client, Consent

from conftest import portrait


def test_the_whole_way_from_a_group_to_its_attendance(client: Client) -> None:
    group = client.groups.create("Maths 7b", id="maths/7b", time_zone="Europe/Vienna")
    assert (group.id, group.time_zone, group.rules.before_minutes) == ("maths/7b", "Europe/Vienna", 15)
    obama = client.people.enrol("Barack Obama", [portrait("obama"), b"no photo"], id="obama", groups=[group.id])
    assert [one.image for one in obama.accepted] == [0]
    assert [(one.image, one.reason) for one in obama.rejected] == [(1, "not_an_image")]
    biden = client.people.enrol("Joe Biden", [portrait("biden").read_bytes()])
    client.groups.add_member(group.id, biden.id)
    assert sorted(client.groups.get(group.id).people) == sorted([obama.id, biden.id])
    assert len(client.people.add_faces(obama.id, [portrait("obama3")]).faces) == 1
    assert len(client.people.get(obama.id).faces) == 2
    assert client.people.verify(obama.id, portrait("obama2")).verified
    assert not client.people.verify(biden.id, portrait("obama2")).verified

    dry = client.photos.recognize(group.id, [portrait("obama2")], mark=False)
    assert client.records.of_day(group.id).records == []
    seen = client.photos.recognize(group.id, [portrait("obama2"), portrait("astronaut")])
    assert [one.person for one in seen.present] == [one.person for one in dry.present] == ["obama"]
    assert [one.person for one in seen.not_seen] == [biden.id]
    assert seen.unknown_faces == 1 and seen.photos[0].faces[0].box.x1 > 0
    day = client.records.of_day(group.id, seen.date)
    assert [(record.person, record.name) for record in day.records] == [("obama", "Barack Obama")]
    assert day.records[0].id is not None
    client.records.delete(group.id, day.records[0].id)
    assert client.records.of_day(group.id).records == []

    client.groups.remove_member(group.id, biden.id)
    assert client.people.delete(biden.id) in [erasure.id for erasure in client.erasures.all()]
    assert [person.id for person in client.people.all()] == ["obama"]
    client.groups.delete(group.id)
    assert list(client.groups.all()) == []


def test_photos_that_are_only_looked_at(client: Client) -> None:
    client.people.enrol("Barack Obama", [portrait("obama")], id="obama")
    seen = client.photos.identify([portrait("obama2")], annotate=True)
    assert [one.person for one in seen.present] == ["obama"] and seen.photos[0].annotated
    assert client.photos.compare(portrait("obama2"), portrait("obama3")).similarity > 0.4
    (photo,) = client.photos.detect([portrait("hopper")])
    assert len(photo.faces) == 1 and photo.faces[0].width_px > 30 and photo.error is None


def test_what_a_change_does_not_name_stays(client: Client) -> None:
    client.groups.create("Maths 7b", id="maths-7b")
    client.people.enrol("Zoë Straße", [portrait("hopper")], id="zoe", email="zoe@school.example")
    zoe = client.people.update("zoe", metadata={"room": "7", "desk": "2"}, groups=["maths-7b"])
    assert (zoe.email, zoe.groups) == ("zoe@school.example", ["maths-7b"])
    zoe = client.people.update("zoe", name="Zoë Gasse", email=None, metadata={"desk": None})
    assert (zoe.name, zoe.email, zoe.metadata, zoe.groups) == ("Zoë Gasse", None, {"room": "7"}, ["maths-7b"])
    assert [one.id for one in client.people.all(query="zoe gas")] == ["zoe"]
    assert list(client.people.all(query="zoe str")) == []
    assert client.people.export("zoe")["person"]["id"] == "zoe"


def test_samples_go_to_the_person_whose_they_are(client: Client) -> None:
    for id, shot in [("barack", "obama"), ("obama", "obama2"), ("joe", "biden"), ("mistaken", "obama3")]:
        client.people.enrol(id, [portrait(shot)], id=id)
    (face,) = client.people.get("mistaken").faces
    assert len(client.people.move_face("mistaken", face.id, "barack").faces) == 2
    assert len(client.people.merge("barack", "obama").faces) == 3
    negative = client.people.add_negative_of("joe", "barack", face.id)
    assert negative.of == "barack" and client.people.add_negative("joe", portrait("hopper")).of is None
    client.people.delete_negative("joe", negative.id)
    assert [one.of for one in client.people.negatives("joe")] == [None]
    client.people.delete_face("barack", face.id)
    assert len(client.people.replace_faces("barack", [portrait("obama")]).faces) == 1


def test_who_agreed_to_what(client: Client) -> None:
    client.people.enrol("Grace", [portrait("hopper")], id="grace")
    end = datetime(2020, 7, 31, tzinfo=timezone(timedelta(hours=2)))
    begin = end - timedelta(days=300)
    given = client.people.give_consent("grace", Consent("a parent", "consent", begin, end))
    assert given.expires_at == end and client.people.consent("grace") == given
    assert [person.id for person in client.people.all(consent="expired")] == ["grace"]
    client.people.withdraw_consent("grace")
    with pytest.raises(ApiError) as refusal:
        client.people.consent("grace")
    assert refusal.value.status == 404
    with pytest.raises(ValueError, match="time zone"):
        client.people.give_consent("grace", Consent("a parent", "consent", expires_at=datetime(2020, 7, 31)))


def test_kept_photos(client: Client, operator: Client, tenant: dict[str, str], tmp_path: Path) -> None:
    operator.request("PATCH", f"/tenants/{tenant['id']}", json={"photos": "crops"})
    face = client.people.enrol("Grace", [portrait("hopper")], id="grace").accepted[0].face
    saved = client.people.photo("grace", face).save(tmp_path / "grace.jpg")
    assert saved.read_bytes() == client.people.photo("grace").read()
    assert saved.read_bytes().startswith(b"\xff\xd8")
    with pytest.raises(ApiError):
        client.people.photo("nobody").save(tmp_path / "nobody.jpg")
    assert list(tmp_path.iterdir()) == [saved]


def test_every_change_is_written_down(client: Client) -> None:
    client.people.enrol("Grace", [portrait("hopper")], id="grace")
    client.people.update("grace", name="Grace Hopper")
    client.people.delete("grace")
    of_grace = [entry.action for entry in client.audit.all(person="grace")]
    assert of_grace[0] == "person.create" and of_grace[-1] == "person.delete"
    entries = list(client.audit.all())
    assert all(later.previous == entry.hash for entry, later in zip(entries, entries[1:]))
    assert list(client.audit.all(to=entries[0].at)) == []
    (erasure,) = client.erasures.all()
    assert erasure.state == "pending" and erasure.backups == []
