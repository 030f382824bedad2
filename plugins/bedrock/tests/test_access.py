"""Who signs, and where requests go: keys, access keys, profiles, roles; regions, ARNs, endpoints."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import pytest
from local_server import LocalServer

from polyport import Client, errors
from polyport.testing import Wire
from polyport_bedrock.access import BEARER_ENV

HI: dict[str, Any] = {"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": "end_turn"}
ASK = [{"role": "user", "content": "x"}]
NOVA = "bedrock/amazon.nova-lite-v1:0"
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "s3cr3t/+"}
ENV = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "env/s3cr3t", "AWS_SESSION_TOKEN": "env+token="}


def sent(model: str = NOVA, env: dict[str, str] | None = None, key: str | None = None, **params: Any) -> Any:
    """Return the request that a chat call sends, in an environment that holds `env` only."""
    wire = Wire(HI)
    with Client(http=wire, api_key=key, num_retries=0, secrets=(env or {}).get) as asked:
        asked.completion(model, ASK, **params)
    return wire.requests[-1]


def credential(request: Any) -> str:
    """Return the credential that a request was signed with."""
    return request.headers["authorization"].partition("Credential=")[2].partition(",")[0]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """Botocore finds nothing on this machine, and asks nobody on its network."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def test_a_key_of_bedrocks_is_a_bearer_token():
    """Given or in the environment; a line break at its end is taken off."""
    assert sent(key="bedrock-key").headers["authorization"] == "Bearer bedrock-key"
    assert sent(env={BEARER_ENV: "env-key\n"}).headers["authorization"] == "Bearer env-key"


def test_access_keys_sign():
    """Given ones before everything, those of the environment behind a key; a session token goes along."""
    given = sent(env={BEARER_ENV: "k", **ENV}, key="k", **KEYS, aws_session_token="t+k=", aws_region_name="eu-west-3")
    assert credential(given).startswith("AKIAEXAMPLE/")
    assert credential(given).endswith("/eu-west-3/bedrock/aws4_request")
    assert given.headers["x-amz-security-token"] == "t+k="
    assert given.json == {"messages": [{"role": "user", "content": [{"text": "x"}]}]}
    found = sent(env=ENV)
    assert credential(found).startswith("AKIAENV/")
    assert found.headers["x-amz-security-token"] == "env+token="
    assert sent(env={BEARER_ENV: "k", **ENV}).headers["authorization"] == "Bearer k"


def test_half_a_pair_of_keys_is_an_error():
    """Which half is missing is said."""
    with pytest.raises(errors.AuthenticationError, match="aws_secret_access_key is not"):
        sent(aws_access_key_id="AKIAEXAMPLE")


def test_without_credentials_the_error_says_what_to_do():
    """Nothing is sent."""
    pytest.importorskip("botocore")
    with pytest.raises(errors.AuthenticationError, match=rf"{BEARER_ENV}.*aws_access_key_id"):
        sent()


WITHOUT = """
import sys
sys.modules["botocore"] = None
from polyport import Client, errors
from polyport.testing import Wire
keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s"}
wire = Wire({"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": "end_turn"})
with Client(http=wire, num_retries=0, secrets=lambda _: None) as asked:
    asked.completion("bedrock/amazon.nova-lite-v1:0", [{"role": "user", "content": "x"}], **keys)
    try:
        asked.completion("bedrock/amazon.nova-lite-v1:0", [{"role": "user", "content": "x"}])
    except errors.AuthenticationError as error:
        print(len(wire.requests), error.message)
"""


def test_keys_need_no_botocore_and_its_chain_says_that_it_does():
    """Static keys are signed with by ourselves; for the rest the extra is named."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1 No credentials for AWS.")
    assert "pip install 'polyport-bedrock[aws]'" in done.stdout


def test_no_secret_is_shown_in_an_error():
    """Neither the secret key nor the token, whatever the reply echoes."""
    wire = Wire(lambda request: {"message": f"s3cr3t/+ and {request.headers['x-amz-security-token']}"})
    asked = Client(http=wire, num_retries=0, secrets=lambda _: None)
    with asked, pytest.raises(errors.InvalidResponseError) as raised:
        asked.completion(NOVA, ASK, **KEYS, aws_session_token="t0ken+")
    assert "s3cr3t" not in str(raised.value)
    assert "t0ken" not in str(raised.value)


@pytest.mark.parametrize(
    ("model", "params", "env", "region"),
    [
        (NOVA, {}, {}, "us-east-1"),
        (NOVA, {"aws_region_name": "eu-north-1"}, {"AWS_REGION": "us-west-2"}, "eu-north-1"),
        (NOVA, {"region_name": "ap-south-1"}, {}, "ap-south-1"),
        (NOVA, {}, {"AWS_REGION_NAME": "us-west-1", "AWS_REGION": "us-west-2"}, "us-west-1"),
        (NOVA, {}, {"AWS_DEFAULT_REGION": "us-gov-west-1"}, "us-gov-west-1"),
        ("bedrock/eu.amazon.nova-lite-v1:0", {}, {}, "eu-central-1"),
        ("bedrock/apac.amazon.nova-lite-v1:0", {}, {}, "ap-northeast-1"),
        ("bedrock/global.anthropic.claude-opus-5-5", {}, {}, "us-east-1"),
        ("bedrock/us-west-2/anthropic.claude-v2", {}, {"AWS_REGION": "us-east-1"}, "us-west-2"),
        ("bedrock/arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abc", {"aws_region_name": "us-east-1"}, {},
         "eu-west-1"),
    ],
)  # fmt: skip
def test_the_region_is_found(model, params, env, region):
    """An ARN's own first, then the argument, the environment, and where the model's profile can be called."""
    request = sent(model, {**ENV, **env}, **params)
    assert request.url.startswith(f"https://bedrock-runtime.{region}.amazonaws.com/model/")
    assert f"/{region}/bedrock/" in credential(request)


def test_ids_and_arns_are_encoded_in_the_path():
    """Colons and slashes; a "converse/" in front is understood."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    assert sent(f"bedrock/{arn}", key="k").url.endswith(
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse"
    )
    assert sent("bedrock/converse/amazon.nova-lite-v1:0", key="k").url.endswith(
        "/model/amazon.nova-lite-v1%3A0/converse"
    )


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("bedrock/arn:aws:bedrock:evil.example/x:1:provisioned-model/abc", {}),
        ("bedrock/arn:aws:bedrock", {}),
        ("bedrock/../../x", {}),
        (NOVA, {"aws_region_name": "evil.example/x"}),
    ],
)
def test_nothing_but_a_region_gets_into_a_host(model, params):
    """A key goes to hosts of AWS' only."""
    with pytest.raises(errors.BadRequestError):
        sent(model, key="k", **params)


def test_other_addresses():
    """api_base, and the variables and arguments that AWS' tools and others have for it."""
    assert (
        sent(key="k", api_base="https://vpce.example/x").url
        == "https://vpce.example/x/model/amazon.nova-lite-v1%3A0/converse"
    )
    for name in ("AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"):
        assert sent(env={name: "https://vpce.example"}, key="k").url.startswith("https://vpce.example/model/")
    given = sent(key="k", aws_bedrock_runtime_endpoint="https://other.example")
    assert given.url.startswith("https://other.example/model/")


def test_a_users_own_authorization_wins():
    """As with every provider."""
    request = sent(env=ENV, extra_headers={"Authorization": "Bearer mine"})
    assert request.headers["authorization"] == "Bearer mine"
    assert request.url.startswith("https://bedrock-runtime.us-east-1.")


# --- botocore's chain ---


def test_a_profile_brings_keys_and_region(nowhere):
    """Of a process that gives keys; they are kept until they are to be renewed."""
    pytest.importorskip("botocore")
    calls = nowhere / "calls"
    soon = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    keys = {"Version": 1, "AccessKeyId": "AKIAPROC", "SecretAccessKey": "p", "SessionToken": "pt", "Expiration": soon}
    (nowhere / "keys.json").write_text(json.dumps(keys))
    (nowhere / "give").write_text(f"#!/bin/sh\necho x >> {calls}\ncat {nowhere}/keys.json\n")
    (nowhere / "give").chmod(0o755)
    (nowhere / "config").write_text(f"[profile mine]\nregion = sa-east-1\ncredential_process = {nowhere}/give\n")
    wire = Wire(HI)
    with Client(http=wire, num_retries=0, secrets=lambda _: None) as asked:
        for _ in range(3):
            asked.completion(NOVA, ASK, aws_profile_name="mine")
        asyncio.run(asked.acompletion(NOVA, ASK, aws_profile_name="mine"))
    for request in wire.requests:
        assert credential(request).startswith("AKIAPROC/")
        assert "/sa-east-1/bedrock/" in credential(request)
        assert request.url.startswith("https://bedrock-runtime.sa-east-1.")
        assert request.headers["x-amz-security-token"] == "pt"
    assert calls.read_text() == "x\n"
    address = "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert sent(aws_profile_name="mine", api_base=address).url.startswith(address)
    assert sent(aws_profile_name="mine", aws_region_name="us-east-1").url.startswith(address)


def test_keys_that_expire_are_renewed(nowhere):
    """A process is asked again when its keys are about to expire."""
    pytest.importorskip("botocore")
    calls = nowhere / "calls"
    soon = (datetime.now(UTC) + timedelta(minutes=3)).isoformat()
    keys = {"Version": 1, "AccessKeyId": "AKIAPROC", "SecretAccessKey": "p", "SessionToken": "pt", "Expiration": soon}
    (nowhere / "give").write_text(f"#!/bin/sh\necho x >> {calls}\necho '{json.dumps(keys)}'\n")
    (nowhere / "give").chmod(0o755)
    (nowhere / "config").write_text(f"[default]\ncredential_process = {nowhere}/give\n")
    with Client(http=Wire(HI), num_retries=0, secrets=lambda _: None) as asked:
        for _ in range(2):
            asked.completion(NOVA, ASK)
    assert len(calls.read_text().splitlines()) > 1


def test_a_profile_that_is_not_there():
    """Botocore's reason, and what to do."""
    pytest.importorskip("botocore")
    with pytest.raises(errors.AuthenticationError, match=r"\(nobody\) could not be found.*AWS_ACCESS_KEY_ID"):
        sent(aws_profile_name="nobody")


class Sts(BaseHTTPRequestHandler):
    """What stands for AWS' token service: roles are given to whoever asks."""

    asked: list[dict[str, list[str]]] = []

    def do_POST(self) -> None:
        """Answer an AssumeRole, with or without a web identity."""
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self.asked.append({**form, "authorization": [self.headers.get("authorization", "")]})
        action = form["Action"][0]
        until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = (
            f"<{action}Response xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><{action}Result><Credentials>"
            f"<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>r</SecretAccessKey><SessionToken>rt</SessionToken>"
            f"<Expiration>{until}</Expiration></Credentials><AssumedRoleUser><Arn>a</Arn><AssumedRoleId>b</AssumedRoleId>"
            f"</AssumedRoleUser></{action}Result></{action}Response>"
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "text/xml")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def sts():
    """A token service on this machine: (its address, what it was asked)."""
    Sts.asked = []
    server = LocalServer(Sts)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.address, Sts.asked
    server.shutdown()
    thread.join()
    server.server_close()


ROLE = {"aws_role_name": "arn:aws:iam::123456789012:role/bedrock", "aws_session_name": "mine"}


def test_a_role_is_assumed_once(sts):
    """With the keys that are given, under the session's name; its keys sign from then on."""
    pytest.importorskip("botocore")
    address, asked_for = sts
    wire = Wire(HI)
    with Client(http=wire, num_retries=0, secrets=lambda _: None) as asked:
        for _ in range(2):
            asked.completion(NOVA, ASK, **KEYS, **ROLE, aws_external_id="e1", aws_sts_endpoint=address)
    assert [credential(request).partition("/")[0] for request in wire.requests] == ["ASIAROLE", "ASIAROLE"]
    assert wire.requests[0].headers["x-amz-security-token"] == "rt"
    (form,) = asked_for
    assert (form["RoleArn"], form["RoleSessionName"], form["ExternalId"]) == ([ROLE["aws_role_name"]], ["mine"], ["e1"])
    assert "Credential=AKIAEXAMPLE/" in form["authorization"][0]


def test_a_web_identity_takes_a_role(sts, tmp_path):
    """A token of an identity provider's, given or in a file, is all that is needed."""
    pytest.importorskip("botocore")
    address, asked_for = sts
    (tmp_path / "token").write_text("oidc-token\n")
    for token in ("oidc-token", str(tmp_path / "token")):
        request = sent(**ROLE, aws_web_identity_token=token, aws_sts_endpoint=address)
        assert credential(request).startswith("ASIAROLE/")
    assert [form["WebIdentityToken"] for form in asked_for] == [["oidc-token"], ["oidc-token"]]
    assert {form["authorization"][0] for form in asked_for} == {""}


def test_a_role_that_cannot_be_assumed(sts):
    """Nobody is there to assume it."""
    pytest.importorskip("botocore")
    with pytest.raises(errors.AuthenticationError, match="Nobody is there to assume"):
        sent(**ROLE, aws_sts_endpoint=sts[0])
