"""What is asked of AWS, and what it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def answer_json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def refuse(status: int, name: str, message: str) -> Answer:
    """An error as AWS tells it."""
    return Answer(
        status,
        json.dumps({"message": message}).encode(),
        {"Content-Type": "application/json", "x-amzn-ErrorType": f"{name}:http://internal.amazon.com/"},
    )


def refuse_xml(status: int, name: str, message: str) -> Answer:
    """An error as STS tells it."""
    told = f"<Error><Type>Sender</Type><Code>{name}</Code><Message>{message}</Message></Error>"
    return Answer(status, f"<ErrorResponse>{told}</ErrorResponse>".encode(), {"Content-Type": "text/xml"})


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    target: str
