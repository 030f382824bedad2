"""Gemini's counts as a Usage. https://ai.google.dev/api/generate-content#UsageMetadata"""

from __future__ import annotations

import msgspec

from polyport.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage

#: Modalities as numbers, which `$alt=json;enum-encoding=int` has instead of names.
NUMBERED = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}
#: Vertex AI's kinds of traffic -> the service tier, as OpenAI names it; off-peak and provisioned have no listed price.
#: https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse (TrafficType)
TRAFFIC: dict[str | int, str] = {
    "ON_DEMAND": "default",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_OFFPEAK": "offpeak",
    "PROVISIONED_THROUGHPUT": "provisioned",
}


class Modality(msgspec.Struct, rename="camel"):
    """Tokens of one modality: TEXT, IMAGE, VIDEO, AUDIO, DOCUMENT."""

    modality: str | int = ""
    token_count: int = 0


class UsageMetadata(msgspec.Struct, rename="camel"):
    """The counts of a reply. Thoughts are not among the candidates' tokens; cached ones are among the prompt's."""

    prompt_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int = 0
    prompt_tokens_details: list[Modality] | None = None
    candidates_tokens_details: list[Modality] | None = None
    cache_tokens_details: list[Modality] | None = None
    tool_use_prompt_tokens_details: list[Modality] | None = None
    service_tier: str | None = None
    traffic_type: str | int | None = None

    @property
    def tier(self) -> str | None:
        """The service tier that answered: the Gemini API says it, Vertex AI names the kind of traffic."""
        return self.service_tier or TRAFFIC.get(self.traffic_type or "")

    def to_usage(self) -> Usage:
        """Return the same tokens as a Usage: what Google's tools read is input, thoughts are output."""
        prompt = self.prompt_token_count + (self.tool_use_prompt_token_count or 0)
        completion = self.candidates_token_count + (self.thoughts_token_count or 0)
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=max(self.total_token_count, prompt + completion),
            prompt_tokens_details=self._given(prompt),
            completion_tokens_details=self._made(),
        )

    def _given(self, prompt: int) -> PromptTokensDetails | None:
        cached = min(self.cached_content_token_count or 0, prompt)
        read = {**_counts(self.prompt_tokens_details)}
        for name, count in _counts(self.tool_use_prompt_tokens_details).items():
            read[name] = read.get(name, 0) + count
        served = _counts(self.cache_tokens_details)
        left, found = prompt - cached, {}
        for name in ("AUDIO", "IMAGE", "VIDEO"):
            # What the cache served is counted there, so that nothing is counted twice.
            found[name] = min(max(read.get(name, 0) - served.get(name, 0), 0), left)
            left -= found[name]
        if self.cached_content_token_count is None and not any(found.values()):
            return None
        return PromptTokensDetails(
            cached_tokens=cached,
            audio_tokens=found["AUDIO"] or None,
            image_tokens=found["IMAGE"] or None,
            video_tokens=found["VIDEO"] or None,
        )

    def _made(self) -> CompletionTokensDetails | None:
        counts = _counts(self.candidates_tokens_details)
        audio = min(counts.get("AUDIO", 0), self.candidates_token_count)
        image = min(counts.get("IMAGE", 0), self.candidates_token_count - audio)
        if self.thoughts_token_count is None and not audio and not image:
            return None
        return CompletionTokensDetails(
            reasoning_tokens=self.thoughts_token_count or 0, audio_tokens=audio or None, image_tokens=image or None
        )


def _counts(details: list[Modality] | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in details or []:
        name = NUMBERED.get(entry.modality, "") if isinstance(entry.modality, int) else entry.modality
        found[name] = found.get(name, 0) + max(entry.token_count, 0)
    return found
