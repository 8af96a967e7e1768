"""docker-compose.yml and what it mounts: closed to other machines, complete, and what the program needs."""

import re
import unittest

import yaml

from deploy import program
from deploy.chart import ROOT, Strict

COMPOSE = yaml.load((ROOT / "docker-compose.yml").read_text(), Loader=Strict)
SERVICES = COMPOSE["services"]
INDELIBLE = SERVICES["indelible"]


class Compose(unittest.TestCase):
    def test_ports_are_published_on_loopback_alone(self):
        published = [port for service in SERVICES.values() for port in service.get("ports", [])]
        self.assertGreaterEqual(len(published), 4)
        for port in published:
            self.assertRegex(port, r"^127\.0\.0\.1:\d+:\d+$")
        taken = [port.split(":")[1] for port in published]
        self.assertEqual(len(taken), len(set(taken)))

    def test_images_are_pinned(self):
        version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        for name, service in SERVICES.items():
            self.assertRegex(service["image"], r":v?\d+\.\d+\.\d+(-[a-z]+)?$", name)
        self.assertEqual(INDELIBLE["image"], f"indelible:{version}")
        self.assertEqual(len({s["image"] for s in SERVICES.values() if "kafka" in s["image"]}), 1)

    def test_who_is_waited_for_can_say_that_it_is_there(self):
        for name, service in SERVICES.items():
            for other, on in service.get("depends_on", {}).items():
                if on["condition"] == "service_healthy":
                    self.assertIn("healthcheck", SERVICES[other], name)
                else:
                    self.assertEqual(on["condition"], "service_completed_successfully")
                    self.assertEqual(SERVICES[other]["restart"], "no", "it ends")
        for name in ("kafka", "redis", "indelible", "prometheus", "grafana"):
            self.assertIn("healthcheck", SERVICES[name])

    def test_whoever_starts_without_a_profile_needs_nobody_of_one(self):
        for name, service in SERVICES.items():
            for other in service.get("depends_on", {}):
                self.assertLessEqual(set(SERVICES[other].get("profiles", [])), set(service.get("profiles", [])), name)
        plain = {name for name, service in SERVICES.items() if "profiles" not in service}
        self.assertEqual(plain, {"kafka", "topics", "redis", "indelible"})

    def test_what_is_mounted_is_in_the_repository(self):
        for name, service in SERVICES.items():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("./"):
                    self.assertTrue((ROOT / source).exists(), f"{name}: {source}")
                    self.assertTrue(volume.endswith(":ro"), volume)
                else:
                    self.assertIn(source, COMPOSE["volumes"], name)

    def test_the_program_takes_its_settings_and_has_time_to_end(self):
        told = {name: str(value) for name, value in INDELIBLE["environment"].items()}
        self.assertEqual(program.check(told), (0, "the settings are fine\n"))
        self.assertEqual(program.check({**told, "INDELIBLE_LISTEN": "everywhere"})[0], 64)
        self.assertGreater(int(INDELIBLE["stop_grace_period"].removesuffix("s")), 25 + 5)
        self.assertEqual(INDELIBLE["cap_drop"], ["ALL"])
        self.assertTrue(INDELIBLE["read_only"])

    def test_clients_find_the_brokers_and_redis(self):
        kafka = SERVICES["kafka"]["environment"]
        advertised = dict(entry.split("://") for entry in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
        self.assertEqual(advertised["CONTAINERS"], INDELIBLE["environment"]["INDELIBLE_KAFKA_BROKERS"])
        self.assertIn(f"{advertised['MACHINE']}:29092", SERVICES["kafka"]["ports"])
        for name in ("topics", "sample-producer"):
            self.assertEqual(SERVICES[name]["environment"]["KAFKA_BROKERS"], advertised["CONTAINERS"])
        self.assertEqual(INDELIBLE["environment"]["INDELIBLE_REDIS_URL"], "redis://redis:6379")

    def test_redis_neither_forgets_nor_evicts(self):
        command = SERVICES["redis"]["command"]
        given = dict(zip(command[1::2], command[2::2]))
        self.assertEqual((given["--appendonly"], given["--maxmemory-policy"]), ("yes", "noeviction"))

    def test_prometheus_asks_the_program_and_grafana_asks_prometheus(self):
        scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        (job,) = scraped["scrape_configs"]
        port = INDELIBLE["environment"]["INDELIBLE_OPS_LISTEN"].rsplit(":", 1)[1]
        self.assertEqual((job["job_name"], job["static_configs"]), ("indelible", [{"targets": [f"indelible:{port}"]}]))
        mounts = dict(v.split(":")[:2][::-1] for n in ("prometheus", "grafana") for v in SERVICES[n]["volumes"])
        (rules,) = scraped["rule_files"]
        self.assertEqual(mounts[rules.rsplit("/", 1)[0]], "./helm/indelible/files")

        provisioning = ROOT / "deploy/grafana/provisioning"
        self.assertEqual(mounts["/etc/grafana/provisioning"], "./deploy/grafana/provisioning")
        (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
        self.assertEqual(source["url"], "http://prometheus:9090")
        (boards,) = yaml.safe_load((provisioning / "dashboards/indelible.yaml").read_text())["providers"]
        self.assertEqual(mounts[boards["options"]["path"]], "./helm/indelible/dashboards")
        home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        self.assertEqual(home, f"{boards['options']['path']}/indelible.json")
