"""Files, batches, videos: what AWS keeps in a bucket, from OpenAI's lines to Bedrock's and back."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from polyport import Client
from polyport.errors import AuthenticationError, BadRequestError, ConflictError, NotFoundError, UnsupportedParamsError
from polyport.testing import Reply, Wire
from polyport_bedrock.conformance import FILM, FILMED, RUNNING, SECRETS, WHOLE

ASK = [{"role": "user", "content": "Hello"}]
NOVA = "amazon.nova-lite-v1:0"
JOB = "arn:aws:bedrock:eu-west-1:123456789012:model-invocation-job/abc123"
ROLE = "arn:aws:iam::123456789012:role/batch"
LINES = [
    {"custom_id": "a", "url": "/v1/chat/completions", "body": {"model": f"bedrock/{NOVA}", "messages": ASK}},
    {"custom_id": "b", "body": {"model": NOVA, "messages": ASK, "stream": True, "max_tokens": 5}},
]
SETTINGS = {"s3_bucket_name": "my-bucket", "aws_region_name": "eu-west-1", "provider": "bedrock"}


def client(wire: Wire, **env: str) -> Client:
    """Return a client over a wire, in an environment with access keys."""
    return Client(http=wire, num_retries=0, secrets={**SECRETS, **env}.get)


def lines(values: Any) -> bytes:
    """Write JSON lines."""
    return "\n".join(map(json.dumps, values)).encode()


class Aws:
    """What AWS does with objects and jobs, in short."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.objects: dict[str, bytes] = {}
        self.job: dict[str, Any] = {}
        self.answer = answer

    def __call__(self, sent: Any) -> Any:
        """Answer a request."""
        if ".s3." in sent.url:
            return self._object(sent)
        if sent.method == "POST" and sent.path == "/model-invocation-job":
            self.job = {**sent.json, "jobArn": JOB, "status": "Submitted", "submitTime": "2026-11-20T10:00:00Z"}
            return {"jobArn": JOB}
        if sent.path.endswith("/stop"):
            self.job["status"] = "Stopping"
            return {}
        if sent.path == "/model-invocation-jobs":
            return {"invocationJobSummaries": [self.job], "nextToken": "more"}
        return self.job

    def finish(self) -> None:
        """Run the job: the first record is answered, the others are not."""
        source = self.job["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removeprefix("s3://my-bucket/")
        first, *others = (json.loads(line) for line in self.objects[source].splitlines())
        made = [{**first, "modelOutput": self.answer}]
        made += [{**one, "error": {"errorCode": 400, "errorMessage": "Input is too long"}} for one in others]
        folder = self.job["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"].removeprefix("s3://my-bucket/")
        self.objects[f"{folder}abc123/{source.rpartition('/')[2]}.out"] = lines(made)
        self.objects[f"{folder}abc123/manifest.json.out"] = b"{}"
        counts = {"totalRecordCount": len(made), "successRecordCount": 1, "errorRecordCount": len(others)}
        self.job |= {"status": "Completed", "endTime": "2026-11-20T11:00:00Z", **counts}

    def _object(self, sent: Any) -> Any:
        assert sent.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
        key = unquote(sent.path[1:])
        if sent.method == "PUT":
            self.objects[key] = sent.content
            return Reply(headers={"etag": '"1"'})
        if sent.method == "DELETE":
            del self.objects[key]
            return Reply(status=204)
        if not key:
            found = sorted(name for name in self.objects if name.startswith(sent.query["prefix"]))
            entries = "".join(
                f"<Contents><Key>{name.replace('%', '%25')}</Key><Size>1</Size></Contents>" for name in found
            )
            return f"<?xml version='1.0'?><ListBucketResult>{entries}</ListBucketResult>"
        if key not in self.objects:
            return Reply(status=404, content=b"<Error><Code>NoSuchKey</Code><Message>No such key.</Message></Error>")
        return Reply(content=self.objects[key])


def test_a_batch_from_lines_to_answers(check_body):
    """Lines become Converse's bodies; the folder tells the job what they are and who answers; results come back."""
    aws = Aws(WHOLE)
    wire = Wire(aws)
    with client(wire, AWS_BATCH_ROLE_ARN=ROLE) as asked:
        file = asked.create_file(("in.jsonl", lines(LINES)), purpose="batch", **SETTINGS)
        batch = asked.create_batch(
            file.id, aws_batch_role_arn=ROLE, metadata={"team": "a"}, provider="bedrock", aws_region_name="eu-west-1"
        )
        assert (batch.id, batch.status, batch.model) == (JOB, "validating", NOVA)
        assert asked.retrieve_batch(batch.id, provider="bedrock").status == "validating"
        aws.finish()
        batch = asked.retrieve_batch(batch.id, provider="bedrock")
        out = asked.file_content(batch.output_file_id, provider="bedrock", aws_region_name="eu-west-1")
        err = asked.file_content(batch.error_file_id, provider="bedrock", aws_region_name="eu-west-1")
        streamed = b"".join(
            asked.file_content(batch.output_file_id, provider="bedrock", aws_region_name="eu-west-1", stream=True)
        )
    (uploaded,) = [content for key, content in aws.objects.items() if key.endswith("in.jsonl")]
    hello = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    assert [json.loads(line) for line in uploaded.splitlines()] == [
        {"recordId": "a", "modelInput": hello},
        {"recordId": "b", "modelInput": {**hello, "inferenceConfig": {"maxTokens": 5}}},
    ]
    begun = next(one for one in wire.requests if one.path == "/model-invocation-job")
    check_body("bedrock", "CreateModelInvocationJob", begun.json)
    assert begun.url == "https://bedrock.eu-west-1.amazonaws.com/model-invocation-job"
    assert (begun.json["modelId"], begun.json["modelInvocationType"]) == (NOVA, "Converse")
    assert (batch.status, batch.request_counts) == ("completed", {"total": 2, "completed": 1, "failed": 1})
    assert all(".eu-west-1.amazonaws.com" in one.url for one in wire.requests)
    answered, failed = json.loads(out.text), json.loads(err.text)
    assert answered["response"]["body"]["choices"][0]["message"]["content"] == "Hi, ünïcode"
    assert answered["response"]["body"]["usage"]["total_tokens"] == 40
    assert (failed["custom_id"], failed["response"]["body"]["error"]["type"]) == ("b", "ContextWindowExceededError")
    assert streamed == out.content


def test_a_batch_of_vectors(check_body):
    """Lines for embeddings are the model's own bodies, by InvokeModel."""
    aws = Aws({"embedding": [0.5], "inputTextTokenCount": 1})
    line = {"custom_id": "a", "url": "/v1/embeddings", "body": {"model": "amazon.titan-embed-text-v2:0", "input": "x"}}
    wire = Wire(aws)
    with client(wire) as asked:
        file = asked.create_file(("in.jsonl", lines([line])), purpose="batch", **SETTINGS)
        with pytest.raises(BadRequestError, match="aws_batch_role_arn"):
            asked.create_batch(file.id, provider="bedrock")
        asked.create_batch(file.id, endpoint="/v1/embeddings", aws_batch_role_arn=ROLE, provider="bedrock")
        aws.finish()
        batch = asked.retrieve_batch(JOB, provider="bedrock")
        out = asked.file_content(batch.output_file_id, provider="bedrock")
    assert (aws.job["modelInvocationType"], batch.endpoint) == ("InvokeModel", "/v1/embeddings")
    assert json.loads(out.text)["response"]["body"]["data"][0]["embedding"] == [0.5]


def test_a_job_is_stopped_and_listed():
    """Stopping answers nothing, so that it is looked at again; pages have a token."""
    aws = Aws(WHOLE)
    aws.job = {"jobArn": JOB, "status": "InProgress"}
    wire = Wire(aws)
    with client(wire) as asked:
        assert asked.cancel_batch(JOB, provider="bedrock").status == "cancelling"
        listed = asked.list_batches(provider="bedrock", limit=1, aws_region_name="eu-west-1")
        with pytest.raises(BadRequestError, match="no id of a batch"):
            asked.retrieve_batch("batch_1", provider="bedrock")
    assert (listed.has_more, listed.last_id, listed.data[0].id) == (True, "more", JOB)
    assert wire.requests[0].path.endswith("abc123/stop")
    assert all(one.url.startswith("https://bedrock.eu-west-1.amazonaws.com/") for one in wire.requests)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "no lines"),
        ([{"body": {}}], "custom_id"),
        ([{"custom_id": "a", "url": "/v1/audio", "body": {}}], "not '/v1/audio'"),
        ([LINES[0], {**LINES[0], "body": {**LINES[0]["body"], "model": "other"}}], "one endpoint and one model"),
        ([{"custom_id": "a", "body": {"messages": ASK}}], "one endpoint and one model"),
        ([{"custom_id": "a", "body": {"model": "m", "messages": []}}], r"Line 1 \(a\)"),
        ([{"custom_id": "a", "url": "/v1/embeddings",
           "body": {"model": "amazon.titan-embed-text-v1", "input": ["x", "y"]}}], "one call"),
    ],
)  # fmt: skip
def test_lines_that_no_job_can_answer(given, why):
    """An error names the line."""
    with client(Wire(Aws({}))) as asked, pytest.raises(BadRequestError, match=why):
        asked.create_file(("a.jsonl", lines(given)), purpose="batch", **SETTINGS)


def test_files_are_objects():
    """Kept, looked up, listed by purpose, fetched, deleted; large ones are sent in pieces, unsigned."""
    aws = Aws({})
    wire = Wire(aws)
    with client(wire) as asked:
        file = asked.create_file(("a b.pdf", b"%PDF-1.4"), purpose="user_data", **SETTINGS)
        assert file.id.startswith("s3://my-bucket/polyport/user_data/")
        assert (file.filename, file.bytes) == ("a b.pdf", 8)
        assert wire.requests[-1].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
        assert asked.retrieve_file(file.id, provider="bedrock").purpose == "user_data"
        assert wire.requests[-1].headers["range"] == "bytes=0-0"
        assert [one.id for one in asked.list_files(purpose="user_data", **SETTINGS).data] == [file.id]
        assert asked.file_content(file.id, provider="bedrock").content == b"%PDF-1.4"
        assert b"".join(asked.file_content(file.id, provider="bedrock", stream=True)) == b"%PDF-1.4"
        assert asked.delete_file(file.id, provider="bedrock").deleted
        with pytest.raises(NotFoundError, match=r"No such key\."):
            asked.file_content(file.id, provider="bedrock")
        with pytest.raises(BadRequestError, match="s3_bucket_name"):
            asked.list_files(provider="bedrock")
        with pytest.raises(BadRequestError, match="no file in S3"):
            asked.retrieve_file("file-1", provider="bedrock")
        with pytest.raises(UnsupportedParamsError, match="expires_after"):
            asked.create_file(b"x", purpose="user_data", expires_after={"seconds": 9}, **SETTINGS)


def test_a_bucket_elsewhere_with_dots_or_behind_another_address():
    """The bucket's own region, a path where no certificate fits the host, an endpoint of one's own."""
    reply = Reply(
        status=400,
        content=b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>The region is wrong.</Message></Error>",
        headers={"x-amz-bucket-region": "eu-west-2"},
    )
    answers = iter([reply, Reply(content=b"x"), Reply(content=b"x")])
    wire = Wire(lambda sent: next(answers))
    with client(wire) as asked:
        with pytest.raises(BadRequestError, match="s3_region_name"):
            asked.retrieve_file("s3://my-bucket/a", provider="bedrock")
        asked.retrieve_file("s3://my.bucket/a", provider="bedrock", s3_region_name="ca-west-1")
        asked.retrieve_file("s3://my-bucket/a", provider="bedrock", s3_endpoint_url="http://127.0.0.1:9000")
    assert [one.url for one in wire.requests] == [
        "https://my-bucket.s3.us-east-1.amazonaws.com/a",
        "https://s3.ca-west-1.amazonaws.com/my.bucket/a",
        "http://127.0.0.1:9000/my-bucket/a",
    ]
    assert "/ca-west-1/s3/aws4_request" in wire.requests[1].headers["authorization"]


def test_s3_is_not_given_a_key_of_bedrocks(monkeypatch, tmp_path):
    """Only access keys sign for it; without them the error says so."""
    pytest.importorskip("botocore")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    wire = Wire({})
    asked = Client(http=wire, api_key="bedrock-key", num_retries=0, secrets=lambda _: None)
    with asked, pytest.raises(AuthenticationError, match="S3 does not take it"):
        asked.retrieve_file("s3://my-bucket/a", provider="bedrock")
    assert not wire.requests


# --- video ---


def test_a_film_from_prompt_to_bytes(check_body):
    """The job's id carries its provider; its ARN its region; the bytes come from the bucket, signed for S3."""
    mp4 = b"\x00\x00\x00 ftypisom"
    state = {"job": RUNNING}
    wire = Wire(lambda sent: Reply(content=mp4) if ".s3." in sent.url else
                {"invocationArn": FILM} if sent.method == "POST" else state["job"])  # fmt: skip
    with client(wire) as asked:
        made = asked.video_generation(
            "Waves", "bedrock/amazon.nova-reel-v1:1", seconds=6, seed=3,
            input_reference=("a.png", b"\x89PNG\r\n\x1a\n"),
            s3_bucket_name="my-bucket",
        )  # fmt: skip
        assert made.status == "queued"
        assert asked.video_status(made.id).status == "in_progress"
        with pytest.raises(ConflictError, match="not finished"):
            asked.video_content(made.id)
        state["job"] = FILMED
        done = asked.video_status(made.id)
        assert (done.status, done.model) == ("completed", "amazon.nova-reel-v1:1")
        assert done.extra["uri"] == "s3://my-bucket/polyport/video/abc123def456/output.mp4"
        assert asked.video_content(made.id).content == mp4
        assert b"".join(asked.video_content(made.id, stream=True)) == mp4
    begun = wire.requests[0]
    check_body("bedrock-runtime", "StartAsyncInvoke", begun.json)
    assert begun.json["modelInput"] == {
        "taskType": "TEXT_VIDEO",
        "textToVideoParams": {"text": "Waves", "images": [{"format": "png", "source": {"bytes": "iVBORw0KGgo="}}]},
        "videoGenerationConfig": {"durationSeconds": 6, "fps": 24, "dimension": "1280x720", "seed": 3},
    }
    assert wire.requests[-1].url == (
        "https://my-bucket.s3.us-east-1.amazonaws.com/polyport/video/abc123def456/output.mp4"
    )


def test_longer_films_and_other_models():
    """Several shots are told as one prompt, or each by itself; Luma has words of its own."""
    wire = Wire({"invocationArn": FILM})
    given: dict[str, Any] = {"s3_bucket_name": "my-bucket"}
    with client(wire, AWS_S3_BUCKET_NAME="x") as asked:
        asked.video_generation("Waves", "bedrock/amazon.nova-reel-v1:1", seconds="12", **given)
        manual = {"shots": [{"text": "a"}, {"text": "b"}]}
        asked.video_generation(
            "Waves",
            "bedrock/amazon.nova-reel-v1:1",
            taskType="MULTI_SHOT_MANUAL",
            multiShotManualParams=manual,
            **given,
        )
        asked.video_generation("Waves", "bedrock/luma.ray-v2:0", seconds=9, size="16:9", loop=True, **given)
        with pytest.raises(UnsupportedParamsError, match="1280x720"):
            asked.video_generation("Waves", "bedrock/amazon.nova-reel-v1:1", size="720x1280", **given)
        with pytest.raises(UnsupportedParamsError, match="not known to film"):
            asked.video_generation("Waves", f"bedrock/{NOVA}", **given)
        with pytest.raises(BadRequestError, match="s3_bucket_name"):
            asked.video_generation("Waves", "bedrock/luma.ray-v2:0")
    inputs = [one.json["modelInput"] for one in wire.requests]
    assert inputs[0]["multiShotAutomatedParams"] == {"text": "Waves"}
    assert inputs[0]["videoGenerationConfig"]["durationSeconds"] == 12
    assert inputs[1] == {
        "taskType": "MULTI_SHOT_MANUAL",
        "multiShotManualParams": manual,
        "videoGenerationConfig": {"fps": 24, "dimension": "1280x720"},
    }
    assert inputs[2] == {"prompt": "Waves", "duration": "9s", "aspect_ratio": "16:9", "loop": True}


def test_films_that_failed_and_lists():
    """Why is told; a list has pages."""
    failed = {**RUNNING, "status": "Failed", "failureMessage": "blocked by our content filters"}
    wire = Wire(lambda sent: failed if FILM[-12:] in sent.path else
                {"asyncInvokeSummaries": [RUNNING], "nextToken": "more"})  # fmt: skip
    with client(wire) as asked:
        made = asked.video_status(FILM, provider="bedrock")
        assert (made.status, made.error["message"]) == ("failed", "blocked by our content filters")
        with pytest.raises(NotFoundError, match="content filters"):
            asked.video_content(FILM, provider="bedrock")
        listed = asked.list_videos(provider="bedrock", limit=1, order="asc")
        with pytest.raises(BadRequestError, match="no id of a video"):
            asked.video_status("video_1", provider="bedrock")
    assert (listed.has_more, len(listed.data)) == (True, 1)
    assert wire.requests[-1].query["sortOrder"] == "Ascending"
