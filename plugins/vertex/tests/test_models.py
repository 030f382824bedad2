"""Whose model it is decides how it is called: a literal call beside the literal request it becomes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from polyport import Client
from polyport.errors import BadRequestError, ConflictError, InvalidResponseError, NotFoundError, UnsupportedParamsError
from polyport.testing import Reply, Wire
from polyport_vertex.conformance import COMPLETION, FILE, JOB, MESSAGE, OPERATION, RANKED
from polyport_vertex.names import family, path

ASK = [{"role": "user", "content": "Hello"}]
HI = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}], "modelVersion": "m"}
GLOBAL = "https://aiplatform.googleapis.com/v1/projects/p/locations/global"
REGION = "https://us-central1-aiplatform.googleapis.com"
PLACE = {"vertex_project": "p"}


def client(wire: Wire, **options: Any) -> Client:
    """Return a client over a wire, with a token."""
    return Client(http=wire, **{"api_key": "ya29.token", "num_retries": 0, **options})


@pytest.mark.parametrize(
    ("model", "whose"),
    [("gemini-2.5-flash", "gemini"), ("google/gemini-2.5-flash", "gemini"), ("1234567890", "gemini"),
     ("endpoints/123", "gemini"), ("claude-sonnet-4@20250514", "claude"), ("anthropic/claude-opus-4-5", "claude"),
     ("meta/llama-4-maverick-17b-128e-instruct-maas", "openapi"), ("openai/gpt-oss-120b-maas", "openapi"),
     ("mistral-medium-3", "mistral"), ("mistralai/codestral-2", "mistral")],
)  # fmt: skip
def test_whose_a_model_is(model, whose):
    """A name tells by which interface a model chats."""
    assert family(model) == whose


def test_where_models_are():
    """Google's models by name, tuned ones by their endpoint; those called by predict in a region."""
    assert (
        path("gemini-2.5-flash") == "projects/{project}/locations/{location}/publishers/google/models/gemini-2.5-flash"
    )
    assert path("imagen-4.0-generate-001").startswith("projects/{project}/locations/{region}/publishers/google/")
    assert path("123") == path("endpoints/123") == "projects/{project}/locations/{region}/endpoints/123"
    whole = "projects/a/locations/b/endpoints/1"
    assert path(whole) == whole


def test_claude_is_asked_in_anthropics_words():
    """A date stands after an @, the version in the body, the model in the path, betas in a header."""
    wire = Wire(MESSAGE)
    with client(wire) as asking:
        result = asking.completion("vertex_ai/claude-sonnet-4-20250514", ASK, max_tokens=9, betas=["b-1"], **PLACE)
    (sent,) = wire.requests
    assert sent.url == f"{GLOBAL}/publishers/anthropic/models/claude-sonnet-4@20250514:rawPredict"
    assert sent.json == {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": ASK}
    assert sent.headers["anthropic-beta"] == "b-1"
    assert result.choices[0].message.content == "Noon."


def test_claude_answers_natively():
    """messages() sends what it was given, and counting names the model in the body."""
    wire = Wire([MESSAGE, {"input_tokens": 8}])
    with client(wire) as asking:
        message = asking.messages("vertex_ai/claude-opus-4-5", ASK, max_tokens=9, **PLACE)
        count = asking.count_tokens("vertex_ai/claude-opus-4-5", ASK, **PLACE)
    assert (message.text, count.input_tokens) == ("Noon.", 8)
    native, counted = wire.requests
    assert native.json == {"anthropic_version": "vertex-2023-10-16", "messages": ASK, "max_tokens": 9}
    assert counted.path.endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    assert counted.json == {"model": "claude-opus-4-5", "messages": ASK}


def test_gemini_answers_anthropics_shape_over_chat():
    """messages() of a model that is not Claude is bridged."""
    wire = Wire(HI)
    with client(wire) as asking:
        assert asking.messages(MODEL, ASK, max_tokens=9, **PLACE).text == "Hi"
    assert wire.requests[0].json["generationConfig"] == {"maxOutputTokens": 9}


MODEL = "vertex_ai/gemini-2.5-flash"


def test_open_models_speak_openais_wire():
    """Models of other publishers are called at Vertex AI's OpenAI-like endpoint."""
    wire = Wire(COMPLETION)
    with client(wire) as asking:
        asking.completion("vertex_ai/meta/llama-3.3-70b-instruct-maas", ASK, temperature=0, **PLACE)
    (sent,) = wire.requests
    assert sent.url == f"{GLOBAL}/endpoints/openapi/chat/completions"
    assert sent.json == {"model": "meta/llama-3.3-70b-instruct-maas", "messages": ASK, "temperature": 0}


def test_mistral_is_called_by_its_own_method_in_a_region():
    """Mistral's models are behind rawPredict, with the model in body and path."""
    wire = Wire(COMPLETION)
    with client(wire) as asking:
        asking.completion("vertex_ai/mistral-medium-3", ASK, **PLACE)
    path = "/v1/projects/p/locations/us-central1/publishers/mistralai/models/mistral-medium-3:rawPredict"
    assert wire.requests[0].url == REGION + path
    assert wire.requests[0].json == {"model": "mistral-medium-3", "messages": ASK}


def test_service_tiers_are_headers():
    """Flex and priority are asked for in headers; what there is not is refused."""
    wire = Wire(HI)
    with client(wire) as asking:
        asking.completion(MODEL, ASK, service_tier="flex", **PLACE)
        asking.completion(MODEL, ASK, service_tier="auto", **PLACE)
        with pytest.raises(UnsupportedParamsError, match="service_tier"):
            asking.completion(MODEL, ASK, service_tier="scale", **PLACE)
        with pytest.raises(UnsupportedParamsError, match="store"):
            asking.completion(MODEL, ASK, store=True, **PLACE)
    flex, auto = wire.requests
    assert flex.headers["x-vertex-ai-llm-shared-request-type"] == "flex"
    assert "x-vertex-ai-llm-request-type" not in auto.headers
    assert flex.json.keys() == {"contents"}


def test_vectors_of_texts_pictures_and_videos():
    """Each family of models by its own body."""
    png = "data:image/png;base64,iVBO"
    wire = Wire(lambda sent: {"predictions": [{"imageEmbedding": [1.0], "videoEmbeddings": [{"embedding": [2.0]}]}]})
    with client(wire) as asking:
        result = asking.embedding("vertex_ai/multimodalembedding@001", [png, "gs://b/v.mp4"], dimensions=128, **PLACE)
    assert [item.embedding for item in result.data] == [[1.0], [1.0]]
    bodies = [sent.json for sent in wire.requests]
    assert bodies[0] == {
        "instances": [{"image": {"bytesBase64Encoded": "iVBO", "mimeType": "image/png"}}],
        "parameters": {"dimension": 128},
    }
    assert bodies[1]["instances"] == [{"video": {"gcsUri": "gs://b/v.mp4"}}]
    wire = Wire({"embeddings": [{"values": [1.0]}]})
    with client(wire) as asking:
        asking.embedding("vertex_ai/gemini-embedding-001", "x", input_type="search_query", dimensions=2, **PLACE)
    assert wire.requests[0].json == {
        "requests": [
            {
                "content": {"parts": [{"text": "x"}]},
                "embedContentConfig": {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2},
            }
        ]
    }
    with client(Wire(HI)) as asking, pytest.raises(BadRequestError, match="embeds texts"):
        asking.embedding("vertex_ai/text-embedding-005", png, **PLACE)


def test_rerank():
    """Documents become records; a title stands apart, and results come back by relevance."""
    wire = Wire(RANKED)
    documents = ["a", {"title": "t", "text": "b"}]
    with client(wire) as asking:
        result = asking.rerank("vertex_ai/semantic-ranker-default@latest", "q", documents, top_n=2,
                               return_documents=True, **PLACE)  # fmt: skip
    (sent,) = wire.requests
    base = "https://discoveryengine.googleapis.com/v1/projects/p/locations/global"
    assert sent.url == f"{base}/rankingConfigs/default_ranking_config:rank"
    assert sent.json == {
        "model": "semantic-ranker-default@latest",
        "query": "q",
        "records": [{"id": "0", "content": "a"}, {"id": "1", "content": "b", "title": "t"}],
        "topN": 2,
        "ignoreRecordDetailsInResponse": True,
    }
    assert [(one.index, one.relevance_score) for one in result.results] == [(1, 0.9), (0, 0.2)]
    assert [one.document for one in result.results] == [documents[1], {"text": "a"}]
    with client(Wire({"records": [{"id": "7", "score": 1}]})) as asking, pytest.raises(InvalidResponseError):
        asking.rerank("vertex_ai/semantic-ranker-default@latest", "q", ["a"], **PLACE)


def test_imagen_edits_under_a_mask():
    """The picture and its mask are reference images."""
    wire = Wire({"predictions": [{"bytesBase64Encoded": "iVBO"}]})
    with client(wire) as asking:
        asking.image_edit(b"\x89PNG", "A hat", "vertex_ai/imagen-3.0-capability-001", mask=b"\x89PNG", n=2, **PLACE)
    picture = {"bytesBase64Encoded": base64.b64encode(b"\x89PNG").decode()}
    assert wire.requests[0].json == {
        "instances": [
            {
                "prompt": "A hat",
                "referenceImages": [
                    {"referenceType": "REFERENCE_TYPE_RAW", "referenceId": 1, "referenceImage": picture},
                    {
                        "referenceType": "REFERENCE_TYPE_MASK",
                        "referenceId": 2,
                        "referenceImage": picture,
                        "maskImageConfig": {"maskMode": "MASK_MODE_USER_PROVIDED"},
                    },
                ],
            }
        ],
        "parameters": {"sampleCount": 2, "editMode": "EDIT_MODE_INPAINT_INSERTION"},
    }


def test_a_video_is_followed_where_it_was_begun():
    """A job's id is enough in another process: it names project, location and model; bytes may be in the reply."""
    name = OPERATION.replace("us-central1", "europe-west4")
    wire = Wire({"name": name})
    with client(wire) as asking:
        job = asking.video_generation("Waves", "vertex_ai/veo-3.1-generate-001", seconds=8, size="1280x720",
                                      vertex_location="europe-west4", generate_audio=True, **PLACE)  # fmt: skip
    (sent,) = wire.requests
    assert sent.json["parameters"] == {
        "durationSeconds": 8, "aspectRatio": "16:9", "resolution": "720p", "generateAudio": True,
    }  # fmt: skip
    film = base64.b64encode(b"film").decode()
    wire = Wire([{"name": name}, {"name": name, "done": True, "response": {"videos": [{"bytesBase64Encoded": film}]}}])
    with client(wire) as asking:
        with pytest.raises(ConflictError, match="not finished"):
            asking.video_content(job.id)
        assert asking.video_content(job.id).content == b"film"
    host, _, rest = name.partition("/operations/")
    assert rest
    assert wire.requests[0].url == f"https://europe-west4-aiplatform.googleapis.com/v1/{host}:fetchPredictOperation"
    assert wire.requests[0].json == {"operationName": name}


def test_a_video_that_failed():
    """A job without a video says why, and has nothing to download."""
    error = {"name": OPERATION, "done": True, "error": {"code": 3, "message": "Too rude"}}
    filtered = {"name": OPERATION, "done": True, "response": {"raiMediaFilteredReasons": ["Too rude"]}}
    for answer in (error, filtered):
        with client(Wire(answer)) as asking:
            job = asking.video_status(OPERATION, provider="vertex_ai")
            assert (job.status, job.error["message"]) == ("failed", "Too rude")
            with pytest.raises(NotFoundError, match="Too rude"):
                asking.video_content(job.id)
    with client(Wire(HI)) as asking, pytest.raises(BadRequestError, match="no id of a video"):
        asking.video_status("../secrets", provider="vertex_ai")


LINES = [
    {
        "custom_id": "Request 1",
        "url": "/v1/chat/completions",
        "body": {"model": "vertex_ai/gemini-2.5-flash", "messages": ASK},
    },
    {"custom_id": "r2", "url": "/v1/chat/completions", "body": {"model": "gemini-2.5-flash", "messages": ASK, "n": 2}},
]


def test_a_batch_from_lines_to_answers():
    """Lines go to a bucket as Vertex AI's, a job runs over them, and its results are OpenAI's lines again."""
    stored: dict[str, bytes] = {}

    def answer(sent):
        if sent.path.startswith("/upload/"):
            stored[sent.query["name"]] = sent.content
            return {"name": sent.query["name"], "bucket": "mine", "size": str(len(sent.content))}
        if sent.path.endswith("/batchPredictionJobs"):
            return {**JOB, "state": "JOB_STATE_RUNNING", "outputInfo": None}
        if "/batchPredictionJobs/" in sent.path:
            return JOB
        (content,) = stored.values()
        asked = [json.loads(line) for line in content.splitlines()]
        done = {"request": asked[0]["request"], "response": HI, "status": ""}
        failed = {"request": asked[1]["request"], "response": {}, "status": "Bad Request: no"}
        return Reply(content="\n".join(map(json.dumps, (done, failed))).encode())

    wire = Wire(answer)
    place = {"vertex_project": "p", "gcs_bucket_name": "mine"}
    content = "\n".join(map(json.dumps, LINES)).encode()
    with client(wire) as asking:
        file = asking.create_file(("in.jsonl", content), purpose="batch", provider="vertex_ai", **place)
        assert file.id.startswith("gs://mine/polyport/batch/gemini-2.5-flash/")
        batch = asking.create_batch(file.id, provider="vertex_ai", **PLACE)
        assert (batch.id, batch.status) == ("us-central1.123", "in_progress")
        batch = asking.retrieve_batch(batch.id, provider="vertex_ai", **PLACE)
        assert batch.request_counts == {"total": 2, "completed": 1, "failed": 1}
        out = asking.file_content(batch.output_file_id, provider="vertex_ai", **PLACE)
        err = asking.file_content(batch.error_file_id, provider="vertex_ai", **PLACE)
    begun = next(sent for sent in wire.requests if sent.path.endswith("/batchPredictionJobs"))
    assert begun.json["model"] == "publishers/google/models/gemini-2.5-flash"
    assert begun.json["inputConfig"]["gcsSource"] == {"uris": [file.id]}
    assert begun.url.startswith(f"{REGION}/v1/projects/p/locations/us-central1/")
    (answered,) = [json.loads(line) for line in out.text.splitlines()]
    assert answered["custom_id"] == "Request 1"
    assert answered["response"]["body"]["choices"][0]["message"]["content"] == "Hi"
    (failed,) = [json.loads(line) for line in err.text.splitlines()]
    assert (failed["custom_id"], failed["response"]["body"]["error"]["message"]) == ("r2", "Bad Request: no")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"custom_id": "x" * 40, "body": {"model": "gemini-2.5-flash", "messages": ASK}}, "39 bytes"),
        ({"custom_id": "x", "body": {"model": "claude-opus-4-5", "messages": ASK}}, "one model of Gemini's"),
        ({"custom_id": "x", "url": "/v1/embeddings", "body": {"model": "gemini-2.5-flash"}}, "not '/v1/embeddings'"),
        ({"custom_id": "x", "body": {"model": "gemini-2.5-flash", "messages": [{"role": "system", "content": "x"}]}},
         "Line 1"),
        ({"body": {}}, "custom_id"),
    ],
)  # fmt: skip
def test_lines_that_no_job_can_answer(line, why):
    """An error names the line."""
    with client(Wire(HI)) as asking, pytest.raises(BadRequestError, match=why):
        asking.create_file(("a.jsonl", json.dumps(line).encode()), provider="vertex_ai", gcs_bucket_name="b", **PLACE)


def test_a_bucket_must_be_named():
    """Without a bucket there is nowhere to put a file, and the error says how to name one."""
    with Client(http=Wire(HI), api_key="ya29.t", secrets={}.get) as asking:
        with pytest.raises(BadRequestError, match="gcs_bucket_name"):
            asking.create_file(("a.txt", b"x"), purpose="user_data", provider="vertex_ai", **PLACE)
        with pytest.raises(BadRequestError, match="gs://bucket/name"):
            asking.retrieve_file("file-1", provider="vertex_ai", **PLACE)
        with pytest.raises(BadRequestError, match="model="):
            asking.create_batch("gs://b/x.jsonl", provider="vertex_ai", **PLACE)
        with pytest.raises(BadRequestError, match="no id of a batch"):
            asking.retrieve_batch("nonsense", provider="vertex_ai", **PLACE)
    assert FILE.startswith("gs://")
