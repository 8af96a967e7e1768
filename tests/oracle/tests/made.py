"""Records as producers would send them."""

import json

from ..log import Record

# 2026-11-24T18:32:00Z
NOON = 1_795_545_120_000
DAY = 86_400_000


def record(value: object, headers: list | None = None, timestamp: int | None = NOON, at: tuple = (0, 0)) -> Record:
    """`at`: partition and offset. `value`: bytes as they are, None, or what is to be JSON."""
    body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record("t", at[0], at[1], timestamp, None, body, headers or [])


def bare(**fields: object) -> dict:
    """A bare record of 10 tokens in and 5 out."""
    event = {
        "requestId": "r1",
        "createdAt": "2026-11-24T18:32:00Z",
        "tenantId": "acme",
        "userId": "alice",
        "assistant": "a",
        "model": "m",
        "tokensIn": 10,
        "tokensOut": 5,
    }
    return event | fields


def output(verb: str, name: str, event_id: str, at: str = "2026-11-24T18:32:00Z") -> dict:
    """A structured event about a website of that name."""
    data = {"tenantId": "acme", "userId": "alice", "outputId": name, "kind": "website"}
    kind = f"ai.output.{verb}.v1"
    return {"specversion": "1.0", "id": event_id, "source": "s", "type": kind, "time": at, "data": data}
