"""The program itself, asked what settings it has and whether it takes those that a deployment gives it."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from deploy.chart import ROOT, environment, of_kind

PROGRAM = Path(os.environ.get("PROGRAM", ROOT / "target" / "debug" / "indelible"))
if not PROGRAM.exists():
    raise SystemExit(f"{PROGRAM} is missing: cargo build --locked --bin indelible")

# What the secrets that the value sets name might hold. The key is that of RFC 8037, appendix A.
SECRETS = {
    "indelible-redis": {"url": "rediss://metering:secret@redis:6379"},
    "indelible-kafka": {"password": r"a\,b=c"},
    "metering-kafka": {"properties": r"security.protocol=SASL_SSL,sasl.mechanism=PLAIN,sasl.password=a\,b"},
    "indelible-webhook": {"url": "https://hooks.example.com/metering", "secret": "sixteen bytes or more"},
    "indelible-api-keys": {"api-keys.toml": f"""
        [[key]]
        id = "abcdefghijkl"
        hash = "sha256:{'0f' * 32}"
        name = "dashboard"
        tenant = "acme"
        scopes = ["usage:read:tenant"]
    """},
    "indelible-jwt": {
        "jwks.json": '{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "1",'
                     ' "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}',
        "key.pem": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                   "-----END PUBLIC KEY-----\n",
    },
    "kafka-cluster-ca": {"ca.crt": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"},
    "redis-ca": {"ca.crt": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"},
}


def settings() -> set[str]:
    """Every variable that `serve` reads, by its own help."""
    told = subprocess.run([PROGRAM, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\[env:\s+([A-Z_]+)", told))


def check(variables: dict[str, str]) -> tuple[int, str]:
    """How `indelible config check` ends with these and no other variables, and what it says."""
    ended = subprocess.run([PROGRAM, "config", "check"], env=variables, capture_output=True, text=True, timeout=30)
    return ended.returncode, ended.stdout + ended.stderr


def check_container(manifests: list[dict], pod: dict) -> tuple[int, str]:
    """The same of a pod's first container, as Kubernetes would start it: secrets read, files mounted."""
    (container,) = pod["spec"]["containers"]
    with tempfile.TemporaryDirectory() as root:
        folders = {volume["name"]: _contents(manifests, volume) for volume in pod["spec"].get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            folder = Path(root + mount["mountPath"])
            folder.mkdir(parents=True)
            for name, text in folders[mount["name"]].items():
                (folder / name).write_text(text)
        return check({name: value.replace("/etc/indelible/", f"{root}/etc/indelible/")
                      for name, value in variables(container).items()})


def variables(container: dict) -> dict[str, str]:
    """With secrets, and each $(NAME) replaced by what stood before it."""
    known: dict[str, str] = {}
    sources = {entry["name"]: entry.get("valueFrom", {}).get("secretKeyRef") for entry in container["env"]}
    for name, value in environment(container).items():
        if value is None:
            value = SECRETS[sources[name]["name"]][sources[name]["key"]]
        else:
            value = re.sub(r"\$\$\(|\$\(([A-Z_]+)\)", lambda m: "$(" if m[1] is None else known.get(m[1], m[0]), value)
        known[name] = value
    return known


def _contents(manifests: list[dict], volume: dict) -> dict[str, str]:
    if "secret" in volume:
        return SECRETS[volume["secret"]["secretName"]]
    if "configMap" in volume:
        maps = {manifest["metadata"]["name"]: manifest["data"] for manifest in of_kind(manifests, "ConfigMap")}
        return maps[volume["configMap"]["name"]]
    return {}
