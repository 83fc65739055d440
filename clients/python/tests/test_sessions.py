"""Sessions, from the timetable to the signed register, and the reports on them."""

from __future__ import annotations

import dataclasses
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from rollcall_client import ApiError, Client, Holiday, Pair, Rules, Session, SetStatus, Timetable, TimetableEntry

from conftest import portrait

VIENNA = ZoneInfo("Europe/Vienna")
# A Monday.
DAY = date(2026, 3, 2)


def test_a_timetable_makes_sessions(client: Client) -> None:
    client.groups.create("Maths 7b", id="maths-7b", time_zone="Europe/Vienna")
    algebra = TimetableEntry("monday", time(8), time(8, 50), title="Algebra", from_=date(2026, 2, 1))
    night = TimetableEntry("tuesday", time(22), time(2))
    timetable = client.timetables.replace("maths-7b", Timetable([algebra, night], [Holiday("Ski", date(2026, 3, 9))]))
    assert timetable.entries[0] == dataclasses.replace(algebra, number=timetable.entries[0].number)
    assert client.timetables.get("maths-7b") == timetable
    ski = client.timetables.replace_holidays([Holiday("Week", date(2026, 3, 16), date(2026, 3, 20))])
    assert client.timetables.holidays() == ski

    sessions = client.sessions.all("maths-7b", from_=DAY, until=DAY + timedelta(days=20))
    days = [(one.title, one.date.day, one.state) for one in sessions]
    assert days == [("Algebra", 2, "planned"), (None, 3, "planned"), (None, 10, "planned")]
    assert sessions[1].ends_at - sessions[1].starts_at == timedelta(hours=4)
    found = client.sessions.current("maths-7b", at=datetime(2026, 3, 2, 8, 30, tzinfo=VIENNA))
    assert found.id == sessions[0].id


def test_sessions_are_planned_moved_cancelled_and_opened(client: Client) -> None:
    client.groups.create("Maths 7b", id="maths-7b", time_zone="Europe/Vienna")
    planned = client.sessions.create("maths-7b", DAY, time(8), time(9), title="Exam", expected=["door"])
    assert planned.starts_at == datetime(2026, 3, 2, 8, tzinfo=VIENNA) and planned.missing == ["door"]
    moved = client.sessions.update(planned.id, start=time(10), end=time(11))
    assert (moved.title, moved.starts_at.hour) == ("Exam", 9)
    assert client.sessions.cancel(planned.id).state == "cancelled"
    assert client.sessions.restore(planned.id).state == "planned"
    assert client.sessions.open(planned.id).state == "open"
    waiting = client.sessions.close(planned.id).session
    assert (waiting.state, waiting.missing) == ("open", ["door"])
    assert client.sessions.close(planned.id, force=True).session.state == "closed"
    reopened = client.sessions.reopen(planned.id, "a photo came late")
    assert [one.reason for one in reopened.reopenings] == ["a photo came late"]
    assert client.sessions.get(planned.id) == reopened


@pytest.fixture
def session(client: Client) -> Session:
    """A session in which Obama and Biden were seen, and Hopper was not; one sighting is too few."""
    client.groups.create("Maths 7b", id="maths-7b", time_zone="Europe/Vienna", rules=Rules(confirm_sightings=2))
    for id, shot in [("obama", "obama"), ("joe", "biden"), ("grace", "hopper")]:
        client.people.enrol(id.title(), [portrait(shot)], id=id, groups=["maths-7b"])
    # Begun, and on the day since whose beginning they are on the roster.
    now = datetime.now(VIENNA)
    start = max(now - timedelta(minutes=1), datetime.combine(now.date(), time(0), VIENNA))
    end = start + timedelta(hours=1)
    planned = client.sessions.create("maths-7b", start.date(), start.time(), end.time(), title="Algebra")
    for shot in ["obama2", "obama3", "biden"]:
        seen = client.photos.recognize("maths-7b", [portrait(shot)], session=planned.id)
        assert (seen.session, seen.date) == (planned.id, start.date())
    return planned


def test_a_teacher_reviews_settles_and_closes(client: Client, session: Session) -> None:
    review = client.sessions.review(session.id)
    assert [one.person for one in review.present] == ["obama"]
    assert [(one.person, len(one.sightings)) for one in review.to_confirm] == [("joe", 1)]
    assert [one.person for one in review.not_seen] == ["grace"] and not review.is_cut

    settled = client.records.confirm(
        session.id, confirm=["joe"], set=[SetStatus("grace", "excused", "dentist")]
    )
    assert {one.person: one.status for one in settled} == {"joe": "present", "grace": "excused"}
    closing = client.sessions.close(session.id)
    assert {one.status: one.people for one in closing.counts if one.people} == {"present": 2, "excused": 1}

    assert client.records.correct(session.id, "obama", "left_early", "the bus").status == "left_early"
    assert client.records.undo(session.id, "obama").status == "present"
    assert client.records.undo(session.id, "grace").status == "absent"
    appealed = client.records.appeal(session.id, "grace", "I sat at the back").appeal
    assert appealed is not None and appealed.state == "open"
    settled_appeal = client.records.settle_appeal(session.id, "grace", "refused").appeal
    assert settled_appeal == dataclasses.replace(appealed, state="refused")

    records = {one.person: one for one in client.records.of_session(session.id)}
    assert len({one.photo for one in records["obama"].sightings}) == 2 and records["grace"].corrections == []
    assert [one.said for one in records["joe"].corrections] == ["confirmed"]


def test_an_unknown_face_gets_a_name(
    client: Client, operator: Client, tenant: dict[str, str], session: Session
) -> None:
    operator.request("PATCH", f"/tenants/{tenant['id']}", json={"unknown_faces_days": 7})
    client.photos.recognize("maths-7b", [portrait("astronaut")], session=session.id)
    (face,) = client.sessions.review(session.id).unknown_faces
    assert len(face.sightings) == 1 and face.sightings[0].normalized.x2 < 1
    assert client.sessions.name_unknown_face(session.id, face.id, "grace").status == "present"
    review = client.sessions.review(session.id)
    assert review.unknown_faces == [] and [one.candidates[0].person for one in review.to_confirm] == ["joe"]
    with pytest.raises(ApiError) as refusal:
        client.sessions.forget_unknown_face(session.id, face.id)
    assert refusal.value.code == "stranger_not_found"


def test_reports_of_closed_sessions(
    client: Client, operator: Client, tenant: dict[str, str], session: Session, tmp_path: Path
) -> None:
    # Late in the evening the session's day begins before the tenant's, up to which reports count.
    operator.request("PATCH", f"/tenants/{tenant['id']}", json={"time_zone": "Europe/Vienna"})
    client.sessions.close(session.id)
    report = client.reports.people(group="maths-7b", from_=session.date, until=session.date)
    assert (report.from_, report.until, report.sessions) == (session.date, session.date, [])
    assert {one.person: (one.attended, one.rate) for one in report.rows}["obama"] == (1, 1.0)
    matrix = client.reports.matrix()
    assert [one.session for one in matrix.sessions] == [session.id]
    assert {one.person: one.statuses for one in matrix.rows}["grace"] == ["absent"]
    assert [(one.title, one.present, one.absent) for one in client.reports.sessions().rows] == [("Algebra", 1, 1)]
    assert [(one.group, one.people, one.sessions) for one in client.reports.groups().rows] == [("maths-7b", 3, 1)]
    assert [one.person for one in client.reports.at_risk(threshold=0.5).rows] == ["grace"]
    (cell,) = client.reports.heat_map()
    start = session.starts_at.astimezone(VIENNA)
    assert (cell.weekday, cell.hour) == (start.isoweekday(), start.hour)
    assert (cell.counted, cell.attended) == (2, 1)

    workbook = client.reports.attendance_file("xlsx", by="matrix").save(tmp_path / "term.xlsx")
    assert workbook.read_bytes().startswith(b"PK")
    assert b"Obama" in client.reports.attendance_file("csv").read()
    assert b"Grace" in client.reports.at_risk_file("csv", threshold=0.5).read()
    assert b"<svg" in client.reports.heat_map_svg().read()


def test_how_well_faces_are_told_apart(client: Client) -> None:
    for id, shots in [("obama", ["obama", "obama2"]), ("joe", ["biden"]), ("barack", ["obama3"])]:
        client.people.enrol(id, [portrait(shot) for shot in shots], id=id)
    report = client.reports.calibration(roster=30, faces=5, false_names=0.01)
    assert (report.people, report.samples, report.genuine.compared) == (3, 4, 1)
    assert report.roster.fmr is not None and report.roster.fmr.errors > 0 and report.curve
    assert ["barack", "obama"] in [sorted(pair.people) for pair in report.look_alikes]
    assert b"<svg" in client.reports.calibration_svg().read()
    pairs = [one.people for one in client.reports.duplicates() if isinstance(one, Pair)]
    assert [sorted(people) for people in pairs] == [["barack", "obama"]]
