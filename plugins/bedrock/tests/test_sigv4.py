"""Signatures are botocore's, byte for byte: paths with colons and ARNs, tokens, queries, bodies, S3."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from urllib.parse import quote

import pytest

from polyport_bedrock.sigv4 import DIGEST, UNSIGNED, Keys, Scope, digest_of, sign

auth = pytest.importorskip("botocore.auth")
awsrequest = pytest.importorskip("botocore.awsrequest")
credentials = pytest.importorskip("botocore.credentials")

MODELS = (
    "anthropic.claude-v2",
    "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc.de~f",
    "a b+c%d~ü",
)
ACTIONS = ("converse", "converse-stream", "invoke-with-response-stream?a=b&c=%20d&a=%2F&empty=&b", "")
BODIES = (b"", b'{"x": 1}', "ünïcode 🌍".encode())
TOKENS = (None, "tok/en+=")
HEADERS = {
    "content-type": "application/json",
    "accept": "application/vnd.amazon.eventstream",
    "user-agent": "polyport/0.1.0",
    "x-amzn-trace-id": "1",
    "x-spaces": "  a   b ",
}
HOSTS = ("https://bedrock-runtime.us-east-1.amazonaws.com", "http://127.0.0.1:8080", "https://example.com:443")


def theirs(method, url, body, token, service, headers, kind):
    """Sign with botocore: (its Authorization, the headers it added, the moment)."""
    request = awsrequest.AWSRequest(method, url, data=body, headers=dict(headers))
    kind(credentials.Credentials("AKID", "secret/+", token), service, "eu-west-1").add_auth(request)
    moment = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return request.headers, moment


@pytest.mark.parametrize(("host", "model"), list(product(HOSTS, MODELS)))
def test_signatures_for_bedrock_are_botocores(host, model):
    """Every path, query, body and token of the table."""
    for action, body, token in product(ACTIONS, BODIES, TOKENS):
        url = f"{host}/model/{quote(model, safe='')}/{action}"
        expected, moment = theirs("POST", url, body, token, "bedrock", HEADERS, auth.SigV4Auth)
        scope = Scope(moment, "eu-west-1", "bedrock")
        made = sign("POST", url, HEADERS, digest_of(body), Keys("AKID", "secret/+", token), scope)
        assert made["authorization"] == expected["Authorization"]
        assert made.get("x-amz-security-token") == expected.get("X-Amz-Security-Token")
        assert made["x-amz-date"] == expected["X-Amz-Date"]


@pytest.mark.parametrize("key", ["a.mp4", "a/b c.jsonl", "polyport/us.x-v1:0/ü+~.txt", "a//b/./c"])
def test_signatures_for_s3_are_botocores(key):
    """S3's paths are encoded once, and are not tidied; its digest is a signed header."""
    cases = product(("GET", "PUT", "DELETE"), ("", "?list-type=2&prefix=a%2Fb"), (b"", b"body"), TOKENS)
    for method, query, body, token in cases:
        url = f"https://bucket.s3.eu-west-1.amazonaws.com/{quote(key, safe='/~')}{query}"
        expected, moment = theirs(method, url, body, token, "s3", {"range": "bytes=0-0"}, auth.S3SigV4Auth)
        digest = digest_of(body)
        headers = {"range": "bytes=0-0", DIGEST: digest}
        made = sign(method, url, headers, digest, Keys("AKID", "secret/+", token), Scope(moment, "eu-west-1", "s3"))
        assert made["authorization"] == expected["Authorization"]
        assert expected["X-Amz-Content-SHA256"] == digest


def test_a_body_that_is_not_signed_is_said_so():
    """S3 takes a large body unsigned over TLS; the digest says so, and is signed itself."""
    url = "https://bucket.s3.eu-west-1.amazonaws.com/large.bin"
    request = awsrequest.AWSRequest("PUT", url, data=b"x", headers={"content-md5": "kW8AJ6V1B0znKjMXd8NHjQ=="})
    request.context.update(has_streaming_input=True, payload_signing_enabled=False)
    auth.S3SigV4Auth(credentials.Credentials("AKID", "secret/+"), "s3", "eu-west-1").add_auth(request)
    moment = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    headers = {"content-md5": "kW8AJ6V1B0znKjMXd8NHjQ==", DIGEST: UNSIGNED}
    made = sign("PUT", url, headers, UNSIGNED, Keys("AKID", "secret/+"), Scope(moment, "eu-west-1", "s3"))
    assert made["authorization"] == request.headers["Authorization"]


def test_keys_show_nothing():
    """Neither in a repr nor in what an error may quote."""
    assert repr(Keys("AKID", "secret", "token")) == "<Keys ***>"
