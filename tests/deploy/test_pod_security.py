"""The judge of pods is judged: a pod that is wrong in one way is refused for that, and the good one is not."""

import copy
import unittest
from pathlib import Path

import yaml

from deploy import pod_security, schemas
from deploy.chart import merged

GOOD = {
    "metadata": {"labels": {"app": "good"}},
    "spec": {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "main",
            "image": "good:1",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "resources": {"requests": {"cpu": "1", "memory": "1Mi"}, "limits": {"memory": "1Mi"}},
        }],
    },
}

OF_POD = [
    ({"hostNetwork": True}, "hostNetwork is on"),
    ({"hostPID": True}, "hostPID is on"),
    ({"hostIPC": True}, "hostIPC is on"),
    ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "volume v is a hostPath"),
    ({"volumes": [{"name": "v", "nfs": {"path": "/"}}]}, "volume v is a nfs"),
    ({"automountServiceAccountToken": None}, "a token of the cluster's API is mounted"),
    ({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}, "sysctl kernel.msgmax"),
    ({"securityContext": {"runAsUser": 0}}, "runs as user 0"),
    ({"securityContext": {"runAsNonRoot": None}}, "main: may run as root"),
    ({"securityContext": {"seccompProfile": None}}, "main: has no seccomp profile"),
    ({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}, "has SELinux options of its own"),
]

OF_CONTAINER = [
    ({"securityContext": {"privileged": True}}, "is privileged"),
    ({"securityContext": {"allowPrivilegeEscalation": None}}, "may escalate its privileges"),
    ({"securityContext": {"capabilities": {"drop": ["NET_RAW"]}}}, "does not drop all capabilities"),
    ({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}, "adds the capability SYS_ADMIN"),
    ({"securityContext": {"procMount": "Unmasked"}}, "has another procMount"),
    ({"securityContext": {"runAsNonRoot": False}}, "may run as root"),
    ({"securityContext": {"runAsUser": 0}}, "runs as user 0"),
    ({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, "appArmorProfile is Unconfined"),
    ({"securityContext": {"windowsOptions": {"hostProcess": True}}}, "is a process of the host"),
    ({"securityContext": {"readOnlyRootFilesystem": None}}, "may write to its root filesystem"),
    ({"ports": [{"hostPort": 80}]}, "takes the node's port 80"),
    ({"livenessProbe": {"httpGet": {"host": "169.254.169.254"}}}, "livenessProbe asks another host"),
    ({"lifecycle": {"preStop": {"tcpSocket": {"host": "10.0.0.1"}}}}, "preStop asks another host"),
    ({"resources": {"limits": None}}, "has no limit of memory"),
    ({"resources": {"requests": {"cpu": None}}}, None),
    ({"resources": {"requests": None}}, "does not request cpu and memory"),
]


class Judge(unittest.TestCase):
    def test_the_good_one(self):
        self.assertEqual(pod_security.faults(GOOD), [])

    def test_a_pod_that_is_wrong_in_one_way(self):
        for change, fault in OF_POD:
            with self.subTest(fault):
                self.assertEqual(pod_security.faults(merged(GOOD, {"spec": change})), [fault])

    def test_a_container_that_is_wrong_in_one_way(self):
        for kind in ("containers", "initContainers", "ephemeralContainers"):
            for change, fault in OF_CONTAINER:
                with self.subTest(kind=kind, fault=fault):
                    pod = copy.deepcopy(GOOD)
                    changed = merged(pod["spec"]["containers"][0], {**change, "name": "other"})
                    pod["spec"].setdefault(kind, []).append(changed)
                    self.assertEqual(pod_security.faults(pod), [f"other: {fault}"] if fault else [])

    def test_an_unconfined_container_of_a_confined_pod(self):
        change = {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}
        pod = copy.deepcopy(GOOD)
        pod["spec"]["containers"][0] = merged(pod["spec"]["containers"][0], change)
        self.assertIn("main: has no seccomp profile", pod_security.faults(pod))

    def test_a_manifest_as_people_write_it_without_thinking_is_refused(self):
        bad = yaml.safe_load((Path(__file__).parent / "bad-deployment.yaml").read_text())
        self.assertIsNone(schemas.fault(bad, "1.37"), "it is a Deployment like any other")
        self.assertEqual(pod_security.faults(bad["spec"]["template"]), [
            "hostNetwork is on",
            "volume docker is a hostPath",
            "a token of the cluster's API is mounted",
            "main: is privileged",
            "main: may escalate its privileges",
            "main: does not drop all capabilities",
            "main: may run as root",
            "main: has no seccomp profile",
            "main: may write to its root filesystem",
            "main: has no limit of memory",
            "main: does not request cpu and memory",
        ])


class Schemas(unittest.TestCase):
    def test_what_a_cluster_would_refuse_is_refused(self):
        deployment = yaml.safe_load((Path(__file__).parent / "bad-deployment.yaml").read_text())
        for change in ({"spec": {"replicaz": 2}}, {"spec": {"replicas": "two"}}, {"apiVersion": "apps/v0"},
                       {"spec": {"template": {"spec": {"containers": [{"nam": "x"}]}}}}, {"kind": "Deploymint"}):
            self.assertIsNotNone(schemas.fault(merged(deployment, change), "1.37"), change)

    def test_so_is_what_an_operator_would(self):
        metadata = {"name": "x", "namespace": "y", "labels": {}}
        trigger = {"bootstrapServers": "k:9", "consumerGroup": "g", "topic": "t", "lagThreshold": "5"}
        spec = {"scaleTargetRef": {"name": "x"}, "minReplicaCount": 1, "maxReplicaCount": 2,
                "triggers": [{"type": "kafka", "metadata": trigger}]}
        good = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}
        self.assertIsNone(schemas.fault(good, "1.37"))
        for change in ({"minReplicaCount": 0}, {"maxReplicas": 3}, {"triggers": []}, {"scaleTargetRef": {"nam": "x"}}):
            self.assertIsNotNone(schemas.fault(merged(good, {"spec": change}), "1.37"), change)
