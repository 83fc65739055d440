"""What the server refuses."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """The server refused, with a machine-readable `code`; quote `request_id` when asking its operator."""

    def __init__(self, status: int, code: str, message: str, details: Any, request_id: str) -> None:
        super().__init__(f"{message} ({code}, {status}, request {request_id})")
        self.status = status
        self.code = code
        self.details = details
        self.request_id = request_id
