"""Jobs: rosters and many photos, worked off by the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime

from .photos import Box
from .transport import Download, File, Image, Transport, address
from .values import Problem, given, read


@dataclass(frozen=True)
class RosterColumn:
    """`meaning` is id, name, given_name, family_name, email, groups, on_roster_since, consent.… or metadata."""

    heading: str
    meaning: str


@dataclass(frozen=True)
class Job:
    """`kind` is import or recognize, `state` queued, running, done, failed or cancelled.

    `done` of `total` items have a result; `counts` says what became of them, `failed` how many failed by code. `columns`
    tell what those of a roster were taken for, and `encoding` how its file was read.
    """

    id: str
    kind: str
    group: str | None
    session: str | None
    by: str
    state: str
    dry_run: bool
    total: int
    done: int
    counts: dict[str, int]
    failed: dict[str, int]
    error: Problem | None
    columns: list[RosterColumn]
    encoding: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


@dataclass(frozen=True)
class RefusedPhoto:
    """`number` counts the row's photos in the order of their names, from 0; `photo` is the file's name, until the job is over."""

    number: int
    photo: str | None
    reason: str
    message: str


@dataclass(frozen=True)
class DoublePhoto:
    """A photo whose face is someone else's."""

    number: int
    photo: str | None
    person: str
    similarity: float


@dataclass(frozen=True)
class ImportedRow:
    """What became of a person of a roster: created, updated, unchanged or failed.

    `id` is as the row has it until the job is over, and later where there is such a person, as `name` is. A leaver has no
    row: `line` is 0, and `left` says which groups they left, or are still in where leavers are only reported.
    """

    item: int
    line: int
    id: str | None
    name: str | None
    outcome: str
    samples_added: int
    refused: list[RefusedPhoto]
    duplicates: list[DoublePhoto]
    groups_made: list[str]
    left: list[str]
    error: Problem | None


@dataclass(frozen=True)
class SeenFace:
    box: Box
    score: float
    person: str | None
    name: str | None
    similarity: float | None
    margin: float | None
    reason: str | None
    attendance: str


@dataclass(frozen=True)
class RecognizedPhoto:
    """What was seen in a photo of a job, the `item`th of those in the ZIP file and then of those sent as such.

    `photo` is the file's name in the ZIP, until the job is over. `time_from` says where the time is from: given, exif,
    file, session or upload. `advice` is a sentence where all its faces are too small.
    """

    item: int
    photo: str | None
    width: int
    height: int
    at: datetime | None
    time_from: str | None
    date: Date | None
    faces: list[SeenFace]
    advice: str | None
    error: Problem | None


class Jobs:
    """`Client.jobs`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def import_people(
        self,
        csv: File,
        photos: File | None = None,
        *,
        dry_run: bool = False,
        replace: bool = False,
        faces: str | None = None,
        quality: str | None = None,
        create_groups: bool = False,
        groups: str | None = None,
        leavers: str | None = None,
        leavers_in: str | None = None,
        on_roster_since: str | None = None,
    ) -> Job:
        """Takes people in from a CSV file or a workbook, with photos from a ZIP file; a dry run checks all, stores nothing.

        `groups` is join or replace, `leavers` keep, report or remove, `leavers_in` file or all: a new
        school year is replace, remove and all.
        `on_roster_since`, a day such as 2026-09-01, goes for the rows that do not say it.
        """
        fields = given(
            dry_run=dry_run,
            replace=replace,
            faces=faces,
            quality=quality,
            create_groups=create_groups,
            groups=groups,
            leavers=leavers,
            leavers_in=leavers_in,
            on_roster_since=on_roster_since,
        )
        files = [("csv", csv)] + ([("photos", photos)] if photos is not None else [])
        return read(Job, self._transport.request("POST", "/people/import", fields=fields, files=files, once=True))

    def recognize(
        self,
        group: str,
        images: Sequence[Image] = (),
        *,
        photos: File | None = None,
        mark: bool = True,
        at: datetime | None = None,
        session: str | None = None,
        source: str | None = None,
        threshold: float | None = None,
        margin: float | None = None,
        liveness: str | None = None,
    ) -> Job:
        """Recognises a group in many photos, and those of the ZIP file `photos`.

        All are for the `session`, or each for that of the time at which it was taken: `at`, or what its EXIF data or
        its file say.
        """
        fields = given(
            mark=mark, at=at, session=session, source=source, threshold=threshold, margin=margin, liveness=liveness
        )
        files = [("images", image) for image in images] + ([("photos", photos)] if photos is not None else [])
        path = address("groups", group, "jobs", "recognize")
        return read(Job, self._transport.request("POST", path, fields=fields, files=files, once=True))

    def all(self) -> Iterator[Job]:
        """Oldest first."""
        return (read(Job, job) for job in self._transport.pages("/jobs", "jobs"))

    def get(self, job: str) -> Job:
        return read(Job, self._transport.request("GET", address("jobs", job)))

    def cancel(self, job: str) -> Job:
        """Nothing more of it is done; what was done stands."""
        return read(Job, self._transport.request("POST", address("jobs", job, "cancel")))

    def watch(self, job: str) -> Iterator[Job]:
        """The job whenever it has come further, until it is over, over breaks of the line and restarts of the server."""
        for progress in self._transport.listen(address("jobs", job, "events")):
            seen = read(Job, progress)
            yield seen
            if seen.is_over:
                return

    def wait(self, job: str) -> Job:
        """The job when it is over."""
        *_, last = self.watch(job)
        return last

    def imported(self, job: str) -> Iterator[ImportedRow]:
        """What became of the rows of an import."""
        results = self._transport.pages(address("jobs", job, "results"), "results")
        return (read(ImportedRow, result) for result in results)

    def recognized(self, job: str) -> Iterator[RecognizedPhoto]:
        """What was seen in the photos of a recognition."""
        results = self._transport.pages(address("jobs", job, "results"), "results")
        return (read(RecognizedPhoto, result) for result in results)

    def results_csv(self, job: str) -> Download:
        """All results in one file."""
        return Download(self._transport, address("jobs", job, "results"), {"format": "csv"})
