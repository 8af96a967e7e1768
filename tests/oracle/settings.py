"""Flags and variables: the same names as `indelible serve` has, where it has them."""

import argparse
import os
import re
from typing import NamedTuple

from .decode import Bounds
from .trouble import CannotTell


class Settings(NamedTuple):
    """What to hold against what."""

    brokers: str
    topics: list[str]
    kafka: dict[str, object]
    redis: str
    api: str | None
    namespace: str
    window_ms: int
    bounds: Bounds
    quota_tokens: int
    # Paths; none for what is built in.
    plans: str | None
    prices: str | None
    # Where notices are sent; none where there are none.
    notice_topic: str | None
    # Redis was put back to an older state after something of it was sent.
    went_back: bool
    # The dead-letter topic of each topic; None if dead letters are not looked at.
    letters: dict[str, str] | None
    wait_s: float
    json: bool
    most: int


def parse(arguments: list[str]) -> Settings:
    """Ends the program by itself, with exit code 2, on flags that it does not know."""
    given = _parser().parse_args(arguments)
    topics = [topic.strip() for topic in given.topics.split(",") if topic.strip()]
    if not topics:
        raise CannotTell("--topics names no topic")
    named = dict.fromkeys(topics, given.dlq_topic) if given.dlq_topic else {topic: f"{topic}.dlq" for topic in topics}
    return Settings(
        brokers=given.brokers,
        topics=topics,
        kafka=kafka_options(given.kafka_property or _split_escaped(os.environ.get("INDELIBLE_KAFKA_PROPERTIES", ""))),
        redis=given.redis,
        api=given.api.rstrip("/") if given.api else None,
        namespace=given.namespace,
        window_ms=duration_ms(given.dedupe_window),
        bounds=Bounds(duration_ms(given.max_age), duration_ms(given.max_future)),
        quota_tokens=int(given.quota_tokens),
        plans=given.plans or None,
        prices=given.prices or None,
        notice_topic=given.notice_topic or None,
        went_back=given.went_back,
        letters=named if given.dlq else None,
        wait_s=given.wait,
        json=given.json,
        most=given.most,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oracle",
        description="Holds Redis and the API to what the log says. Ends with 0: equal, 1: different, 2: can't tell.",
    )

    def setting(flag: str, variable: str, default: str, what: str) -> None:
        value = os.environ.get(variable) or default
        parser.add_argument(flag, default=value, help=f"{what} [{variable}, default {default or 'none'}]")

    setting("--brokers", "INDELIBLE_KAFKA_BROKERS", "127.0.0.1:9092", "Kafka's bootstrap servers")
    setting("--topics", "INDELIBLE_KAFKA_TOPICS", "ai.usage.events.v1", "topics that are counted, with commas")
    setting("--redis", "INDELIBLE_REDIS_URL", "redis://127.0.0.1:6379", "as for the program")
    setting("--namespace", "INDELIBLE_NAMESPACE", "indelible", "first part of every key")
    setting("--dedupe-window", "INDELIBLE_DEDUPE_WINDOW", "24h", "as for the program")
    setting("--max-age", "INDELIBLE_MAX_AGE", "35d", "as for the program")
    setting("--max-future", "INDELIBLE_MAX_FUTURE", "5m", "as for the program")
    setting("--quota-tokens", "INDELIBLE_QUOTA_TOKENS", "1000000", "as for the program")
    setting("--plans", "INDELIBLE_PLANS", "", "as for the program")
    setting("--prices", "INDELIBLE_PRICES", "", "as for the program")
    setting("--notice-topic", "INDELIBLE_NOTICE_TOPIC", "", "as for the program")
    setting("--dlq-topic", "INDELIBLE_DLQ_TOPIC", "", "the dead-letter topic, <topic>.dlq if not given")
    parser.add_argument("--api", help="http://host:port of the API; not looked at if not given")
    parser.add_argument("--dlq", action="store_true", help="look at the dead letters, too")
    parser.add_argument(
        "--kafka-property",
        action="append",
        metavar="KEY=VALUE",
        help="a property as librdkafka names it [INDELIBLE_KAFKA_PROPERTIES]; those about TLS and SASL are read",
    )
    parser.add_argument(
        "--wait", type=float, default=30.0, metavar="SECONDS", help="until all is counted, at most; 0: look at once"
    )
    parser.add_argument(
        "--went-back",
        action="store_true",
        help="Redis was put back to an older state meanwhile: a threshold may have been noticed more than once",
    )
    parser.add_argument("--most", type=int, default=50, metavar="N", help="differences to print at most")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: str) -> int:
    """`90s`, `5m`, `24h`, `35d`, or several of them."""
    parts = re.findall(r"([0-9]+)\s*(ms|s|m|h|d)", text)
    if not parts or re.sub(r"([0-9]+)\s*(ms|s|m|h|d)", "", text).strip():
        raise CannotTell(f"{text!r} is not a duration such as 90s, 5m, 24h or 35d")
    return sum(int(number) * _UNITS_MS[unit] for number, unit in parts)


def _split_escaped(text: str) -> list[str]:
    """At commas that no backslash stands before."""
    parts = (part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", text))
    return [part for part in parts if part]


# librdkafka's names, and those of kafka-python. What is not about the connection's safety is left out: it
# says how a consumer shares its work, and this one shares none.
_OPTIONS = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "ssl.cipher.suites": "ssl_ciphers",
}


def kafka_options(properties: list[str]) -> dict[str, object]:
    """librdkafka's properties as options of kafka-python."""
    options: dict[str, object] = {}
    for part in properties:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise CannotTell("a Kafka property has no '='; the form is key=value (--kafka-property)")
        if key in _OPTIONS:
            options[_OPTIONS[key]] = value.upper() if key == "security.protocol" else value
        elif key == "ssl.endpoint.identification.algorithm":
            options["ssl_check_hostname"] = value != "none"
        elif key.startswith(("ssl.", "sasl.")):
            raise CannotTell(f"the Kafka property {key} is not read here; leave it out, or connect another way")
    return options
