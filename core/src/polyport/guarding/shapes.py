"""Which parameters of a request, and which fields of a result, hold text; and what in them is no text."""

from __future__ import annotations

from collections.abc import Mapping

from polyport.guarding.verdicts import Kind

_IMAGE = ("prompt", "negative_prompt")
_MESSAGES = ("messages", "system", "tools", "mcp_servers")
#: Operation -> parameters that hold text. What is not here asks for nothing in words, or has been judged before.
REQUESTS: Mapping[str, tuple[str, ...]] = {
    "chat": ("messages", "tools", "functions", "prediction", "response_format"),
    "complete_text": ("prompt", "suffix"),
    "respond": ("input", "instructions", "tools", "prompt", "text"),
    "create_message": _MESSAGES,
    "count_tokens": _MESSAGES,
    "embed": ("input",),
    "moderate": ("input",),
    "rerank": ("query", "documents"),
    "generate_image": _IMAGE,
    "edit_image": _IMAGE,
    "transcribe": ("prompt",),
    "translate": ("prompt",),
    "speak": ("input", "instructions"),
    "create_video": _IMAGE,
    "remix_video": _IMAGE,
}
#: Operation -> its parameter that may be tokens in place of text.
TOKENS: Mapping[str, str] = {"complete_text": "prompt", "embed": "input"}
#: Operation -> fields of its result that hold text. "" is a result that is text itself, such as subtitles.
RESULTS: Mapping[str, tuple[str, ...]] = {
    "chat": ("choices",),
    "complete_text": ("choices",),
    "respond": ("output", "error"),
    "retrieve_response": ("output", "error"),
    "cancel_response": ("output", "error"),
    "create_message": ("content",),
    "rerank": ("results", "documents"),
    "generate_image": ("data",),
    "edit_image": ("data",),
    "vary_image": ("data",),
    "transcribe": ("text", "segments", "words"),
    "translate": ("text", "segments", "words"),
}
GUARDED = frozenset({*REQUESTS, *RESULTS})

#: Names whose text is told apart by programs: ids, kinds, states, addresses, binaries. Nothing that people read.
STRUCTURE = frozenset(
    [
        "type",
        "id",
        "object",
        "role",
        "name",
        "model",
        "status",
        "phase",
        "signature",
        "data",
        "b64_json",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "item_id",
        "response_id",
        "previous_response_id",
        "container",
        "container_id",
        "file_id",
        "server_label",
        "connector_id",
        "namespace",
        "encrypted_content",
        "encrypted_index",
        "obfuscation",
        "image_url",
        "video_url",
        "file_url",
        "file_data",
        "url",
        "server_url",
        "format",
        "detail",
        "mime_type",
        "media_type",
        "partial_image_b64",
        "finish_reason",
        "stop_reason",
        "service_tier",
        "system_fingerprint",
        "authorization",
    ]
)
#: Names of what holds no text however deep.
SKIPPED = frozenset({"usage", "logprobs", "bytes", "cache_control", "embedding", "vector_store_ids"})
#: Names of what only repeats the request, in events that bring the whole response.
ECHO = frozenset({"instructions", "tools", "metadata", "tool_choice", "user", "prompt_cache_key", "safety_identifier"})
#: Names of JSON schemas; in them these keys hold text.
SCHEMAS = frozenset({"parameters", "input_schema", "schema", "json_schema", "output_schema"})
SCHEMA_TEXTS = frozenset({"description", "title", "default", "const", "enum", "examples"})
#: Blocks whose `input` is JSON of the model's own making: every name in it may be anything.
CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
#: Names whose value is free JSON wherever they stand.
FREE = frozenset({"structuredContent", "structured_content"})
KINDS: Mapping[str, Kind] = {
    "arguments": "arguments",
    "partial_json": "arguments",
    "reasoning_content": "reasoning",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "thinking_blocks": "reasoning",
    "summary": "reasoning",
    "tools": "tool",
    "functions": "tool",
}
#: Items and blocks that hold what a tool answered: whoever sends them, the words are not the user's.
TOOL_RESULTS = frozenset(
    [
        "tool_result",
        "mcp_tool_result",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "function_call_output",
        "custom_tool_call_output",
        "computer_call_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
        "mcp_call",
        "file_search_call",
        "web_search_call",
        "code_interpreter_call",
    ]
)
#: Items of the model's own making, in a history that says no role of them.
OWN = frozenset({"function_call", "custom_tool_call", "reasoning", "tool_use", "server_tool_use", "mcp_tool_use"})
#: Whose a parameter is that says no role of its own.
ROLES: Mapping[str, str] = {"system": "system", "instructions": "system", "tools": "system", "functions": "system"}
