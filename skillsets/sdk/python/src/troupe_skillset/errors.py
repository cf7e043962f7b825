"""Errors as the node and its clients get them: a code, what caused it, and what can be done about it."""

import enum


class Code(enum.IntEnum):
    """gRPC's codes, with their numbers and meanings (https://grpc.io/docs/guides/status-codes/)."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class SkillsetError(Exception):
    """What a request, or a load, ends with. Every other exception of a skillset is INTERNAL.

    The cause names the offending thing and value; the remedy may be empty where there is nothing to add.
    """

    def __init__(self, code: Code, cause: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.code = code
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code.name}: {self.cause}" + (f" ({self.remedy})" if self.remedy else "")
