"""Reads a topic from offset 0 up to where it ends, and nothing that was not committed.

By kafka-python, which shares no code with librdkafka: what that would skip, this sees.
"""

import time
from typing import Callable, Iterator, NamedTuple, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from .trouble import CannotTell

# With no record and no progress for so long, the broker is taken to be gone.
PATIENCE_S = 60.0
# An election, or a broker that comes back, is over by then.
ANSWER_S = 30.0


class Record(NamedTuple):
    """A record as Kafka holds it."""

    topic: str
    partition: int
    offset: int
    # Milliseconds; None where the record has none.
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


Place = tuple[str, int]
T = TypeVar("T")


class Log:
    """The partitions of some topics, and where each ended when it was opened."""

    def __init__(self, brokers: str, topics: list[str], properties: dict[str, object]) -> None:
        self._brokers = brokers
        self._consumer: KafkaConsumer = self._ask(lambda: _consumer(brokers, properties))
        self._places = [place for topic in topics for place in self._partitions(topic)]
        self.ends = self.ends_now()
        self._check_begins()

    def ends_now(self) -> dict[Place, int]:
        """The offset after the last one that is stable, markers of transactions included."""
        ends = self._ask(lambda: self._consumer.end_offsets(self._places))
        return {_place(at): end for at, end in ends.items()}

    def records(self) -> Iterator[Record]:
        """Every committed record before `ends`: in order within a partition."""
        self._consumer.assign(self._places)
        for place in self._places:
            self._consumer.seek(place, 0)
        waiting, progress = set(self._places), time.monotonic()
        while waiting:
            polled = self._ask(lambda: self._consumer.poll(timeout_ms=500, max_records=5000))
            for place, records in polled.items():
                for record in records:
                    if record.offset < self.ends[_place(place)]:
                        yield _record(record)
            done = {place for place in waiting if self._position(place) >= self.ends[_place(place)]}
            if polled or done:
                progress = time.monotonic()
            elif time.monotonic() - progress > PATIENCE_S:
                behind = ", ".join(sorted(f"{place.topic}/{place.partition}" for place in waiting))
                raise CannotTell(f"no record came from {behind} within {PATIENCE_S:.0f} s; see that Kafka is well")
            waiting -= done

    def close(self) -> None:
        """Leaves the brokers."""
        self._consumer.close()

    def _position(self, place: TopicPartition) -> int:
        return self._ask(lambda: self._consumer.position(place))

    def _partitions(self, topic: str) -> list[TopicPartition]:
        numbers = self._ask(lambda: self._consumer.partitions_for_topic(topic))
        if not numbers:
            raise CannotTell(f"Kafka at {self._brokers} has no topic {topic}; see --brokers and --topics")
        return [TopicPartition(topic, number) for number in sorted(numbers)]

    def _check_begins(self) -> None:
        for place, begin in self._ask(lambda: self._consumer.beginning_offsets(self._places)).items():
            if begin != 0:
                raise CannotTell(
                    f"{place.topic}/{place.partition} begins at offset {begin}: "
                    "what was deleted may have been counted, and can't be compared any more"
                )

    def _ask(self, call: Callable[[], T]) -> T:
        """Again while the cluster is busy electing, and no longer than that."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                return call()
            except (KafkaError, OSError, ValueError, AssertionError) as error:
                if not getattr(error, "retriable", False) or time.monotonic() > deadline:
                    why = f"{type(error).__name__}: {error}"[:300]
                    raise CannotTell(f"Kafka at {self._brokers}: {why}; see --brokers, --kafka-property") from error
                time.sleep(0.2)


def _consumer(brokers: str, properties: dict[str, object]) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=brokers.split(","),
        client_id="indelible-oracle",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        check_crcs=True,
        fetch_max_bytes=32 << 20,
        max_partition_fetch_bytes=4 << 20,
        allow_auto_create_topics=False,
        **properties,
    )


def _place(at: TopicPartition) -> Place:
    return at.topic, at.partition


def _record(record: ConsumerRecord) -> Record:
    timestamp = record.timestamp if record.timestamp is not None and record.timestamp >= 0 else None
    headers = [(name, value) for name, value in record.headers]
    return Record(record.topic, record.partition, record.offset, timestamp, record.key, record.value, headers)
