"""Flags, variables, and what of Kafka's properties is understood."""

import os
import unittest
from unittest import mock

from ..settings import duration_ms, kafka_options, parse
from ..trouble import CannotTell


class TheSettings(unittest.TestCase):
    """As README lists them."""

    def test_a_variable_stands_in_for_a_flag(self) -> None:
        variables = {
            "INDELIBLE_KAFKA_TOPICS": "a, b",
            "INDELIBLE_MAX_AGE": "1d 12h",
            "INDELIBLE_KAFKA_PROPERTIES": r"sasl.password=a\,b,session.timeout.ms=6000",
        }
        with mock.patch.dict(os.environ, variables, clear=True):
            settings = parse(["--namespace", "n", "--dlq", "--api", "http://h:1/"])
        self.assertEqual((settings.topics, settings.namespace, settings.api), (["a", "b"], "n", "http://h:1"))
        self.assertEqual(settings.bounds.max_age_ms, 36 * 3_600_000)
        self.assertEqual(settings.kafka, {"sasl_plain_password": "a,b"})
        self.assertEqual(settings.letters, {"a": "a.dlq", "b": "b.dlq"})

    def test_what_makes_a_connection_safe_is_read_or_refused(self) -> None:
        given = ["security.protocol=sasl_ssl", "ssl.endpoint.identification.algorithm=none", "group.instance.id=x"]
        self.assertEqual(kafka_options(given), {"security_protocol": "SASL_SSL", "ssl_check_hostname": False})
        for refused in ["sasl.oauthbearer.config=x", "ssl.ca.pem=x", "security.protocol"]:
            with self.assertRaises(CannotTell):
                kafka_options([refused])

    def test_durations(self) -> None:
        self.assertEqual([duration_ms(text) for text in ["90s", "5m", "1h 30m"]], [90_000, 300_000, 5_400_000])
        for bad in ["", "5", "5 parsecs", "5m x"]:
            with self.assertRaises(CannotTell):
                duration_ms(bad)
