"""The restricted profile of the Pod Security Standards, and what we ask of a pod beyond it. Pure.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}
SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROFILES = {"RuntimeDefault", "Localhost"}


def faults(pod: dict) -> list[str]:
    """What the profile, or we, would refuse of a pod's {metadata, spec}."""
    spec = pod["spec"]
    of_pod = spec.get("securityContext") or {}
    found = list(_of_pod(spec, of_pod))
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or []:
            found += (f"{container['name']}: {fault}" for fault in _of_container(container, of_pod))
    return found


def _of_pod(spec: dict, context: dict):
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"{name} is on"
    for volume in spec.get("volumes") or []:
        for kind in set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    for sysctl in context.get("sysctls") or []:
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    yield from _of_both(context)
    if spec.get("automountServiceAccountToken") is not False:
        yield "a token of the cluster's API is mounted"


def _of_container(container: dict, of_pod: dict):
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "is privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "may escalate its privileges"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield "does not drop all capabilities"
    for added in set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f"adds the capability {added}"
    if context.get("procMount", "Default") != "Default":
        yield "has another procMount"
    if not context.get("runAsNonRoot", of_pod.get("runAsNonRoot")):
        yield "may run as root"
    if (context.get("seccompProfile") or of_pod.get("seccompProfile") or {}).get("type") not in PROFILES:
        yield "has no seccomp profile"
    yield from _of_both(context)
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield f"takes the node's port {port['hostPort']}"
    yield from _hosts_asked(container)
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root filesystem"
    resources = container.get("resources") or {}
    if "memory" not in (resources.get("limits") or {}):
        yield "has no limit of memory"
    if not {"cpu", "memory"} <= set(resources.get("requests") or {}):
        yield "does not request cpu and memory"


def _of_both(context: dict):
    """What a pod's and a container's context have in common."""
    if context.get("runAsUser") == 0:
        yield "runs as user 0"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "is a process of the host"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "has SELinux options of its own"
    for profile in ("seccompProfile", "appArmorProfile"):
        if (context.get(profile) or {}).get("type", "RuntimeDefault") not in PROFILES:
            yield f"{profile} is {context[profile]['type']}"


def _hosts_asked(container: dict):
    """A probe or hook that names a host lets the node ask another machine."""
    hooks = container.get("lifecycle") or {}
    asked = {name: container.get(name) for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    for name, probe in {**asked, "postStart": hooks.get("postStart"), "preStop": hooks.get("preStop")}.items():
        for kind in ("httpGet", "tcpSocket"):
            if ((probe or {}).get(kind) or {}).get("host"):
                yield f"{name} asks another host"
