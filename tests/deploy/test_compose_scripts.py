"""The scripts of docker-compose.yml, with stand-ins for Kafka's tools that note what they are given."""

import json
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import jsonschema

from deploy.chart import ROOT

SCHEMA = json.loads((ROOT / "schemas/ai.usage.recorded.v1.json").read_text())


def tool(folder: str, name: str, script: str):
    path = Path(folder) / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


class Topics(unittest.TestCase):
    def test_the_ledger_forgets_nothing_and_its_dead_letters_hold_more(self):
        with tempfile.TemporaryDirectory() as folder:
            tool(folder, "kafka-topics.sh", 'printf "%s\\n" "$*" >>"${0%/*}/said"')
            told = {**os.environ, "KAFKA_BIN": folder, "KAFKA_BROKERS": "broker:1"}
            subprocess.run(["bash", ROOT / "deploy/compose/topics.sh"], env=told, check=True)
            made = (Path(folder) / "said").read_text().splitlines()
        self.assertEqual(len(made), 2)
        topics = {line.split("--topic ")[1].split()[0]: line for line in made}
        self.assertEqual(list(topics), ["ai.usage.events.v1", "ai.usage.events.v1.dlq"])
        for line in made:
            self.assertTrue(line.startswith("--bootstrap-server broker:1 --create --if-not-exists "), line)
            self.assertIn("cleanup.policy=delete", line)
            self.assertIn("retention.ms=-1", line)
        # Kafka's own limit, 1,048,588, and the room that the program leaves for headers (src/ingest/topics.rs).
        self.assertIn(f"max.message.bytes={1_048_588 + 65_536}", topics["ai.usage.events.v1.dlq"])


class SampleEvents(unittest.TestCase):
    def test_each_is_an_event_but_one_in_500(self):
        with tempfile.TemporaryDirectory() as folder:
            tool(folder, "kafka-console-producer.sh", "exec head -n 1000")
            told = {**os.environ, "KAFKA_BIN": folder, "KAFKA_BROKERS": "broker:1", "EVENTS_PER_SECOND": "1001"}
            # The script never ends by itself: its pipe is broken when the stand-in has had enough.
            ended = subprocess.run(["bash", ROOT / "deploy/compose/sample-events.sh"], env=told, capture_output=True,
                                   text=True, timeout=60)
        self.assertEqual(ended.returncode, 128 + signal.SIGPIPE, ended.stderr)
        lines = [line.split("\t") for line in ended.stdout.splitlines()]
        self.assertEqual(len(lines), 1000)
        validator = jsonschema.Draft202012Validator(SCHEMA)
        events = [json.loads(value) for _, _, value in lines]
        invalid = [number for number, event in enumerate(events) if not validator.is_valid(event)]
        self.assertEqual(invalid, [499, 999])
        self.assertEqual(len({event["id"] for event in events}), 1000)
        for (headers, key, _), event in zip(lines, events):
            self.assertEqual(headers, "content-type:application/cloudevents+json")
            self.assertEqual(key, f"{event['data']['tenantId']}:{event['data']['userId']}")
