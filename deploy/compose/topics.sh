#!/usr/bin/env bash
# Makes the topics that are missing, and ends. Topics that are there stay as they are.
set -euo pipefail

topic() {
    "${KAFKA_BIN:-/opt/kafka/bin}/kafka-topics.sh" --bootstrap-server "$KAFKA_BROKERS" --create --if-not-exists "$@"
}

# The ledger: what it forgets can't be counted again. Partitions bound the number of workers.
topic --topic ai.usage.events.v1 --partitions 12 --replication-factor 1 \
    --config cleanup.policy=delete --config retention.ms=-1
# Takes whatever the one above takes, and some headers more.
topic --topic ai.usage.events.v1.dlq --partitions 1 --replication-factor 1 \
    --config cleanup.policy=delete --config retention.ms=-1 --config max.message.bytes=1114124
