"""Voices: ElevenLabs takes ids; here names are taken too. https://elevenlabs.io/docs/api-reference/voices/search

A voice may be an id, the name of a default voice, one of OpenAI's names, or the name of any voice of the account.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec

from polyport.errors import BadRequestError, NotFoundError
from polyport.flow import Flow
from polyport.provider import Provider, decode
from polyport.types.audio import SpeechRequest

#: ElevenLabs' default voices (`voice_type=default` of GET /v2/voices), which every account has.
NAMES = {
    "adam": "pNInz6obpgDQGcFmaJgB",
    "alice": "Xb7hH8MSUJpSbSDYk0k2",
    "bella": "hpp4J3VqNfWAUOO0d1Us",
    "bill": "pqHfZKP75CvOlQylNhV4",
    "brian": "nPczCjzI2devNBz1zQrb",
    "callum": "N2lVS1w4EtoT3dr4eOWO",
    "charlie": "IKne3meq5aSn9XLyUdCD",
    "chris": "iP95p4xoKVk53GoZ742B",
    "daniel": "onwK4e9ZLuTAKqWW03F9",
    "eric": "cjVigY5qzO86Huf0OWal",
    "george": "JBFqnCBsd6RMkjVDRZzb",
    "harry": "SOYHLrjzK2X1ezoPC6cr",
    "jessica": "cgSgspJ2msm6clMCkdW9",
    "laura": "FGY2WhTYpPnrIDTdsKH5",
    "liam": "TX3LPaxmHKxFdv7VOQHJ",
    "lily": "pFZP5JQG7iQjIQuC4Bku",
    "matilda": "XrExE9yKIg1WjnnlVkGX",
    "river": "SAz9YHcvj6GT2YYXdXww",
    "roger": "CwhRBWXzGAHq8TQ4Fs17",
    "sarah": "EXAVITQu4vr4xnSDxMaL",
    "will": "bIHbv24MWmeRgasZH58o",
}
#: OpenAI's voices -> the default voice that is nearest in pitch and manner.
OPENAI = {
    "alloy": "river",
    "ash": "chris",
    "ballad": "george",
    "cedar": "roger",
    "coral": "jessica",
    "echo": "eric",
    "fable": "daniel",
    "marin": "matilda",
    "nova": "laura",
    "onyx": "brian",
    "sage": "sarah",
    "shimmer": "lily",
    "verse": "liam",
}
#: The voice of ElevenLabs' own examples.
DEFAULT = "george"
ID = re.compile(r"[A-Za-z0-9]{20}")
PAGE, MOST_PAGES = 100, 20


def find_voice(provider: Provider, request: SpeechRequest) -> Flow[str]:
    """Return the id of the voice asked for; a name that is not known here is looked up. Raises NotFoundError."""
    asked = name_of(request)
    known = asked.casefold()
    if known in OPENAI:
        stand_in = OPENAI[known]
        request.adapt("voice", "renamed", f"{asked} is OpenAI's; ElevenLabs' {stand_in.title()} speaks in its stead")
        return NAMES[stand_in]
    if known in NAMES:
        return NAMES[known]
    if ID.fullmatch(asked):
        return asked
    return (yield from _look_up(provider, asked))


def name_of(request: SpeechRequest) -> str:
    """Return the voice as text; OpenAI's custom voices are objects with an id."""
    voice: Any = request.voice
    if isinstance(voice, dict):
        voice = voice.get("id") or voice.get("voice_id") or voice.get("name")
        if not isinstance(voice, str):
            raise BadRequestError("A voice given as an object has an id or a name, at $.voice")
    return voice or DEFAULT


class _Voice(msgspec.Struct):
    voice_id: str
    name: str | None = None


class _Page(msgspec.Struct):
    voices: list[_Voice]
    has_more: bool = False
    next_page_token: str | None = None


def _look_up(provider: Provider, asked: str) -> Flow[str]:
    """GET /v2/voices until a page has the name, in any case; what stands behind a dash describes the voice."""
    names: list[str] = []
    token: str | None = None
    for _ in range(MOST_PAGES):
        query = {"search": asked, "page_size": PAGE, "next_page_token": token}
        page: _Page = decode((yield provider.get("/v2/voices", params=query)), _Page)
        named = {(voice.name or "").casefold(): voice.voice_id for voice in reversed(page.voices)}
        short = {name.partition(" - ")[0]: voice_id for name, voice_id in named.items()}
        found = named.get(asked.casefold()) or short.get(asked.casefold())
        if found:
            return found
        names += [voice.name for voice in page.voices if voice.name]
        token = page.next_page_token
        if not page.has_more or token is None:
            break
    near = difflib.get_close_matches(asked, [*names, *NAMES], 3) or sorted(NAMES)
    raise NotFoundError(
        f"ElevenLabs has no voice {asked!r} for this key; near ones: {', '.join(near)}. "
        "Give a name, or an id of 20 letters and digits, at $.voice"
    )
