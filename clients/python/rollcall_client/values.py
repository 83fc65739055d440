"""Between the server's JSON and Python's types."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, TypeVar, final

T = TypeVar("T")


@final
class Keep(enum.Enum):
    """What a change leaves as it is, where None means something else."""

    KEEP = "keep"


KEEP = Keep.KEEP


@dataclass(frozen=True)
class Problem:
    """What is wrong: a `code` for programs, a message for people."""

    code: str
    message: str


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def read(kind: type[T], value: Any) -> T:
    """The JSON `value` as a `kind`. Fields that a newer server adds are passed over."""
    return typing.cast(T, _read(kind, value))


def _read(kind: Any, value: Any) -> Any:
    if isinstance(kind, types.UnionType):
        present = next(one for one in typing.get_args(kind) if one is not types.NoneType)
        return None if value is None else _read(present, value)
    if typing.get_origin(kind) is list:
        (item,) = typing.get_args(kind)
        return [_read(item, one) for one in value]
    if typing.get_origin(kind) is dict:
        _, item = typing.get_args(kind)
        return {name: _read(item, one) for name, one in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return kind(**{name: _read(hint, value.get(_field(name))) for name, hint in _hints(kind).items()})
    if kind in (datetime, date, time):
        return kind.fromisoformat(value)
    return value


def _field(name: str) -> str:
    """What the server calls it: `from_` is `from`, which Python keeps for itself."""
    return name.removesuffix("_")


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None, as JSON."""
    return {_field(name): plain(value) for name, value in values.items() if value is not None}


def changed(**values: Any) -> dict[str, Any]:
    """Those that are not to be kept, as JSON; None is null."""
    return {_field(name): plain(value) for name, value in values.items() if value is not KEEP}


def plain(value: Any) -> Any:
    """`value` as JSON. Raises `ValueError` for a moment without a time zone: the server cannot know which was meant."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {_field(field.name): plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.isoformat()
    if isinstance(value, time):
        return value.strftime("%H:%M")
    return value.isoformat() if isinstance(value, date) else value


def text(value: Any) -> Any:
    """A JSON value as a form or a query says it."""
    if isinstance(value, list):
        return [text(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
