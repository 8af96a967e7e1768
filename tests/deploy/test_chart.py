"""What the value sets of ci/ render to: valid manifests, closed pods, and nothing that points to what is not there."""

import shutil
import tempfile
import unittest
from pathlib import Path

import helm_python
import yaml

from deploy import chart, pod_security, schemas
from deploy.cases import MADE, SETS, Manifests
from deploy.chart import container, environment, merged, named, of_kind, pods, rendered


class Rendered(Manifests):
    def test_the_sets_are_the_three_that_are_spoken_of(self):
        self.assertEqual(sorted(SETS), ["minimal", "production", "split"])

    def test_lint_has_nothing_to_say(self):
        for name, values in SETS.items():
            report = helm_python.lint(chart.CHART, values, strict=True)
            # Of severity 1 are hints, such as that a chart may have an icon.
            said = [message for message in report["messages"] if message["severity"] > 1]
            self.assertEqual((name, said, report["errors"]), (name, [], []))

    def test_kubernetes_takes_every_manifest(self):
        for manifests in self.each_set():
            for manifest in manifests:
                for version in chart.KUBERNETES:
                    self.assertIsNone(schemas.fault(manifest, version), f"{named(manifest)} of {version}")

    def test_every_pod_is_restricted(self):
        for manifests in self.each_set():
            found = pods(manifests)
            self.assertGreaterEqual(len(found), 2, "a Deployment and the test")
            for name, pod in found:
                self.assertEqual(pod_security.faults(pod), [], name)

    def test_no_two_are_one(self):
        for manifests in self.each_set():
            names = [(m["apiVersion"].split("/")[0], m["kind"], m["metadata"]["name"]) for m in manifests]
            self.assertEqual(len(names), len(set(names)))
            self.assertTrue(all(len(name) <= 63 for _, kind, name in names if kind == "Service"))

    def test_the_kinds_of_each_set(self):
        kinds = {name: sorted({m["kind"] for m in manifests}) for name, manifests in MADE.items()}
        always = {"Deployment", "NetworkPolicy", "Pod", "PodDisruptionBudget", "Service"}
        self.assertEqual(kinds["minimal"], sorted(always | {"ServiceAccount"}))
        self.assertEqual(kinds["split"], sorted(always | {"HorizontalPodAutoscaler", "PodMonitor"}))
        more = {"ConfigMap", "HorizontalPodAutoscaler", "Ingress", "PrometheusRule", "ScaledObject", "ServiceAccount",
                "ServiceMonitor"}
        self.assertEqual(kinds["production"], sorted(always | more))

    def test_roles(self):
        roles = {
            name: sorted(environment(d["spec"]["template"]["spec"]["containers"][0])["INDELIBLE_ROLE"]
                         for d in of_kind(manifests, "Deployment"))
            for name, manifests in MADE.items()
        }
        self.assertEqual(roles, {"minimal": ["all"], "production": ["api", "worker"], "split": ["api", "worker"]})

    def test_the_program_is_told_more_than_a_drain_takes(self):
        for _, deployment in self.each("Deployment"):
            pod = deployment["spec"]["template"]["spec"]
            drain = int(environment(pod["containers"][0])["INDELIBLE_DRAIN_TIMEOUT"].removesuffix("s"))
            pause = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            self.assertGreater(pod["terminationGracePeriodSeconds"], drain + pause + 5)

    def test_credentials_reach_only_those_who_need_them(self):
        workers = [d for d in of_kind(MADE["production"], "Deployment") if d["metadata"]["name"].endswith("-worker")]
        self.assertEqual(len(workers), 1)
        text = yaml.safe_dump(workers)
        self.assertIn("indelible-webhook", text)
        self.assertNotIn("indelible-api-keys", text)
        self.assertNotIn("INDELIBLE_AUTH", text)
        answering = [d for d in of_kind(MADE["production"], "Deployment") if d not in workers]
        self.assertNotIn("indelible-webhook", yaml.safe_dump(answering))
        self.assertNotIn("INDELIBLE_LISTEN", text, "a worker does not serve the API")


class Changes(unittest.TestCase):
    def policy(self, values):
        worker = [d for d in of_kind(rendered(values), "Deployment") if d["metadata"]["name"].endswith("-worker")][0]
        return worker["spec"]["template"]["metadata"]["annotations"]["checksum/policy"]

    def test_another_plan_starts_the_pods_anew(self):
        values = SETS["production"]
        plans = {"plans": values["plans"].replace("5_000_000", "5_000_001")}
        prices = {"prices": values["prices"].replace("15", "16")}
        sums = {self.policy(merged(values, change)) for change in ({}, plans, prices)}
        self.assertEqual(len(sums), 3)
        self.assertEqual(self.policy(values), self.policy(merged(values, {"log": {"filter": "debug"}})))

    def test_a_digest_decides_and_a_tag_is_the_version_where_none_is_given(self):
        def image(values):
            return container(rendered(values))["image"]

        version = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())["appVersion"]
        least = SETS["minimal"]
        self.assertEqual(image(least), f"indelible:{version}")
        self.assertEqual(image(merged(least, {"image": {"tag": "1.2"}})), "indelible:1.2")
        digest = "sha256:" + "ab" * 32
        self.assertEqual(image(merged(least, {"image": {"tag": "1.2", "digest": digest}})), f"indelible@{digest}")

    def test_large_numbers_stay_whole(self):
        large = {"quota": {"tokens": 12_000_000_000}, "counting": {"tenantUsers": 100_000_000}}
        told = environment(container(rendered(merged(SETS["minimal"], large))))
        self.assertEqual(told["INDELIBLE_QUOTA_TOKENS"], "12000000000")
        self.assertEqual(told["INDELIBLE_TENANT_USERS"], "100000000")

    def test_alerts_and_dashboards_come_from_their_files(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "indelible"
            shutil.copytree(chart.CHART, copy)
            for name in ("files", "dashboards"):
                shutil.rmtree(copy / name, ignore_errors=True)
            bare = rendered(SETS["production"], copy)
            self.assertEqual(of_kind(bare, "PrometheusRule"), [])
            self.assertEqual([m["metadata"]["name"] for m in of_kind(bare, "ConfigMap")], ["rel-indelible-policy"])

            rule = {"alert": "Down", "expr": "up == 0", "annotations": {"summary": "{{ $labels.pod }} is down"}}
            for name in ("files", "dashboards"):
                (copy / name).mkdir()
            groups = {"groups": [{"name": "indelible", "rules": [rule]}]}
            (copy / "files" / "alerts.yaml").write_text(yaml.safe_dump(groups))
            (copy / "dashboards" / "indelible.json").write_text('{"title": "{{ model }}"}')
            full = rendered(SETS["production"], copy)
        (made,) = of_kind(full, "PrometheusRule")
        self.assertEqual(made["spec"], groups, "as it is: its {{ }} are Prometheus's")
        self.assertEqual(made["metadata"]["labels"]["release"], "prometheus")
        for version in chart.KUBERNETES:
            self.assertIsNone(schemas.fault(made, version))
        (board,) = [m for m in of_kind(full, "ConfigMap") if m["metadata"]["name"].endswith("-dashboard")]
        self.assertEqual(board["data"], {"indelible.json": '{"title": "{{ model }}"}'})
        self.assertEqual(board["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(board["metadata"]["annotations"], {"grafana_folder": "Metering"})

    def test_the_protocol_follows_from_tls_and_sasl(self):
        bare = {"tls": {"enabled": False, "existingSecret": ""}, "sasl": {"mechanism": "", "existingSecret": ""}}
        tls, sasl = {"tls": {"enabled": True}}, {"sasl": {"mechanism": "PLAIN", "existingSecret": "kafka"}}
        quiet = {"worker": {"autoscaling": {"keda": {"enabled": False}}, "replicas": 2}}
        for change, protocol in (({}, None), (tls, "SSL"), (sasl, "SASL_PLAINTEXT"), (merged(tls, sasl), "SASL_SSL")):
            values = merged(SETS["production"], merged(quiet, {"kafka": merged(bare, change)}))
            told = environment(container(rendered(values)))["INDELIBLE_KAFKA_PROPERTIES"]
            said = [part for part in told.split(",") if part.startswith("security.protocol")]
            self.assertEqual(said, [f"security.protocol={protocol}"] if protocol else [])

    def test_keda_is_told_of_tls_once(self):
        keda = {"worker": {"autoscaling": {"hpa": {"enabled": False}, "keda": {"enabled": True}}}}

        def metadata(change):
            (scaler,) = of_kind(rendered(merged(merged(SETS["split"], keda), change)), "ScaledObject")
            told = [trigger["metadata"] for trigger in scaler["spec"]["triggers"]]
            return [(of["topic"], of.get("tls")) for of in told]

        topics = SETS["split"]["kafka"]["topics"]
        tls = {"kafka": {"tls": {"enabled": True}}}
        login = merged(tls, {"worker": {"autoscaling": {"keda": {"authenticationRef": "kafka"}}}})
        self.assertEqual(metadata({}), [(topic, None) for topic in topics])
        self.assertEqual(metadata(tls), [(topic, "enable") for topic in topics])
        self.assertEqual(metadata(login), [(topic, None) for topic in topics], "KEDA refuses it in both places")

    def test_nobody_listed_is_nobody_and_not_everybody(self):
        closed = rendered(merged(SETS["minimal"], {"networkPolicy": {"api": {"from": []}}}))
        (policy,) = of_kind(closed, "NetworkPolicy")
        self.assertEqual([port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]], ["ops"])
