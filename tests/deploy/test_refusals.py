"""Values that must be refused, each with what it must say; and near each, what must not be refused."""

import unittest

import helm_python

from deploy import chart
from deploy.chart import merged, rendered

LEAST = chart.value_sets()["minimal"]
SPLIT = chart.value_sets()["split"]
FULL = chart.value_sets()["production"]
OFF = {"enabled": False}


def workers(**scalers):
    return {"worker": {"autoscaling": scalers}}


# Values, what is changed in them, and a part of what is said.
REFUSED = [
    # Two who would set the replicas; more workers than partitions.
    (SPLIT, workers(keda={"enabled": True}), "worker.autoscaling: hpa and keda would both"),
    (LEAST, {"all": {"autoscaling": {"keda": {"enabled": True}, "hpa": {"enabled": True}}}},
     "all.autoscaling: hpa and keda would both"),
    (LEAST, {"all": {"replicas": 4}}, "all.replicas: 4 is above kafka.partitions 3"),
    (SPLIT, workers(hpa={"maxReplicas": 13}), "hpa.maxReplicas: 13 is above kafka.partitions 12"),
    (SPLIT, workers(hpa=OFF, keda={"enabled": True, "maxReplicas": 13}),
     "keda.maxReplicas: 13 is above kafka.partitions 12"),
    (SPLIT, workers(hpa={"minReplicas": 13, "maxReplicas": 12}), "minReplicas 13 is above maxReplicas 12"),
    (SPLIT, {"kafka": {"partitions": None}}, "kafka.partitions: is missing"),
    (FULL, workers(keda={"authenticationRef": ""}), "keda.authenticationRef: is missing"),
    (SPLIT, {"api": {"autoscaling": {"keda": {"enabled": True}}}}, "additional properties 'keda' not allowed"),
    (SPLIT, workers(hpa=OFF, keda={"enabled": True, "minReplicas": 0}), "minimum: got 0, want 1"),
    (SPLIT, workers(hpa={"scaleDownStabilizationSeconds": 7200}), "maximum: got 7,200, want 3,600"),
    # Roles.
    (LEAST, {"all": {"enabled": False}}, "no role is deployed"),
    (LEAST, {"worker": {"enabled": True}}, "all.enabled: goes with neither"),
    (FULL, {"api": {"enabled": False}}, "ingress.enabled: no API is deployed"),
    # Nobody is let in, or everybody, by oversight.
    (LEAST, {"auth": {"apiKeys": {"existingSecret": ""}}},
     "auth: give auth.apiKeys.existingSecret or auth.jwt, or set auth.disabled=true"),
    (LEAST, {"auth": {"disabled": True}}, "auth.disabled: is true and credentials are given"),
    (LEAST, {"auth": {"jwt": {"jwksUrl": "https://id.example.com/jwks"}}}, "auth.jwt: needs issuer and audience"),
    (FULL, {"auth": {"jwt": {"audience": ""}}}, "auth.jwt: needs issuer and audience"),
    (FULL, {"auth": {"jwt": {"jwksUrl": "https://id.example.com/jwks"}}}, "jwksUrl and existingSecret are both given"),
    (FULL, {"auth": {"jwt": {"pemKey": "key.pem"}}}, "needs one of jwksKey and pemKey"),
    (FULL, {"auth": {"jwt": {"jwksKey": ""}}}, "needs one of jwksKey and pemKey"),
    # Where Kafka and Redis are, and secrets in the open.
    (LEAST, {"kafka": {"brokers": ""}}, "kafka.brokers: is missing"),
    (LEAST, {"kafka": {"brokers": "kafka"}}, "does not match pattern"),
    (LEAST, {"redis": {"url": ""}}, "redis: neither url nor existingSecret"),
    (LEAST, {"redis": {"existingSecret": "redis"}}, "redis: url and existingSecret are both given"),
    (LEAST, {"redis": {"url": "redis://:hunter2@redis:6379"}}, "redis.url: holds a user or password"),
    (LEAST, {"redis": {"url": "http://redis"}}, "does not match pattern"),
    (LEAST, {"kafka": {"properties": {"ssl.key.password": "hunter2"}}}, "ssl.key.password is a secret"),
    (LEAST, {"kafka": {"properties": {"auto.offset.reset": "latest"}}}, "invalid propertyName 'auto.offset.reset'"),
    (LEAST, {"kafka": {"properties": {"security.protocol": "SSL"}}}, "security.protocol is set by kafka.tls.enabled"),
    (FULL, {"kafka": {"sasl": {"existingSecret": ""}}}, "kafka.sasl.existingSecret: is missing"),
    (FULL, {"kafka": {"sasl": {"username": ""}}}, "neither username nor usernameKey"),
    (LEAST, {"kafka": {"sasl": {"existingSecret": "kafka"}}}, "kafka.sasl.mechanism: is missing"),
    (LEAST, {"kafka": {"sasl": {"mechanism": "GSSAPI"}}}, "mechanism"),
    (LEAST, {"kafka": {"tls": {"existingSecret": "ca"}}}, "kafka.tls.enabled is false"),
    (FULL, {"kafka": {"tls": {"certKey": "tls.crt"}}}, "certKey and keyKey go together"),
    (LEAST, {"notices": {"webhook": {"existingSecret": "hook"}}}, "notices.webhook: needs notices.topic"),
    # Running.
    (LEAST, {"shutdown": {"terminationGracePeriodSeconds": 39}}, "is below drainTimeoutSeconds and preStopSeconds"),
    (LEAST, {"shutdown": {"drainTimeoutSeconds": 60}},
     "45 is below drainTimeoutSeconds and preStopSeconds and 10 more, 75"),
    (FULL, {"monitoring": {"podMonitor": {"enabled": True}}}, "would scrape every pod twice"),
    (LEAST, {"monitoring": {"podMonitor": {"enabled": True}}}, "networkPolicy.ops.from: is empty"),
    (FULL, {"ingress": {"hosts": []}}, "minItems"),
    (LEAST, {"extraVolumes": [{"name": "node", "hostPath": {"path": "/"}}]}, "extraVolumes"),
    (LEAST, {"podSecurity": {"runAsUser": 0}}, "minimum: got 0, want 1"),
    (LEAST, {"podSecurity": {"runAsNonRoot": False}}, "additional properties 'runAsNonRoot' not allowed"),
    # Misspelt, of another type, or set in two places.
    (LEAST, {"kafak": {}}, "additional properties 'kafak' not allowed"),
    (LEAST, {"all": {"replica": 2}}, "additional properties 'replica' not allowed"),
    (LEAST, {"all": {"replicas": "2"}}, "got string, want integer"),
    (LEAST, {"image": {"digest": "sha256:abc"}}, "does not match pattern"),
    (LEAST, {"config": {"RUST_LOG": "debug"}}, "'RUST_LOG' does not match pattern"),
    (LEAST, {"config": {"INDELIBLE_REDIS_URL": "redis://other"}}, "config: INDELIBLE_REDIS_URL is set by redis.url"),
    (LEAST, {"config": {"INDELIBLE_X": 1}}, "got number, want string"),
    (LEAST, {"counting": {"maxAge": "soon"}}, "does not match pattern"),
]

TAKEN = [
    (SPLIT, workers(hpa=OFF, keda={"enabled": True, "maxReplicas": 12})),
    (LEAST, {"all": {"replicas": 3}}),
    (LEAST, {"auth": {"apiKeys": {"existingSecret": ""}, "disabled": True}}),
    (LEAST, {"auth": {"apiKeys": {"existingSecret": ""},
                      "jwt": {"jwksUrl": "https://id.example.com/jwks", "issuer": "i", "audience": "a"}}}),
    # A worker alone asks nobody for credentials.
    (SPLIT, {"auth": {"disabled": False}, "api": {"enabled": False}}),
    # An API alone needs no partitions.
    (SPLIT, {"worker": {"enabled": False}, "kafka": {"partitions": None}}),
    (LEAST, {"shutdown": {"terminationGracePeriodSeconds": 40}}),
    (LEAST, {"redis": {"url": "redis+sentinel://a:26379,b:26379/main"}}),
    (LEAST, {"kafka": {"properties": {"socket.timeout.ms": 5000}}}),
    (LEAST, {"config": {"INDELIBLE_TAKEOVER": "true"}}),
    (LEAST, {"networkPolicy": {"enabled": False}, "monitoring": {"podMonitor": {"enabled": True}}}),
]


class Refusals(unittest.TestCase):
    def test_refused(self):
        for values, change, said in REFUSED:
            with self.subTest(said=said, change=change):
                with self.assertRaises(helm_python.HelmError) as refusal:
                    rendered(merged(values, change))
                self.assertIn(said, str(refusal.exception))

    def test_taken(self):
        for values, change in TAKEN:
            with self.subTest(change=change):
                self.assertTrue(rendered(merged(values, change)))

    def test_all_faults_are_told_at_once(self):
        with self.assertRaises(helm_python.HelmError) as refusal:
            rendered({})
        said = str(refusal.exception)
        self.assertIn("4 of the values can't be used", said)
        for value in ("kafka.brokers", "kafka.partitions", "redis:", "auth:"):
            self.assertIn(value, said)

    def test_every_object_of_the_schema_is_closed_or_kubernetes_own(self):
        with helm_python.Chart.load(chart.CHART) as loaded:
            schema = loaded.schema
        free = {"kubernetesObject", "kubernetesObjects", "extraVolumes", "global"}

        def walk(part, path):
            if isinstance(part, dict):
                if part.get("type") == "object" and not free & set(path):
                    self.assertIn("additionalProperties", part, "/".join(path))
                    self.assertIsNot(part["additionalProperties"], True, "/".join(path))
                for key, value in part.items():
                    walk(value, [*path, key])
            elif isinstance(part, list):
                for value in part:
                    walk(value, path)

        walk(schema, [])
