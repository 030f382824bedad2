"""Every prefix and model that users are told of leads to an installed provider that does what it is said to."""

from __future__ import annotations

import pytest

from polyport import catalog
from polyport.operations import BY_HOOK
from polyport.plugins import Providers
from polyport.routing import resolve

PROVIDERS = Providers()
#: Prefix -> the hooks that the table of providers has a dot for.
TABLE = {
    "openai": "chat generate_image edit_image vary_image transcribe speak embed create_video create_batch create_file "
    "respond complete_text moderate",
    "anthropic": "chat create_batch create_file create_message count_tokens",
    "gemini": "chat generate_image edit_image transcribe speak embed create_video create_batch create_file",
    "vertex_ai": "chat generate_image edit_image transcribe speak embed rerank create_video create_batch create_file",
    "bedrock": "chat generate_image edit_image embed rerank create_video create_batch",
    "azure": "chat generate_image edit_image transcribe speak embed create_video create_batch create_file",
    "cohere": "chat embed rerank",
    "groq": "chat transcribe translate speak create_batch create_file",
    "elevenlabs": "transcribe speak",
    "stability": "generate_image edit_image",
    "fal_ai": "generate_image edit_image transcribe speak create_video",
    "jina_ai": "embed rerank",
    "huggingface": "chat generate_image transcribe speak embed rerank create_video",
    "ollama": "chat embed",
    "deepseek": "chat complete_text",
    "mistral": "chat transcribe speak embed create_batch create_file moderate complete_text",
    "modelslab": "generate_image speak create_video",
    "local": "chat transcribe speak embed rerank",
}
LOOK_ALIKES = [
    "xai",
    "openrouter",
    "together_ai",
    "fireworks_ai",
    "perplexity",
    "cerebras",
    "nvidia_nim",
    "sambanova",
    "deepinfra",
    "novita",
    "hyperbolic",
    "moonshot",
    "zai",
    "dashscope",
    "volcengine",
    "minimax",
    "siliconflow",
    "baseten",
    "nebius",
    "friendliai",
    "lambda",
    "github",
    "vercel_ai_gateway",
    "portkey",
    "vllm",
    "lm_studio",
    "llamafile",
    "llamacpp",
    "xinference",
    "openai_like",
]
MODELS = {
    "anthropic/claude-sonnet-4-20250514": ("anthropic", "claude-sonnet-4-20250514"),
    "vertex_ai/claude-sonnet-4-20250514": ("vertex_ai", "claude-sonnet-4-20250514"),
    "openai/gpt-4o": ("openai", "gpt-4o"),
    "sora/sora-2": ("sora", "sora-2"),
    "gpt-4o": ("openai", "gpt-4o"),
    "o1": ("openai", "o1"),
    "dall-e-3": ("openai", "dall-e-3"),
    "whisper-1": ("openai", "whisper-1"),
    "tts-1": ("openai", "tts-1"),
    "text-embedding-3-small": ("openai", "text-embedding-3-small"),
    "sora-2": ("openai", "sora-2"),
    "claude-sonnet-4-5": ("anthropic", "claude-sonnet-4-5"),
}


@pytest.mark.parametrize("prefix", TABLE)
def test_a_provider_does_what_the_table_says(prefix):
    """Each dot is a hook."""
    wanted = set(TABLE[prefix].split())
    assert wanted <= BY_HOOK.keys()
    assert wanted <= PROVIDERS.get(prefix).answers.keys()


@pytest.mark.parametrize("prefix", LOOK_ALIKES)
def test_a_look_alike_chats(prefix):
    """Each is a row that loads."""
    assert "chat" in PROVIDERS.get(prefix).answers


@pytest.mark.parametrize("model", MODELS)
def test_a_model_resolves(model):
    """With its prefix or bare; and something is known of it."""
    assert resolve(model, PROVIDERS) == MODELS[model]
    assert catalog.info(*MODELS[model]).mode
