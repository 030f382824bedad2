"""What is deployed: the files agree with each other and with the gateway, hold no secret, and their command runs.

Images are not built here. The image's command is run as the image runs it: by its entrypoint, as another user than
root, with nothing to write to but the data and the temporary folder.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from local_server import free_port

from polyport_gateway import config as configs, health

DEPLOY = Path(__file__).parent.parent / "deploy"
COMPOSE, KUBERNETES = DEPLOY / "compose", DEPLOY / "kubernetes"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
YAML = sorted(DEPLOY.rglob("*.yaml"))
MANIFESTS = [path for path in YAML if path.parent == KUBERNETES and path.stem not in ("config", "kustomization")]
USER = 10001


def documents(path: Path) -> list[Any]:
    """What a YAML file holds."""
    return list(yaml.safe_load_all(path.read_text()))


def manifest(kind: str) -> Any:
    """The manifest of a kind; the first one, where there are several."""
    return next(one for path in MANIFESTS for one in documents(path) if one["kind"] == kind)


STATEFUL = manifest("StatefulSet")["spec"]
POD = STATEFUL["template"]["spec"]
CONTAINER = POD["containers"][0]
SERVICES = documents(COMPOSE / "compose.yaml")[0]["services"]


def asked_for(path: Path) -> set[str]:
    """The environment variables that a configuration asks for."""
    return set(re.findall(r"os\.environ/(\w+)", path.read_text()))


def instruction(name: str) -> list[str]:
    """What the Dockerfile's last instruction of a name says, in its JSON form."""
    return list(yaml.safe_load(re.findall(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1]))


# --- the image ---


def test_the_image_has_every_plugin_but_local_models():
    """With extras that are there, so that identities of clouds, guardrails and secret managers need no other image."""
    named = dict(
        re.findall(r"([\w-]+)(?:\[([\w,]+)\])?", re.search(r'^ARG PLUGINS="(.*)"$', DOCKERFILE, re.MULTILINE)[1])
    )
    folders = {path.parent.name for path in DEPLOY.parent.parent.glob("*/pyproject.toml")}
    assert named.keys() == folders - {"gateway", "local"}
    for folder, extras in named.items():
        project = tomllib.loads((DEPLOY.parent.parent / folder / "pyproject.toml").read_text())["project"]
        assert set(extras.split(",")) - {""} <= project.get("optional-dependencies", {}).keys()
    assert {name for name, extras in named.items() if extras} >= {"azure", "bedrock", "guardrails", "secrets", "vertex"}


def test_the_first_process_is_one_that_passes_signals_on():
    """Another one would not hear of SIGTERM while the gateway starts."""
    assert instruction("ENTRYPOINT") == ["tini", "--", "polyport-entrypoint"]
    assert re.search(r"apt-get install [^\n]*\btini\b", DOCKERFILE)
    assert "command" not in CONTAINER
    assert "entrypoint" not in SERVICES["gateway"]


# --- the configuration ---


@pytest.mark.parametrize("folder", [COMPOSE, KUBERNETES], ids=lambda folder: folder.name)
def test_the_example_configuration_loads_and_leads_to_models(folder, monkeypatch):
    """With what it asks for in the environment; and by strict rules, so that no name in it is a wrong one."""
    pytest.importorskip("polyport_anthropic")
    for name in asked_for(folder / "config.yaml"):
        monkeypatch.setenv(name, "sk-1234567890abcdef")
    loaded = configs.load(folder / "config.yaml")
    assert configs.check(loaded) == ["gpt: openai/gpt-4.1", "claude: anthropic/claude-sonnet-4-6"]
    assert loaded.notes == []
    assert loaded.general.given.keys() <= configs.GENERAL.keys()


def test_what_the_configurations_ask_for_is_given():
    """By compose's secrets, and by the keys of the example of a Secret, which have no values."""
    assert asked_for(COMPOSE / "config.yaml") == set(SERVICES["gateway"]["secrets"])
    example = documents(KUBERNETES / "secret.example.yaml")[0]["stringData"]
    assert asked_for(KUBERNETES / "config.yaml") == example.keys()
    assert set(example.values()) == {""}
    assert CONTAINER["envFrom"] == [{"secretRef": {"name": manifest("Secret")["metadata"]["name"]}}]


def test_no_file_holds_a_secret():
    """No default password, no key; compose takes every secret from a file of its own."""
    named = re.compile(r"(?i)(\w*(?:password|_key|token|secret))\s*[:=]\s*(.*)")
    from_elsewhere = ("os.environ/", "$", "/run/secrets/", "{file: ./secrets/", "[", "false")
    for path in (path for path in DEPLOY.rglob("*") if path.is_file()):
        assert not re.search(r"sk-\w{8}", path.read_text()), path.name
        for name, value in named.findall(path.read_text()) if path.suffix != ".md" else ():
            held = value.split("  #")[0].strip("\"' ")
            assert held == "" or held.startswith(from_elsewhere), (path.name, name)
    secrets = documents(COMPOSE / "compose.yaml")[0]["secrets"]
    assert secrets == {name: {"file": f"./secrets/{name}"} for name in secrets}
    assert {name for one in SERVICES.values() for name in one["secrets"]} == secrets.keys()


# --- one port, one user, one folder ---


def test_the_files_agree_on_ports_and_paths():
    """Of the image, of compose, and of the cluster, with what the gateway is told."""
    command = instruction("CMD")
    assert CONTAINER["args"] == command
    port = int(command[command.index("--port") + 1])
    assert f"EXPOSE {port}\n" in DOCKERFILE
    assert [one["containerPort"] for one in CONTAINER["ports"]] == [port]
    assert SERVICES["gateway"]["ports"][0].endswith(f":{port}")
    assert f'"{port}"' in (DEPLOY / "ready.py").read_text()
    mounts = {one["name"]: one["mountPath"] for one in CONTAINER["volumeMounts"]}
    assert Path(command[command.index("--config") + 1]).parent == Path(mounts["config"])
    data = mounts["data"]
    for folder in (COMPOSE, KUBERNETES):
        assert documents(folder / "config.yaml")[0]["general_settings"]["data_dir"] == data
    assert f"VOLUME {data}\n" in DOCKERFILE
    assert f"journal:{data}" in SERVICES["gateway"]["volumes"]
    assert any(one.startswith("/tmp") for one in SERVICES["gateway"]["tmpfs"])
    assert mounts["tmp"] == "/tmp"


def test_nobody_is_root_and_nothing_but_the_data_is_written():
    """In the image, in compose and in the cluster, by the same number."""
    assert f"USER {USER}:{USER}\n" in DOCKERFILE
    assert POD["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER}.items()
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert SERVICES["gateway"]["read_only"] is True
    assert SERVICES["gateway"]["cap_drop"] == ["ALL"]


def test_the_journal_is_on_a_claim_of_each_replicas_own():
    """An emptyDir would go with its pod, and with it what was acknowledged and not yet in the database."""
    claims = [one["metadata"]["name"] for one in STATEFUL["volumeClaimTemplates"]]
    assert claims == ["data"]
    assert "data" not in [one["name"] for one in POD["volumes"]]
    assert STATEFUL["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_probes_ask_what_the_gateway_answers():
    """Alive is asked of a process that drains, ready is not so then."""
    paths = {name: CONTAINER[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths["startupProbe"] in health.ALIVE
    assert paths["livenessProbe"] in health.ALIVE
    assert paths["readinessProbe"] in health.READY
    assert re.findall(r'"GET", "(.*?)"', (DEPLOY / "ready.py").read_text())[0] in health.READY


def test_calls_have_the_time_to_finish():
    """The pause before SIGTERM, `drain_seconds`, and some for the journal."""
    pause = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = documents(KUBERNETES / "config.yaml")[0]["general_settings"]["drain_seconds"]
    assert POD["terminationGracePeriodSeconds"] >= pause + drain + 10
    drain = documents(COMPOSE / "config.yaml")[0]["general_settings"]["drain_seconds"]
    assert int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) >= drain + 10


# --- the cluster ---


def test_manifests_name_each_other_rightly():
    """Selectors select the pods, the autoscaler and the disruption budget are of the set."""
    labels = STATEFUL["template"]["metadata"]["labels"]
    assert STATEFUL["selector"]["matchLabels"] == labels
    services = {one["metadata"]["name"]: one["spec"] for one in documents(KUBERNETES / "service.yaml")}
    assert all(one["selector"] == labels for one in services.values())
    assert services[STATEFUL["serviceName"]]["clusterIP"] == "None"
    ports = {one["name"] for one in CONTAINER["ports"]}
    assert {one["targetPort"] for spec in services.values() for one in spec["ports"]} <= ports
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    target = manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("StatefulSet", manifest("StatefulSet")["metadata"]["name"])
    assert POD["serviceAccountName"] == manifest("ServiceAccount")["metadata"]["name"]
    assert manifest("HorizontalPodAutoscaler")["spec"]["minReplicas"] >= 2
    named = documents(KUBERNETES / "kustomization.yaml")[0]
    assert {path.name for path in MANIFESTS} == {*named["resources"], "secret.example.yaml"}
    assert [one["name"] for one in named["images"]] == [CONTAINER["image"]]
    assert named["configMapGenerator"][0]["name"] == POD["volumes"][0]["configMap"]["name"]


def wrong(value: Any, kind: str, at: str, models: Any) -> Iterator[str]:
    """What of a value is not of a type of Kubernetes' API, by its official client's models."""
    inner = re.fullmatch(r"list\[(.+)\]|dict[(\[]str, (.+)[)\]]", kind, re.IGNORECASE)
    if inner is not None:
        if not isinstance(value, dict if inner[2] else list):
            yield f"{at} is no {kind}"
            return
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for name, one in parts:
            yield from wrong(one, inner[1] or inner[2], f"{at}[{name}]", models)
    elif hasattr(models, kind):
        model = getattr(models, kind)
        known = {outer: name for name, outer in model.attribute_map.items()}
        for name, one in value.items():
            if name in known:
                yield from wrong(one, model.openapi_types[known[name]], f"{at}.{name}", models)
            else:
                yield f"{at}.{name} is no field of {kind}"
        given = {known[name]: one for name, one in value.items() if name in known}
        try:
            model(**given)
        except ValueError as error:
            yield f"{at}: {error}"
    else:
        types = {"str": str, "int": int, "bool": bool, "object": (str, int)}[kind]
        if not isinstance(value, types) or (kind == "int" and isinstance(value, bool)):
            yield f"{at} is {value!r}, and no {kind}"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_are_of_kubernetes_api(path):
    """Every field is one of the API's, of its type, and what must be there is."""
    models = pytest.importorskip("kubernetes.client.models", reason="the kubernetes package is not installed")
    for one in documents(path):
        group, _, version = one["apiVersion"].rpartition("/")
        kind = f"{version[:1].upper()}{version[1:]}{one['kind']}"
        assert group in ("", "apps", "policy", "autoscaling", "networking.k8s.io")
        assert list(wrong(one, kind, one["kind"], models)) == []


def test_a_wrong_manifest_is_seen():
    """By the test above: a name that the API does not know, a type that is another, what is missing."""
    models = pytest.importorskip("kubernetes.client.models", reason="the kubernetes package is not installed")
    spec = {**POD, "containers": [{**CONTAINER, "port": 1, "args": "serve"}]}
    told = list(wrong(spec, "V1PodSpec", "spec", models))
    assert "spec.containers[0].port is no field of V1Container" in told
    assert any(one.startswith("spec.containers[0].args is no ") for one in told)
    assert any("containers" in one for one in wrong({}, "V1PodSpec", "spec", models))


def test_kustomize_builds_it():
    """With the configuration in its map, the image named, and no secret."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}
    assert "Secret" not in built
    assert yaml.safe_load(built["ConfigMap"]["data"]["config.yaml"]) == documents(KUBERNETES / "config.yaml")[0]
    assert built["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]["image"].startswith(
        "registry.example.com/"
    )
    assert all(one["metadata"].get("namespace") == "polyport" for kind, one in built.items() if kind != "Namespace")


# --- scripts ---


def entrypoint(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the image's entrypoint over a folder of secrets; what it starts prints two of them."""
    show = [sys.executable, "-c", "import os; print(repr((os.environ.get('MASTER_KEY'), os.environ.get('A-B'))))"]
    return subprocess.run(
        [DEPLOY / "entrypoint.sh", *show],
        env={"PATH": os.environ["PATH"], "SECRETS_DIR": str(folder), **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("value", ["sk-1", 'it\'s "$HOME" `id` \\n $(id)', "two\nlines"])
def test_a_file_is_an_environment_variable_of_its_name(tmp_path, value):
    """Whatever stands in it; what is no name is passed over, and a variable that is set wins."""
    (tmp_path / "MASTER_KEY").write_text(f"{value}\n")
    (tmp_path / "A-B").write_text("x")
    (tmp_path / "folder").mkdir()
    assert entrypoint(tmp_path).stdout == f"{(value, None)!r}\n"
    assert entrypoint(tmp_path, MASTER_KEY="given").stdout == "('given', None)\n"
    assert entrypoint(tmp_path / "nowhere").stdout == "(None, None)\n"


def test_secrets_are_made_once_and_are_nobody_elses(tmp_path):
    """Random ones, that the addresses agree with; made again, they stay."""
    script = shutil.copy(COMPOSE / "make-secrets.sh", tmp_path)
    made = []
    for _ in range(2):
        subprocess.run([script], check=True, timeout=60)
        made.append({path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()})
    assert made[0] == made[1]
    by_hand = {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}
    assert made[0].keys() | by_hand == documents(COMPOSE / "compose.yaml")[0]["secrets"].keys()
    assert re.fullmatch(r"sk-[0-9a-f]{48}", made[0]["MASTER_KEY"])
    assert f":{made[0]['POSTGRES_PASSWORD']}@postgres:5432/" in made[0]["DATABASE_URL"]
    assert f":{made[0]['REDIS_PASSWORD']}@redis:6379/" in made[0]["REDIS_URL"]
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert (
        re.search(r"postgresql://(\w+):", made[0]["DATABASE_URL"])[1]
        == SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    )


# --- the command, as the image runs it ---

#: In a mount namespace of its own: only two folders can be written to, and root's powers are gone.
AS_THE_IMAGE = """
set -e
mount --bind "$1" "$1"; mount --bind "$2" "$2"; mount -o remount,bind,ro /
shift 2
exec setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
"""


@pytest.fixture
def jail() -> Iterator[tuple[Path, list[str], dict[str, str]]]:
    """A folder with `data` and `tmp`, the command that runs another one as the image would, and its environment."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("root, unshare and setpriv are needed to run it as another user on a read-only root")
    folder = Path(tempfile.mkdtemp(prefix="polyport-deploy-"))
    try:
        folder.chmod(0o755)
        for name in ("data", "tmp"):
            (folder / name).mkdir()
            os.chown(folder / name, USER, USER)
        prefix = ["unshare", "-m", "sh", "-c", AS_THE_IMAGE, "sh", str(folder / "data"), str(folder / "tmp")]
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(one for one in sys.path if one),
            "TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1", "SECRETS_DIR": str(folder / "secrets"),
            "HOME": str(folder / "data"), "POLYPORT_TRANSPORT": "httpx",
        }  # fmt: skip
        yield folder, prefix, environment
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def python_for(prefix: list[str], environment: dict[str, str]) -> str:
    """A Python of this version that the other user may run: this one, or the system's."""
    for one in (sys.executable, f"/usr/bin/python3.{sys.version_info[1]}"):
        command = [*prefix, "env", one, "-c", "import msgspec"]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
        if done.returncode == 0:
            return one
    pytest.skip(f"no Python 3.{sys.version_info[1]} here can be run by uid {USER}: {done.stderr.decode()[-200:]}")


def test_the_images_command_serves_as_another_user_on_a_read_only_root(jail):
    """Ready by the image's own health check, keys are kept in the data folder, SIGTERM ends it well."""
    folder, prefix, environment = jail
    python = python_for(prefix, environment)
    shared = subprocess.run(
        [*prefix, "env", python, "-c", "import polyport_gateway.shared"],
        env=environment,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    for name in asked_for(COMPOSE / "config.yaml"):
        (folder / "secrets").mkdir(exist_ok=True)
        (folder / "secrets" / name).write_text("sk-1234567890abcdef")
    (folder / "secrets" / "DATABASE_URL").write_text(f"sqlite:///{folder}/data/gateway.db")
    (folder / "secrets" / "REDIS_URL").write_text("redis://127.0.0.1:1/0")
    port = str(free_port())
    config = (COMPOSE / "config.yaml").read_text().replace("/var/lib/polyport", f"{folder}/data")
    if shared.returncode:  # another Python than the one that packages were installed for may lack Redis's client
        config = config.replace("  redis_url: os.environ/REDIS_URL\n", "")
    (folder / "config.yaml").write_text(config)
    places = {"/etc/polyport/config.yaml": str(folder / "config.yaml"), "0.0.0.0": "127.0.0.1", "4000": port}
    _, *arguments = (places.get(one, one) for one in instruction("CMD"))
    command = [
        *prefix,
        str(DEPLOY / "entrypoint.sh"),
        python,
        "-c",
        "from polyport.cli import main; main()",
        *arguments,
    ]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, env=environment, cwd=folder, stderr=said, stdout=said)
    try:
        ready = [python, str(DEPLOY / "ready.py")]
        asking = {**environment, "POLYPORT_PORT": port}
        end = time.monotonic() + 90
        while (done := subprocess.run(ready, env=asking, capture_output=True, text=True, check=False)).returncode:
            assert process.poll() is None, (folder / "said").read_text()
            assert time.monotonic() < end, done.stderr
            time.sleep(0.2)
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/key/generate", b"{}",
            {"authorization": "Bearer sk-1234567890abcdef", "content-type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(asked, timeout=60) as reply:
            assert b'"key"' in reply.read()
        for path in (CONTAINER[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
                assert reply.status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    assert code == 0, (folder / "said").read_text()
    assert (folder / "data" / "gateway.db").stat().st_uid == USER
    assert (folder / "data" / "journal").stat().st_uid == USER
    assert "sk-1234567890abcdef" not in (folder / "said").read_text()


def test_that_root_is_read_only_there(jail):
    """So that the test above means what it says."""
    folder, prefix, environment = jail
    for place, code in ((folder / "data", 0), (folder, 1), (DEPLOY, 1)):
        command = [*prefix, "touch", f"{place}/.written"]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert bool(done.returncode) is bool(code), (place, done.stderr)
