"""People sign in with the name and password of a directory: a real slapd on this machine, with and without TLS."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st

from polyport.errors import BadRequestError
from polyport_gateway import config, management as manage
from polyport_gateway.gate import GateError
from polyport_gateway.identity import MASTER
from polyport_gateway.keeper import Keeper
from polyport_gateway.signon import door

pytest.importorskip("ldap", reason="python-ldap is not installed: uv sync --group ldap")
pytest.importorskip("signing_on")
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from local_server import free_port
from signing_on import run

from polyport_gateway.signon import lookup
from polyport_gateway.signon.directory import Directory, possible
from polyport_gateway.signon.questions import Told
from polyport_gateway.signon.settings import LdapRules

SLAPD = Path("/usr/sbin/slapd")
pytestmark = pytest.mark.skipif(not SLAPD.exists(), reason="slapd is not installed: apt-get install slapd")

CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
database mdb
suffix dc=example,dc=com
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=gateway,dc=example,dc=com" read by * none
"""
DATA = """
dn: dc=example,dc=com
objectClass: domain
dc: example

dn: cn=gateway,dc=example,dc=com
objectClass: person
cn: gateway
sn: gateway
userPassword: gateway-secret

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: uid=anna,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: anna
cn: Anna A.
sn: A.
mail: anna@example.com
userPassword: anna-secret

dn: uid=bob (x*)\\2C,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob (x*),
cn: Bob
sn: B.
userPassword: bob-secret

dn: uid=twin,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: twin
cn: One
sn: T.
userPassword: twin-secret

dn: cn=other,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: twin
cn: other
sn: T.
userPassword: twin-secret

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: cn=operators,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: operators
member: uid=anna,ou=people,dc=example,dc=com

dn: cn=lab,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: lab
member: uid=anna,ou=people,dc=example,dc=com
member: uid=bob (x*)\\2C,ou=people,dc=example,dc=com
"""


class Slapd:
    """A directory server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.tls_port = folder, free_port(), free_port()
        (folder / "data").mkdir()
        self.certify("ca", "server")
        self.certify("wrong_ca", "unused")
        (folder / "slapd.conf").write_text(CONF.format(folder=folder))
        (folder / "data.ldif").write_text(DATA)
        conf = ["-f", str(folder / "slapd.conf")]
        subprocess.run(["/usr/sbin/slapadd", *conf, "-l", str(folder / "data.ldif")], check=True, capture_output=True)
        urls = f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/"
        self.process = subprocess.Popen([str(SLAPD), *conf, "-h", urls, "-d", "0"], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while not self.listens():
            assert (self.process.poll(), time.monotonic() < end) == (None, True)
            time.sleep(0.05)

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.tls_port), 1).close()
        except OSError:
            return False
        return True

    def certify(self, authority: str, name: str) -> None:
        """Make an authority, and a certificate of it for this machine."""
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, authority)])
        named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        for file, subject, whose, ends in ((authority, ca, ca_key, False), (name, named, key, True)):
            now = datetime.datetime.now(datetime.UTC)
            made = x509.CertificateBuilder().subject_name(subject).issuer_name(ca).public_key(whose.public_key())
            made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            made = made.not_valid_after(now + datetime.timedelta(days=1))
            made = made.add_extension(x509.BasicConstraints(ca=not ends, path_length=None), critical=True)
            if ends:
                address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
                made = made.add_extension(x509.SubjectAlternativeName([address]), critical=False)
            pem = made.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)
            (self.folder / f"{file}.pem").write_bytes(pem)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{name}.key").write_bytes(secret)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """The directory."""
    server = Slapd(tmp_path_factory.mktemp("slapd"))
    yield server
    server.close()


def rules_of(slapd: Slapd, **rules: Any) -> dict[str, Any]:
    """Return the setting of a gateway whose people are in the directory."""
    known = {
        "id": "directory", "servers": [f"ldaps://127.0.0.1:{slapd.tls_port}"], "ca_file": str(slapd.folder / "ca.pem"),
        "bind_dn": "cn=gateway,dc=example,dc=com", "bind_password": "gateway-secret",
        "base_dn": "ou=people,dc=example,dc=com", "group_base_dn": "ou=groups,dc=example,dc=com",
    }  # fmt: skip
    return known | rules


async def sign_in(client: httpx.AsyncClient, username: Any, password: Any, **more: Any) -> tuple[int, Any]:
    """Try to sign in; return the status, and the code of the refusal or what is told."""
    reply = await client.post("/auth/login", json={"username": username, "password": password, **more})
    told = reply.json()
    return reply.status_code, told["error"]["code"] if "error" in told else told


def test_somebody_signs_in_and_has_the_role_and_teams_of_its_groups(tmp_path: Path, slapd: Slapd) -> None:
    """A user is made by it; wrong passwords and unknown names get the same answer, as slowly."""
    rules = rules_of(
        slapd, title="Our directory", roles={"operators": "admin"}, teams={"lab": "lab-team"}, create_teams=True
    )

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        told = (await client.get("/auth/session")).json()
        assert told["providers"] == [{"id": "directory", "kind": "ldap", "title": "Our directory"}]
        answers = []
        for name, password in (("anna", "wrong"), ("nobody", "wrong"), ("anna", ""), ("twin", "twin-secret")):
            start = time.monotonic()
            reply = await client.post("/auth/login", json={"username": name, "password": password})
            assert time.monotonic() - start >= door.FLOOR
            answers.append((reply.status_code, reply.json()))
        assert answers.count(answers[0]) == len(answers)
        assert (answers[0][0], answers[0][1]["error"]["code"]) == (401, "invalid_credentials")
        status, told = await sign_in(client, "anna", "anna-secret", provider="directory")
        assert (status, told["name"], told["role"], told["team_id"]) == (200, "Anna A.", "admin", "lab-team")
        assert "polyport_session" in client.cookies
        shown = await manage.info(keeper.store, MASTER, "user", {"user_id": "anna"})
        assert shown["user_email"] == "anna@example.com"
        status, told = await sign_in(client, "bob (x*),", "bob-secret")
        assert (status, told["role"], told["team_id"]) == (200, "member", "lab-team")
        changes = (await manage.audit_log(keeper.store, MASTER, {}))["changes"]
        failed = [one for one in changes if one["action"] == "sign_in_failed"]
        assert {one["entity_id"] for one in failed} == {"anna", "nobody", "twin"}
        assert "secret" not in json.dumps(changes)

    run(tmp_path, test, ldap=[rules])


INJECTED = [
    "*", "a*", "anna)(uid=*", "anna)(|(uid=*", "*)(objectClass=*", "anna\\", "anna\\2a", "\\61nna", "anna\0", "(anna)",
    "uid=anna,ou=people,dc=example,dc=com", "anna)(&(objectClass=*)", "anna&", "an|na", "\u00e9*", "x" * 300, "",
]  # fmt: skip


async def refused(directory: Directory, slapd: Slapd, name: str, password: str) -> bool:
    """Whether nobody is let in: by the one answer that there is, where a server is asked at all."""
    if possible(name) and possible(password):
        return lookup.answer(directory.question(directory.rules.servers[0], name, password)) == Told(problem="wrong")
    with pytest.raises(GateError) as error:
        await directory.person(name, password)
    return error.value.code == "invalid_credentials"


@pytest.mark.parametrize("password", ["anna-secret", "gateway-secret"])
def test_a_name_is_no_filter(slapd: Slapd, password: str) -> None:
    """Whatever is written for a name finds nobody but who is called so."""
    directory = Directory(LdapRules(**rules_of(slapd)))

    async def main() -> None:
        for name in INJECTED:
            assert await refused(directory, slapd, name, password), name
        assert await refused(directory, slapd, "anna", "anna-secret") is False

    asyncio.run(main())


def test_no_name_and_no_password_makes_it_fail_or_lets_anybody_in(slapd: Slapd) -> None:
    """Garbage gets the one answer that there is."""
    asked: list[tuple[str, str]] = []
    pieces = st.sampled_from(["*", "(", ")", "\\", "|", "&", "=", "anna", "uid", "\0", "\u00fc", " ", ",", "\ud800"])
    names = st.lists(pieces, max_size=6).map("".join)

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(names, names)
    def collect(name: str, password: str) -> None:
        asked.append((name, password))

    collect()
    directory = Directory(LdapRules(**rules_of(slapd)))

    async def main() -> None:
        for name, password in asked:
            assert await refused(directory, slapd, name, password), (name, password)

    asyncio.run(main())


WAYS: list[tuple[dict[str, Any], int]] = [
    ({}, 200),
    ({"servers": ["ldap://127.0.0.1:{port}"], "start_tls": True}, 200),
    ({"servers": ["ldap://127.0.0.1:{port}"]}, 200),
    ({"servers": ["ldaps://127.0.0.1:{closed}", "ldaps://127.0.0.1:{tls_port}"]}, 200),
    ({"servers": ["ldaps://127.0.0.1:{silent}", "ldaps://127.0.0.1:{tls_port}"], "timeout": 2}, 200),
    ({"servers": ["ldaps://127.0.0.1:{closed}"]}, 503),
    ({"ca_file": "{folder}/wrong_ca.pem"}, 503),
    ({"servers": ["ldap://127.0.0.1:{port}"], "start_tls": True, "ca_file": "{folder}/wrong_ca.pem"}, 503),
    ({"servers": ["ldaps://localhost:{tls_port}"]}, 503),  # its certificate is for 127.0.0.1
    ({"bind_password": "wrong"}, 502),
    ({"bind_dn": None, "bind_password": None}, 502),
    ({"base_dn": "ou=nowhere,dc=example,dc=com"}, 502),
    ({"user_filter": "(&(uid={username})(objectClass=inetOrgPerson))"}, 200),
    ({"user_filter": "(mail={username})"}, 401),
    ({"id_attribute": "employeeNumber"}, 403),
    ({"create_users": False}, 403),
    ({"allowed_domains": ["example.org"]}, 403),
    ({"roles": {"others": "admin"}, "default_role": None}, 403),
]


@pytest.mark.parametrize(("rules", "expected"), WAYS)
def test_how_a_directory_is_asked(tmp_path: Path, slapd: Slapd, rules: dict[str, Any], expected: int) -> None:
    """TLS from the start or later, the next server where one is away, and what is wrong told without a secret."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        places = {"port": slapd.port, "tls_port": slapd.tls_port, "closed": free_port(), "folder": slapd.folder}
        text = json.dumps(rules)
        for name, value in {**places, "silent": silent.getsockname()[1]}.items():
            text = text.replace(f"{{{name}}}", str(value))

        async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
            reply = await client.post("/auth/login", json={"username": "anna", "password": "anna-secret"})
            assert reply.status_code == expected, reply.text
            assert "secret" not in reply.text

        run(tmp_path, test, ldap=[rules_of(slapd, **json.loads(text))])


def test_guessing_is_limited_by_name(tmp_path: Path, slapd: Slapd) -> None:
    """From wherever it comes, in whatever case; another name is not touched by it."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        now = keeper.clock()
        keeper.clock = lambda: now  # on a slow machine, too, all of it is within a minute
        for at in range(door.PER_NAME):
            assert (await sign_in(client, "anna" if at % 2 else "ANNA", ""))[0] == 401
        assert await sign_in(client, "anna", "anna-secret") == (429, "too_many_attempts")
        assert (await sign_in(client, "bob (x*),", "bob-secret"))[0] == 200

    run(tmp_path, test, ldap=[rules_of(slapd)])


def test_with_several_directories_one_is_named(tmp_path: Path, slapd: Slapd) -> None:
    """A password goes to no other; and without any, a key is what signs in."""

    async def test(client: httpx.AsyncClient, keeper: Keeper) -> None:
        assert (await sign_in(client, "anna", "anna-secret"))[0] == 400
        assert (await sign_in(client, "anna", "anna-secret", provider="third"))[0] == 400
        assert (await sign_in(client, "anna", "anna-secret", provider="second"))[0] == 200
        assert (await sign_in(client, "anna", "anna-secret", provider="directory"))[0] == 403  # another's user

    async def none(client: httpx.AsyncClient, keeper: Keeper) -> None:
        assert (await sign_in(client, "anna", "anna-secret"))[0] == 400

    run(tmp_path, test, ldap=[rules_of(slapd), rules_of(slapd, id="second")])
    run(tmp_path, none)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bind_pasword": "x"}, "did you mean 'bind_password'"),
        ({"servers": []}, "servers is empty"),
        ({"servers": ["ldap://ldap.example.com"]}, "with start_tls"),
        ({"servers": ["https://ldap.example.com"]}, "are ldaps"),
        ({"user_filter": "(uid=%s)"}, "user_filter is a filter"),
        ({"user_filter": "(uid={username}"}, "user_filter is a filter"),
        ({"bind_password": ""}, "bind_password is missing"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file is no file"),
        ({"default_role": None}, "roles must say"),
        ({"timeout": "long"}, r"ldap\[0\].timeout"),
    ],
)
def test_a_directory_that_cannot_be_used_is_refused_by_its_place(wrong: dict[str, Any], said: str) -> None:
    """When the configuration is read, without the password."""
    rules = {"id": "a", "servers": ["ldaps://ldap.example.com"], "base_dn": "dc=example,dc=com", "bind_dn": "cn=x",
             "bind_password": "very-secret"}  # fmt: skip
    models = [{"model_name": "gpt", "params": {"model": "openai/gpt-4o"}}]
    with pytest.raises(BadRequestError, match=said) as error:
        config.read({"model_list": models, "general_settings": {"ldap": [rules | wrong]}})
    assert "very-secret" not in str(error.value)


def test_the_example_of_the_readme_is_a_configuration(tmp_path: Path) -> None:
    """As it stands there, with secrets from the environment and an authority's file that is there."""
    text = (Path(__file__).parents[1] / "README.md").read_text()
    signing_in = text.partition("## Signing in")[2]
    example = signing_in.partition("```yaml\ngeneral_settings:")[2].partition("```")[0]
    authority = tmp_path / "company.pem"
    authority.touch()
    example = example.replace("/etc/ssl/company.pem", str(authority))
    secrets = dict.fromkeys(["MASTER_KEY", "SESSION_SECRET", "OIDC_SECRET", "LDAP_PASSWORD"], "x" * 20)
    models = [{"model_name": "gpt", "params": {"model": "openai/gpt-4o"}}]
    general = yaml.safe_load(f"general_settings:{example}")
    found = config.read({"model_list": models, "environment_variables": secrets, **general})
    assert {"sso", "ldap", "jwt_auth", "session_secret"} <= found.general.given.keys()
