"""Reports: attendance of closed sessions, and how well faces can be told apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from .transport import Download, Transport
from .values import given, read

By = Literal["person", "matrix", "session", "group"]
"""Of what a line of a report is; in a matrix, of a person with their status in each session."""

Table = Literal["csv", "xlsx", "svg"]
"""How a table is written: for programs, for spreadsheets, as a picture."""

L = TypeVar("L")


@dataclass(frozen=True)
class Figures:
    """`rate` is `attended` of `counted`, None where nothing counts."""

    counted: int
    attended: int
    rate: float | None
    present: int
    late: int
    left_early: int
    absent: int
    excused: int
    undecided: int
    late_minutes: int


@dataclass(frozen=True)
class PersonLine(Figures):
    """How often in a row they came and stayed away; `statuses`, in a matrix alone, in each of its sessions."""

    person: str
    name: str | None
    attended_now: int
    longest_attended: int
    absent_now: int
    longest_absent: int
    statuses: list[str | None] | None


@dataclass(frozen=True)
class ReportSession:
    """`local_start` is on the group's clocks."""

    session: str
    group: str
    group_name: str
    title: str | None
    date: Date
    starts_at: datetime
    local_start: datetime


@dataclass(frozen=True)
class SessionLine(ReportSession, Figures):
    pass


@dataclass(frozen=True)
class GroupLine(Figures):
    group: str
    group_name: str
    people: int
    sessions: int


@dataclass(frozen=True)
class Report(Generic[L]):
    """Sessions that were closed, of local dates from `from_` to `until`."""

    from_: Date
    until: Date
    rows: list[L]
    # Of a matrix alone.
    sessions: list[ReportSession]


@dataclass(frozen=True)
class HeatCell:
    """The sessions that start in one hour of one weekday (1 is Monday)."""

    weekday: int
    hour: int
    sessions: int
    counted: int
    attended: int
    rate: float | None


@dataclass(frozen=True)
class Pair:
    """Two samples, of the people at the same places."""

    people: list[str]
    faces: list[str]
    similarity: float


@dataclass(frozen=True)
class Misplaced:
    """A sample that is nearer to somebody else than to its person's others."""

    face: str
    person: str
    similarity: float
    other: str
    other_similarity: float


@dataclass(frozen=True)
class PairCount:
    """So many were compared, of so many that there are."""

    compared: int
    of: int


@dataclass(frozen=True)
class ErrorRate:
    """`at_most` holds with 95 % confidence."""

    errors: int
    pairs: int
    rate: float
    at_most: float


@dataclass(frozen=True)
class ThresholdRates:
    """False matches (FMR), misses (FNMR) and the chance of a false name in a photo at a threshold."""

    threshold: float
    fmr: ErrorRate | None
    fnmr: ErrorRate | None
    false_names: float | None
    false_names_at_most: float | None


@dataclass(frozen=True)
class Recommended(ThresholdRates):
    """`evidence` is shown, or too_few_pairs to show it."""

    evidence: str


@dataclass(frozen=True)
class CurvePoint:
    threshold: float
    fmr: float | None
    fnmr: float | None


@dataclass(frozen=True)
class EqualError:
    threshold: float
    rate: float


@dataclass(frozen=True)
class Remark:
    code: str
    message: str


@dataclass(frozen=True)
class Calibration:
    """What the tenant's own samples say: at its thresholds, at the `recommended` one, and at all."""

    people: int
    samples: int
    genuine: PairCount
    impostor: PairCount
    wanted_fmr: float
    roster: ThresholdRates
    gallery: ThresholdRates
    recommended: Recommended | None
    equal_error: EqualError | None
    curve: list[CurvePoint]
    look_alikes: list[Pair]
    remarks: list[Remark]


class Reports:
    """`Client.reports`. Of one group or of all; from half a year before `until`, which is today."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def people(
        self, *, group: str | None = None, from_: Date | None = None, until: Date | None = None
    ) -> Report[PersonLine]:
        return self._attendance(PersonLine, "person", group, from_, until)

    def matrix(
        self, *, group: str | None = None, from_: Date | None = None, until: Date | None = None
    ) -> Report[PersonLine]:
        """People with their status in each session."""
        return self._attendance(PersonLine, "matrix", group, from_, until)

    def sessions(
        self, *, group: str | None = None, from_: Date | None = None, until: Date | None = None
    ) -> Report[SessionLine]:
        return self._attendance(SessionLine, "session", group, from_, until)

    def groups(
        self, *, group: str | None = None, from_: Date | None = None, until: Date | None = None
    ) -> Report[GroupLine]:
        return self._attendance(GroupLine, "group", group, from_, until)

    def attendance_file(
        self,
        format: Table,
        *,
        by: By = "person",
        group: str | None = None,
        from_: Date | None = None,
        until: Date | None = None,
    ) -> Download:
        """The reports above as a file."""
        wanted = given(format=format, by=by, group=group, from_=from_, until=until)
        return Download(self._transport, "/reports/attendance", wanted)

    def at_risk(
        self,
        *,
        threshold: float = 0.8,
        group: str | None = None,
        from_: Date | None = None,
        until: Date | None = None,
    ) -> Report[PersonLine]:
        """The people who attended less than this share of what counts."""
        wanted = given(threshold=threshold, group=group, from_=from_, until=until)
        return _report(PersonLine, self._transport.request("GET", "/reports/at-risk", params=wanted))

    def at_risk_file(
        self,
        format: Table,
        *,
        threshold: float = 0.8,
        group: str | None = None,
        from_: Date | None = None,
        until: Date | None = None,
    ) -> Download:
        wanted = given(format=format, threshold=threshold, group=group, from_=from_, until=until)
        return Download(self._transport, "/reports/at-risk", wanted)

    def heat_map(
        self, *, group: str | None = None, from_: Date | None = None, until: Date | None = None
    ) -> list[HeatCell]:
        """Attendance by weekday and hour."""
        wanted = given(group=group, from_=from_, until=until)
        return read(list[HeatCell], self._transport.request("GET", "/reports/heatmap", params=wanted)["cells"])

    def heat_map_svg(
        self, *, group: str | None = None, from_: Date | None = None, until: Date | None = None
    ) -> Download:
        wanted = given(format="svg", group=group, from_=from_, until=until)
        return Download(self._transport, "/reports/heatmap", wanted)

    def duplicates(self, *, threshold: float | None = None) -> Iterator[Pair | Misplaced]:
        """People who look the same, and samples that may be somebody else's."""
        params = given(threshold=threshold, limit=1000)
        while True:
            page = self._transport.request("GET", "/reports/duplicates", params=params)
            yield from read(list[Pair], page["pairs"])
            yield from read(list[Misplaced], page["misplaced"])
            if page["next"] is None:
                return
            params["after"] = page["next"]

    def calibration(
        self, *, roster: int | None = None, faces: int | None = None, false_names: float | None = None
    ) -> Calibration:
        """For groups of `roster` people and photos with `faces` strangers, where a false name may be so likely."""
        wanted = given(roster=roster, faces=faces, false_names=false_names)
        return read(Calibration, self._transport.request("GET", "/reports/calibration", params=wanted))

    def calibration_svg(
        self, *, roster: int | None = None, faces: int | None = None, false_names: float | None = None
    ) -> Download:
        wanted = given(format="svg", roster=roster, faces=faces, false_names=false_names)
        return Download(self._transport, "/reports/calibration", wanted)

    def _attendance(
        self, line: type[L], by: By, group: str | None, from_: Date | None, until: Date | None
    ) -> Report[L]:
        wanted = given(by=by, group=group, from_=from_, until=until)
        return _report(line, self._transport.request("GET", "/reports/attendance", params=wanted))


def _report(line: type[L], report: Any) -> Report[L]:
    period = read(Date, report["from"]), read(Date, report["until"])
    rows = [read(line, row) for row in report["rows"]]
    return Report(*period, rows, read(list[ReportSession], report.get("sessions", [])))
