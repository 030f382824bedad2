"""Vectors, rankings, pictures: a literal request beside the literal JSON it becomes."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from polyport.errors import BadRequestError, ContentPolicyViolationError, InvalidResponseError, UnsupportedParamsError
from polyport.testing import Reply, Wire
from polyport_bedrock.conformance import API_RANKED, DRAWN, PNG, RANKED, STABLE

FILE = b"\x89PNG\r\n\x1a\n"
B64 = base64.b64encode(FILE).decode()
URL = f"data:image/png;base64,{B64}"
TOKENS = {"x-amzn-bedrock-input-token-count": "3"}


def seen(connect: Any, reply: Any, function: str, *args: Any, **params: Any) -> Any:
    """Return (the bodies sent, what was adapted, the result)."""
    wire = Wire(reply)
    with connect(wire) as asked:
        got = getattr(asked, function)(*args, **params)
    return [one.json for one in wire.requests], [(a.parameter, a.action) for a in got.meta.adaptations], got


# --- vectors ---


def titan(sent: Any) -> Reply:
    """Answer as Titan does, with a vector that tells its input."""
    text = sent.json.get("inputText", "")
    return Reply.of({"embedding": [float(len(text)), 0.5]}, headers=TOKENS)


def test_titan_is_asked_once_an_input_and_side_by_side(connect):
    """Vectors are in input order, tokens are summed; dimensions are the second version's."""
    texts = [str(number) * (number + 1) for number in range(20)]
    bodies, adapted, got = seen(
        connect, titan, "embedding", "bedrock/amazon.titan-embed-text-v2:0", texts, dimensions=256, normalize=True
    )
    assert min(bodies, key=lambda body: len(body["inputText"])) == {
        "inputText": "0", "dimensions": 256, "normalize": True,
    }  # fmt: skip
    assert [one.embedding[0] for one in got.data] == [float(len(text)) for text in texts]
    assert (got.usage.prompt_tokens, adapted) == (60, [])
    with pytest.raises(UnsupportedParamsError, match="one length"):
        seen(connect, titan, "embedding", "bedrock/amazon.titan-embed-text-v1", "x", dimensions=256)
    with pytest.raises(UnsupportedParamsError, match="no text"):
        seen(connect, titan, "embedding", "bedrock/amazon.titan-embed-text-v1", URL)


def test_titan_embeds_pictures_too(connect):
    """The multimodal model; what it is for changes nothing, and that is recorded."""
    bodies, adapted, _ = seen(
        connect,
        titan,
        "embedding",
        "bedrock/amazon.titan-embed-image-v1",
        [URL, "x"],
        dimensions=384,
        input_type="clustering",
    )
    config = {"embeddingConfig": {"outputEmbeddingLength": 384}}
    assert sorted(bodies, key=str) == [{"inputImage": B64, **config}, {"inputText": "x", **config}]
    assert adapted == [("input_type", "dropped")]


def cohere(sent: Any) -> dict[str, Any]:
    """Answer as Cohere does: one vector a text or picture."""
    return {"embeddings": [[float(len(text))] for text in sent.json.get("texts") or sent.json["images"]]}


def test_cohere_takes_many_texts_at_once_and_pictures_one_by_one(connect):
    """The third version calls a picture what it is; 96 texts are the most of a call."""
    bodies, adapted, got = seen(connect, cohere, "embedding", "bedrock/cohere.embed-english-v3", ["a", URL, "bb"])
    assert sorted(bodies, key=str) == [
        {"images": [URL], "input_type": "image"},
        {"texts": ["a", "bb"], "input_type": "search_document"},
    ]
    assert [one.embedding for one in got.data] == [[1.0], [float(len(URL))], [2.0]]
    assert adapted == [("input_type", "emulated")]
    bodies, _, got = seen(connect, cohere, "embedding", "bedrock/cohere.embed-v4:0", ["a"] * 200, dimensions=512)
    assert [len(body["texts"]) for body in sorted(bodies, key=lambda body: -len(body["texts"]))] == [96, 96, 8]
    assert (bodies[0]["output_dimension"], len(got.data)) == (512, 200)


def test_nova_is_told_what_vectors_are_for(connect):
    """Purposes, text and pictures; numbers may be written as base64."""
    reply = {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5, -1.0]}]}
    model = "bedrock/amazon.nova-2-multimodal-embeddings-v1:0"
    bodies, adapted, got = seen(
        connect, reply, "embedding", model, "x", input_type="search_query", dimensions=256, encoding_format="base64"
    )
    assert bodies == [{
        "taskType": "SINGLE_EMBEDDING",
        "singleEmbeddingParams": {"embeddingPurpose": "GENERIC_RETRIEVAL", "embeddingDimension": 256,
                                  "text": {"truncationMode": "NONE", "value": "x"}},
    }]  # fmt: skip
    assert got.data[0].embedding == base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    assert adapted == [("encoding_format", "emulated")]
    bodies, _, _ = seen(connect, reply, "embedding", model, URL)
    assert bodies[0]["singleEmbeddingParams"]["image"]["source"] == {"bytes": B64}
    with pytest.raises(BadRequestError, match="no input_type"):
        seen(connect, reply, "embedding", model, "x", input_type="dancing")


def test_vectors_that_are_not_as_many_as_the_inputs(connect):
    """Nor tokens, nor models that give none."""
    with pytest.raises(InvalidResponseError, match="2 inputs gave 1 vectors"):
        seen(connect, {"embeddings": [[1.0]]}, "embedding", "bedrock/cohere.embed-v4:0", ["a", "b"])
    with pytest.raises(BadRequestError, match=r"\$.input\[0\]"):
        seen(connect, titan, "embedding", "bedrock/amazon.titan-embed-text-v1", [1, 2])
    with pytest.raises(UnsupportedParamsError, match="base_model"):
        seen(connect, titan, "embedding", "bedrock/amazon.nova-lite-v1:0", "x")


# --- rankings ---


def test_rerankers_by_invoke_model(connect):
    """Cohere is told its version, Amazon's is not; documents with fields come back as they were."""
    documents = [{"text": "a", "id": 1}, "b"]
    bodies, _, got = seen(
        connect, RANKED, "rerank", "bedrock/cohere.rerank-v3-5:0", "q", documents, top_n=2, return_documents=True
    )
    assert bodies == [{"query": "q", "documents": ["a", "b"], "top_n": 2, "api_version": 2}]
    assert [(one.index, one.document) for one in got.results] == [(1, {"text": "b"}), (0, {"text": "a", "id": 1})]
    bodies, _, _ = seen(connect, RANKED, "rerank", "bedrock/amazon.rerank-v1:0", "q", ["a", "b"])
    assert bodies == [{"query": "q", "documents": ["a", "b"]}]
    with pytest.raises(UnsupportedParamsError, match="max_tokens_per_doc"):
        seen(connect, RANKED, "rerank", "bedrock/amazon.rerank-v1:0", "q", ["a", "b"], max_tokens_per_doc=9)
    with pytest.raises(InvalidResponseError, match="no document 1"):
        seen(connect, RANKED, "rerank", "bedrock/amazon.rerank-v1:0", "q", ["a"])


def test_the_rerank_api_takes_arns(connect, check_body):
    """In the ARN's region, with documents as JSON where they have fields."""
    wire = Wire(API_RANKED)
    arn = "arn:aws:bedrock:us-west-2::foundation-model/cohere.rerank-v3-5:0"
    with connect(wire) as asked:
        got = asked.rerank(f"bedrock/{arn}", "q", [{"title": "a"}, "b"], top_n=2, aws_region_name="us-east-1")
    (sent,) = wire.requests
    assert sent.url == "https://bedrock-agent-runtime.us-west-2.amazonaws.com/rerank"
    check_body("bedrock-agent-runtime", "Rerank", sent.json)
    assert sent.json["sources"][0]["inlineDocumentSource"] == {"type": "JSON", "jsonDocument": {"title": "a"}}
    assert [one.relevance_score for one in got.results] == [0.9, 0.2]


# --- pictures ---


def test_amazons_models_draw(connect):
    """Sizes, numbers, qualities; Amazon's own parameters where they belong."""
    bodies, _, got = seen(
        connect, DRAWN, "image_generation", "A cat", "bedrock/amazon.nova-canvas-v1:0", n=2, size="1024x512",
        quality="hd",
        seed=7, negative_prompt="dogs", style="PHOTOREALISM", cfgScale=6.5,
    )  # fmt: skip
    assert bodies == [{
        "taskType": "TEXT_IMAGE",
        "textToImageParams": {"text": "A cat", "style": "PHOTOREALISM", "negativeText": "dogs"},
        "imageGenerationConfig": {"numberOfImages": 2, "width": 1024, "height": 512, "seed": 7, "quality": "premium",
                                  "cfgScale": 6.5},
    }]  # fmt: skip
    assert got.data[0].b64_json == PNG


def test_amazons_models_edit_and_vary(connect):
    """Under a mask it is inpainting, without one a variation; a task may be named."""
    model = "bedrock/amazon.titan-image-generator-v2:0"
    bodies, adapted, _ = seen(connect, DRAWN, "image_edit", FILE, "A hat", model, mask=FILE)
    assert bodies == [{"taskType": "INPAINTING", "inPaintingParams": {"text": "A hat", "image": B64, "maskImage": B64}}]
    assert adapted == [("mask", "renamed")]
    bodies, _, _ = seen(connect, DRAWN, "image_edit", FILE, "A hat", model, maskPrompt="the head")
    assert bodies[0]["inPaintingParams"]["maskPrompt"] == "the head"
    bodies, _, _ = seen(connect, DRAWN, "image_edit", [FILE, FILE], "A hat", model, similarityStrength=0.5)
    params = {"text": "A hat", "images": [B64, B64], "similarityStrength": 0.5}
    assert bodies == [{"taskType": "IMAGE_VARIATION", "imageVariationParams": params}]
    bodies, _, _ = seen(connect, DRAWN, "image_edit", FILE, "x", model, taskType="BACKGROUND_REMOVAL")
    assert bodies == [{"taskType": "BACKGROUND_REMOVAL", "backgroundRemovalParams": {"image": B64}}]
    bodies, _, _ = seen(connect, DRAWN, "image_variation", FILE, model, n=2)
    assert bodies[0]["imageGenerationConfig"] == {"numberOfImages": 2}


def test_stabilitys_models_draw_and_edit(connect):
    """A ratio instead of a size; a picture goes along by a mode where there is one."""
    bodies, adapted, _ = seen(
        connect, STABLE, "image_generation", "A cat", "bedrock/stability.sd3-5-large-v1:0", size="1792x1024", seed=7,
        output_format="png",
    )  # fmt: skip
    assert bodies == [{"prompt": "A cat", "aspect_ratio": "16:9", "seed": 7, "output_format": "png"}]
    assert adapted == [("size", "clamped")]
    bodies, adapted, _ = seen(connect, STABLE, "image_edit", FILE, "A hat", "bedrock/stability.sd3-5-large-v1:0")
    assert bodies == [{"image": B64, "prompt": "A hat", "mode": "image-to-image", "strength": 0.7}]
    assert adapted == [("strength", "emulated")]
    inpaint = "bedrock/us.stability.stable-image-inpaint-v1:0"
    bodies, _, _ = seen(connect, STABLE, "image_edit", FILE, "A hat", inpaint, mask=FILE, grow_mask=5)
    assert bodies == [{"image": B64, "prompt": "A hat", "mask": B64, "grow_mask": 5}]


def test_pictures_that_were_kept_back(connect):
    """Filters are named as such; other failures are errors too."""
    nova, stable = "bedrock/amazon.nova-canvas-v1:0", "bedrock/stability.sd3-5-large-v1:0"
    for model, reply, kind in (
        (nova, {"images": [], "error": "All of the images have been blocked by our content filters."},
         ContentPolicyViolationError),
        (stable, {"finish_reasons": ["Filter reason: prompt"]}, ContentPolicyViolationError),
        (stable, {"finish_reasons": ["Inference error"]}, BadRequestError),
        (stable, {}, InvalidResponseError),
    ):  # fmt: skip
        with pytest.raises(kind):
            seen(connect, reply, "image_generation", "x", model)
    reply = {"images": [PNG], "error": "Some were blocked"}
    assert seen(connect, reply, "image_generation", "x", nova)[2].extra["error"] == "Some were blocked"


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("amazon.nova-canvas-v1:0", {"response_format": "url"}),
        ("amazon.nova-canvas-v1:0", {"quality": "best"}),
        ("amazon.nova-canvas-v1:0", {"output_format": "webp"}),
        ("stability.sd3-5-large-v1:0", {"n": 2}),
        ("stability.sd3-5-large-v1:0", {"style": "vivid"}),
        ("amazon.nova-canvas-v1:0", {"background": "transparent"}),
        ("anthropic.claude-v2", {}),
    ],
)
def test_wishes_that_no_model_grants(connect, model, params):
    """Each is refused by name."""
    with pytest.raises(UnsupportedParamsError):
        seen(connect, DRAWN, "image_generation", "x", f"bedrock/{model}", **params)
