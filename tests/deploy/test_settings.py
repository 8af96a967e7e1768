"""What the deployments set are settings of the program, and it takes them."""

import re
import unittest

from deploy import program
from deploy.cases import MADE, SETS, Manifests
from deploy.chart import CHART, ROOT, container, environment, merged, of_kind, pods, rendered

DEPLOYMENTS = ("helm", "deploy", "Dockerfile", "docker-compose.yml")
KNOWN = program.settings()


def texts():
    for name in DEPLOYMENTS:
        path = ROOT / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                yield file.relative_to(ROOT), file.read_text()


class Names(unittest.TestCase):
    def test_the_program_tells_its_settings(self):
        self.assertLessEqual({"INDELIBLE_REDIS_URL", "INDELIBLE_ROLE", "INDELIBLE_DEDUPE_WINDOW", "RUST_LOG"}, KNOWN)

    def test_every_name_in_a_deployment_is_one(self):
        for file, text in texts():
            names = set(re.findall(r"\bINDELIBLE_[A-Z0-9_]+", text))
            self.assertLessEqual(names, KNOWN, file)

    def test_every_setting_can_be_given_by_values(self):
        named = re.findall(r'"(INDELIBLE_[A-Z_]+)" "', (CHART / "templates" / "_checks.tpl").read_text())
        own = set(named) | {"RUST_LOG"}
        for name in sorted(KNOWN - own):
            given = container(rendered(merged(SETS["minimal"], {"config": {name: "true"}})))
            self.assertEqual(environment(given)[name], "true")

    def test_what_the_chart_sets_can_not_be_set_again(self):
        named = set(re.findall(r'"(INDELIBLE_[A-Z_]+)" "', (CHART / "templates" / "_checks.tpl").read_text()))
        written = set(re.findall(r"\bINDELIBLE_[A-Z_]+", (CHART / "templates" / "_env.tpl").read_text()))
        self.assertEqual(named, written)


class Taken(Manifests):
    def test_the_program_takes_what_every_pod_is_given(self):
        for manifests, deployment in self.each("Deployment"):
            self.assertEqual(program.check_container(manifests, deployment["spec"]["template"]),
                             (0, "the settings are fine\n"))

    def test_secrets_and_commas_arrive_whole(self):
        told = program.variables(container(MADE["production"]))["INDELIBLE_KAFKA_PROPERTIES"]
        parts = dict(part.split("=", 1) for part in re.split(r"(?<!\\),", told))
        self.assertEqual(parts, {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "indelible",
            "sasl.password": r"a\,b=c",
            "ssl.ca.location": "/etc/indelible/kafka-tls/ca.crt",
            "socket.keepalive.enable": "true",
            "client.rack": r"a\,b",
        })

    def test_what_looks_like_a_variable_and_is_none_arrives_as_it_is(self):
        values = merged(SETS["minimal"], {"kafka": {"properties": {"client.rack": "$(HOSTNAME)"}}})
        told = program.variables(container(rendered(values)))
        self.assertEqual(told["INDELIBLE_KAFKA_PROPERTIES"], "client.rack=$(HOSTNAME)")

    def test_what_the_chart_can_not_know_is_the_programs_to_refuse(self):
        for change, setting in (
            ({"counting": {"maxAge": "4000d"}}, "INDELIBLE_MAX_AGE"),
            ({"plans": "nonsense = 1"}, "INDELIBLE_PLANS"),
            ({"kafka": {"properties": {"no.such.property": "1"}}}, "INDELIBLE_KAFKA_PROPERTIES"),
        ):
            manifests = rendered(merged(SETS["minimal"], change))
            code, said = program.check_container(manifests, pods(of_kind(manifests, "Deployment"))[0][1])
            self.assertEqual(code, 64, said)
            self.assertIn(setting, said)
