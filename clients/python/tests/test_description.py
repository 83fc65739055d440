"""The client's types against the server's own description."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

import httpx
import pytest

import rollcall_client

from conftest import Server

# What the server calls them where it is not the same with "View".
NAMES = {
    "Accepted": "AcceptedImage",
    "Attendance": "AttendanceView",
    "AuditEntry": "EntryView",
    "Box": "FaceBox",
    "Calibration": "CalibrationReport",
    "Candidate": "CandidateView",
    "Closing": "ClosingView",
    "Face": "RecognizedFace",
    "FoundFace": "FaceView",
    "ImportedRow": "RowView",
    "Misplaced": "MisplacedSample",
    "Glimpse": "GlimpseView",
    "Negative": "NegativeView",
    "Pair": "DuplicatePair",
    "Period": "PeriodView",
    "Photo": "RecognizedPhoto",
    "PhotoOfFaces": "AnalysedPhoto_FaceView",
    "Problem": "ProblemView",
    "Recommended": "RecommendedThreshold",
    "RecognizedPhoto": "RecognisedPhotoView",
    "Rejected": "RejectedImage",
    "Report": "ReportView",
    "SeenFace": "SeenFaceView",
}
EVENTS = {"Marked", "Corrected", "SessionOpened", "SessionClosed", "UnknownSeen"}
# Of every kind, told to streams alone, no type of the server's, or read by hand.
UNDESCRIBED = {"Event", "Gap", "JobProgress", "Download", "DeadLetter", "Report"}


@pytest.fixture(scope="module")
def schemas(server: Server) -> dict[str, Any]:
    described = httpx.get(f"{server.url}/openapi.json").json()["components"]["schemas"]
    assert isinstance(described, dict)
    return described


def test_every_type_reads_what_the_server_says_it_writes(schemas: dict[str, Any]) -> None:
    for name in rollcall_client.__all__:
        kind = getattr(rollcall_client, name)
        if not dataclasses.is_dataclass(kind) or name in UNDESCRIBED:
            continue
        assert isinstance(kind, type)
        written = fields(schemas, event(schemas, kind) if name in EVENTS else schema(schemas, name))
        for field, hint in typing.get_type_hints(kind).items():
            field = field.removesuffix("_")
            assert field in written, f"{name}.{field}: the server has {sorted(written)}"
            may_lack = isinstance(hint, types.UnionType) and types.NoneType in typing.get_args(hint)
            has_default = any(one.name == field and is_given(one) for one in dataclasses.fields(kind))
            assert may_lack or has_default or hint is Any or written[field], f"{name}.{field} may be null"


def is_given(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def schema(schemas: dict[str, Any], name: str) -> dict[str, Any]:
    wanted = NAMES.get(name, name)
    found = schemas.get(wanted) or schemas.get(f"{wanted}View")
    assert isinstance(found, dict), f"the server has no {name}"
    return found


def event(schemas: dict[str, Any], kind: type) -> dict[str, Any]:
    """The schema of the kind's event."""
    (found,) = (
        one
        for one in schemas["What"]["oneOf"]
        if rollcall_client.events._KINDS[one["properties"]["kind"]["enum"][0]] is kind
    )
    return {"allOf": [schemas["EventView"], found]}


def fields(schemas: dict[str, Any], written: dict[str, Any]) -> dict[str, bool]:
    """What an object of this schema has, and whether always and never null."""
    if "$ref" in written:
        return fields(schemas, schemas[written["$ref"].rpartition("/")[2]])
    found: dict[str, bool] = {}
    for part in written.get("allOf", []):
        found |= fields(schemas, part)
    required = written.get("required", [])
    return found | {name: name in required for name in written.get("properties", {})}
