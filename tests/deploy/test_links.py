"""Manifests that name each other: each name is there, and means what it says."""

from deploy.cases import Manifests
from deploy.chart import environment, of_kind, pods


def selects(selector: dict, labels: dict) -> bool:
    return selector.items() <= labels.items()


def chosen(manifests: list[dict], selector: dict) -> list[dict]:
    """The pods that a selector finds."""
    return [pod for _, pod in pods(manifests) if selects(selector, pod["metadata"]["labels"])]


class Links(Manifests):
    def test_a_deployment_selects_its_own_pods_and_no_others(self):
        for manifests, deployment in self.each("Deployment"):
            selector = deployment["spec"]["selector"]["matchLabels"]
            self.assertTrue(selects(selector, deployment["spec"]["template"]["metadata"]["labels"]))
            self.assertEqual(len(chosen(manifests, selector)), 1)
            # What may change between two releases is no part of a selector, which may not.
            self.assertNotIn("helm.sh/chart", selector)
            self.assertNotIn("app.kubernetes.io/version", selector)

    def test_a_service_leads_to_a_port_that_pods_of_one_role_have(self):
        for manifests, service in self.each("Service"):
            (pod,) = chosen(manifests, service["spec"]["selector"])
            ports = {port["name"] for c in pod["spec"]["containers"] for port in c["ports"]}
            for port in service["spec"]["ports"]:
                self.assertIn(port["targetPort"], ports)

    def test_the_ports_are_those_on_which_the_program_listens(self):
        for _, deployment in self.each("Deployment"):
            (container,) = deployment["spec"]["template"]["spec"]["containers"]
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            told = environment(container)
            listens = {"ops": told["INDELIBLE_OPS_LISTEN"]}
            if "INDELIBLE_LISTEN" in told:
                listens["http"] = told["INDELIBLE_LISTEN"]
            self.assertEqual(ports, {name: int(address.rsplit(":", 1)[1]) for name, address in listens.items()})
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                self.assertEqual(container[probe]["httpGet"]["port"], "ops")
            self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/livez", "which looks at no dependency")
            self.assertEqual(container["startupProbe"]["httpGet"]["path"], "/livez")
            self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/readyz")

    def test_budgets_policies_and_spreads_are_about_one_role(self):
        for manifests, manifest in self.each("PodDisruptionBudget", "NetworkPolicy"):
            spec = manifest["spec"]
            selector = spec.get("selector", spec.get("podSelector"))["matchLabels"]
            self.assertEqual(len(chosen(manifests, selector)), 1)
        for _, deployment in self.each("Deployment"):
            for spread in deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
                self.assertEqual(spread["labelSelector"], deployment["spec"]["selector"])

    def test_the_test_may_ask_every_role(self):
        for manifests, policy in self.each("NetworkPolicy"):
            (test,) = [pod["metadata"]["labels"] for pod in chosen(manifests, {"app.kubernetes.io/component": "test"})]
            asked = [rule for rule in policy["spec"]["ingress"] if [p["port"] for p in rule["ports"]] == ["ops"]]
            self.assertTrue(any(selects(peer.get("podSelector", {}).get("matchLabels", {"": ""}), test)
                                for rule in asked for peer in rule["from"]))
            self.assertTrue(all(rule["from"] for rule in policy["spec"]["ingress"]), "an empty list is everybody")

    def test_the_test_asks_the_service_of_each_role(self):
        for manifests, test in self.each("Pod"):
            services = {service["metadata"]["name"] for service in of_kind(manifests, "Service")}
            known = {f"$({name.upper().replace('-', '_')}_SERVICE_HOST)" for name in services if name.endswith("-ops")}
            asked = [environment(container)["INDELIBLE_OPS_LISTEN"] for container in test["spec"]["containers"]]
            # In brackets where it is an address of IPv6.
            self.assertEqual({address.removesuffix(":9090").strip("[]") for address in asked}, known)

    def test_one_scaler_at_most_and_then_no_replicas(self):
        for manifests, deployment in self.each("Deployment"):
            name = deployment["metadata"]["name"]
            scalers = [
                scaler for scaler in of_kind(manifests, "HorizontalPodAutoscaler", "ScaledObject")
                if scaler["spec"]["scaleTargetRef"]["name"] == name
            ]
            self.assertLessEqual(len(scalers), 1)
            self.assertEqual("replicas" in deployment["spec"], not scalers)
        for manifests, scaler in self.each("HorizontalPodAutoscaler", "ScaledObject"):
            names = [deployment["metadata"]["name"] for deployment in of_kind(manifests, "Deployment")]
            self.assertIn(scaler["spec"]["scaleTargetRef"]["name"], names)

    def test_a_monitor_finds_each_pod_once(self):
        for manifests, monitor in self.each("ServiceMonitor", "PodMonitor"):
            selector = monitor["spec"]["selector"]["matchLabels"]
            (endpoint,) = monitor["spec"].get("endpoints", []) + monitor["spec"].get("podMetricsEndpoints", [])
            if monitor["kind"] == "ServiceMonitor":
                found = [
                    port["targetPort"] for service in of_kind(manifests, "Service")
                    if selects(selector, service["metadata"]["labels"])
                    for port in service["spec"]["ports"] if port["name"] == endpoint["port"]
                ]
            else:
                containers = [c for pod in chosen(manifests, selector) for c in pod["spec"]["containers"]]
                ports = [port["name"] for container in containers for port in container.get("ports", [])]
                found = [port for port in ports if port == endpoint["port"]]
            self.assertEqual(found, ["ops"] * len(of_kind(manifests, "Deployment")))
            jobs = [rule["replacement"] for rule in endpoint["relabelings"] if rule["targetLabel"] == "job"]
            self.assertEqual(len(jobs), 1)
            self.assertRegex(jobs[0], "indelible", "alerts find the program by its name in the job")

    def test_the_ingress_leads_to_the_api(self):
        for manifests, ingress in self.each("Ingress"):
            services = {
                service["metadata"]["name"]: [port["name"] for port in service["spec"]["ports"]]
                for service in of_kind(manifests, "Service")
            }
            for rule in ingress["spec"]["rules"]:
                backend = rule["http"]["paths"][0]["backend"]["service"]
                self.assertEqual(services[backend["name"]], ["http"], "and never to the ops port")

    def test_what_is_mounted_is_there_and_what_is_read_is_mounted(self):
        for manifests, deployment in self.each("Deployment"):
            pod = deployment["spec"]["template"]["spec"]
            volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
            maps = {m["metadata"]["name"]: m["data"] for m in of_kind(manifests, "ConfigMap")}
            (container,) = pod["containers"]
            mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container.get("volumeMounts", [])}
            self.assertEqual(len(mounts), len(volumes))
            told = environment(container)
            paths = [value for value in told.values() if value and value.startswith("/etc/indelible/")]
            properties = told.get("INDELIBLE_KAFKA_PROPERTIES", "").split(",")
            paths += [p.split("=", 1)[1] for p in properties if "=/etc/indelible/" in p]
            for path in paths:
                folder, name = path.rsplit("/", 1)
                volume = mounts[folder]
                if "configMap" in volume:
                    self.assertIn(name, maps[volume["configMap"]["name"]])

    def test_a_variable_is_there_before_what_it_is_a_part_of(self):
        for _, deployment in self.each("Deployment"):
            (container,) = deployment["spec"]["template"]["spec"]["containers"]
            names = [entry["name"] for entry in container["env"]]
            self.assertEqual(len(names), len(set(names)), "the last of two would win")
            for place, entry in enumerate(container["env"]):
                for part in (entry.get("value") or "").split("$(")[1:]:
                    self.assertIn(part.split(")")[0], names[:place])
