"""What one account of a vendor keeps, in OpenAI's interface: vector stores, conversations, uploads, fine-tuning, ...

Each row of ROWS is one of the official SDK's methods by its own name, and where it stands; `keeping` serves them all in
one way. ABSENT says what of the SDK's is not served, and why; a test holds both against the SDK that is installed.
https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One method. The first name in `path` is of something that is somebody's; those after it are parts of that.

    `makes` is what the reply is, and its caller's own from now on; `lists`: a page of such. `texts`: the request
    carries what guardrails would have to see. `models`: it names models that will work; `spends`: they do so now, and
    nobody tells what that costs. `model`: it is a call of one, and tells its usage. `multipart`: it may bring a file.
    """

    name: str
    method: str
    path: str
    makes: str = ""
    lists: bool = False
    texts: bool = False
    models: bool = False
    spends: bool = False
    model: bool = False
    multipart: bool = False


def rows(prefix: str, *rows: tuple[str, str, str, str]) -> Iterator[Row]:
    """Yield rows of (name, method, path below the prefix, what else there is to say of it)."""
    name, root = prefix.split()
    for own, method, path, more in rows:
        said: dict[str, str | bool] = {}
        for word in more.split():
            key, _, value = word.partition("=")
            said[key] = value or True
        yield msgspec.convert({"name": f"{name}.{own}", "method": method, "path": root + path, **said}, Row)


ROWS: tuple[Row, ...] = (
    *rows(
        "vector_stores /vector_stores",
        ("create", "POST", "", "makes=vector_store"),
        ("list", "GET", "", "lists"),
        ("retrieve", "GET", "/{vector_store_id}", ""),
        ("update", "POST", "/{vector_store_id}", ""),
        ("delete", "DELETE", "/{vector_store_id}", ""),
        ("search", "POST", "/{vector_store_id}/search", "texts"),
        ("files.create", "POST", "/{vector_store_id}/files", ""),
        ("files.list", "GET", "/{vector_store_id}/files", ""),
        ("files.retrieve", "GET", "/{vector_store_id}/files/{file_id}", ""),
        ("files.update", "POST", "/{vector_store_id}/files/{file_id}", ""),
        ("files.delete", "DELETE", "/{vector_store_id}/files/{file_id}", ""),
        ("files.content", "GET", "/{vector_store_id}/files/{file_id}/content", ""),
        ("file_batches.create", "POST", "/{vector_store_id}/file_batches", ""),
        ("file_batches.retrieve", "GET", "/{vector_store_id}/file_batches/{batch_id}", ""),
        ("file_batches.cancel", "POST", "/{vector_store_id}/file_batches/{batch_id}/cancel", ""),
        ("file_batches.list_files", "GET", "/{vector_store_id}/file_batches/{batch_id}/files", ""),
    ),
    *rows(
        "conversations /conversations",
        ("create", "POST", "", "makes=conversation texts"),
        ("retrieve", "GET", "/{conversation_id}", ""),
        ("update", "POST", "/{conversation_id}", ""),
        ("delete", "DELETE", "/{conversation_id}", ""),
        ("items.create", "POST", "/{conversation_id}/items", "texts"),
        ("items.list", "GET", "/{conversation_id}/items", ""),
        ("items.retrieve", "GET", "/{conversation_id}/items/{item_id}", ""),
        ("items.delete", "DELETE", "/{conversation_id}/items/{item_id}", ""),
    ),
    *rows(
        "responses /responses",
        ("input_items.list", "GET", "/{response_id}/input_items", ""),
        ("input_tokens.count", "POST", "/input_tokens", "texts model"),
        ("compact", "POST", "/compact", "texts model"),
    ),
    *rows(
        "chat.completions /chat/completions",
        ("list", "GET", "", "lists"),
        ("retrieve", "GET", "/{completion_id}", ""),
        ("update", "POST", "/{completion_id}", ""),
        ("delete", "DELETE", "/{completion_id}", ""),
        ("messages.list", "GET", "/{completion_id}/messages", ""),
    ),
    *rows("decisions /decisions", ("create", "POST", "", "texts model")),
    *rows(
        "uploads /uploads",
        ("create", "POST", "", "makes=upload"),
        ("complete", "POST", "/{upload_id}/complete", "makes=upload"),
        ("cancel", "POST", "/{upload_id}/cancel", ""),
        ("parts.create", "POST", "/{upload_id}/parts", "multipart"),
    ),
    *rows(
        "fine_tuning.jobs /fine_tuning/jobs",
        ("create", "POST", "", "makes=fine_tuning_job texts models spends"),
        ("list", "GET", "", "lists"),
        ("retrieve", "GET", "/{fine_tuning_job_id}", "makes=result_files"),
        ("cancel", "POST", "/{fine_tuning_job_id}/cancel", ""),
        ("pause", "POST", "/{fine_tuning_job_id}/pause", ""),
        ("resume", "POST", "/{fine_tuning_job_id}/resume", "spends"),
        ("list_events", "GET", "/{fine_tuning_job_id}/events", ""),
        ("checkpoints.list", "GET", "/{fine_tuning_job_id}/checkpoints", ""),
    ),
    *rows(
        "fine_tuning.alpha.graders /fine_tuning/alpha/graders",
        ("run", "POST", "/run", "texts models spends"),
        ("validate", "POST", "/validate", "texts models"),
    ),
    *rows(
        "containers /containers",
        ("create", "POST", "", "makes=container"),
        ("list", "GET", "", "lists"),
        ("retrieve", "GET", "/{container_id}", ""),
        ("delete", "DELETE", "/{container_id}", ""),
        ("files.create", "POST", "/{container_id}/files", "multipart"),
        ("files.list", "GET", "/{container_id}/files", ""),
        ("files.retrieve", "GET", "/{container_id}/files/{file_id}", ""),
        ("files.delete", "DELETE", "/{container_id}/files/{file_id}", ""),
        ("files.content.retrieve", "GET", "/{container_id}/files/{file_id}/content", ""),
    ),
    *rows(
        "evals /evals",
        ("create", "POST", "", "makes=eval texts models"),
        ("list", "GET", "", "lists"),
        ("retrieve", "GET", "/{eval_id}", ""),
        ("update", "POST", "/{eval_id}", ""),
        ("delete", "DELETE", "/{eval_id}", ""),
        ("runs.create", "POST", "/{eval_id}/runs", "texts models spends"),
        ("runs.list", "GET", "/{eval_id}/runs", ""),
        ("runs.retrieve", "GET", "/{eval_id}/runs/{run_id}", ""),
        ("runs.cancel", "POST", "/{eval_id}/runs/{run_id}/cancel", ""),
        ("runs.delete", "DELETE", "/{eval_id}/runs/{run_id}", ""),
        ("runs.output_items.list", "GET", "/{eval_id}/runs/{run_id}/output_items", ""),
        ("runs.output_items.retrieve", "GET", "/{eval_id}/runs/{run_id}/output_items/{output_item_id}", ""),
    ),
    *rows(
        "skills /skills",
        ("create", "POST", "", "makes=skill texts multipart"),
        ("list", "GET", "", "lists"),
        ("retrieve", "GET", "/{skill_id}", ""),
        ("update", "POST", "/{skill_id}", ""),
        ("delete", "DELETE", "/{skill_id}", ""),
        ("content.retrieve", "GET", "/{skill_id}/content", ""),
        ("versions.create", "POST", "/{skill_id}/versions", "texts multipart"),
        ("versions.list", "GET", "/{skill_id}/versions", ""),
        ("versions.retrieve", "GET", "/{skill_id}/versions/{version}", ""),
        ("versions.delete", "DELETE", "/{skill_id}/versions/{version}", ""),
        ("versions.content.retrieve", "GET", "/{skill_id}/versions/{version}/content", ""),
    ),
    *rows(
        "audio.voices /audio/voices",
        ("create", "POST", "", "makes=voice texts multipart"),
        ("delete", "DELETE", "/{voice_id}", ""),
    ),
    *rows(
        "audio.voice_consents /audio/voice_consents",
        ("create", "POST", "", "makes=voice_consent multipart"),
        ("list", "GET", "", "lists"),
        ("retrieve", "GET", "/{consent_id}", ""),
        ("update", "POST", "/{consent_id}", ""),
        ("delete", "DELETE", "/{consent_id}", ""),
    ),
    *rows("content_provenance_checks /content_provenance_checks", ("create", "POST", "", "multipart")),
)

_MEDIA = "sound goes to the vendor past the gateway; sessions over WebSockets are at /v1/realtime"
_PAST = "its reply is a secret for the vendor itself, past keys, limits and ledger"
#: What of the SDK's is not served -> why. Patterns of paths without a version, behind a method if only that is meant.
ABSENT: Mapping[str, str] = {
    r"/(organization|projects)(/.*)?": "it manages the vendor's account, with that account's admin key",
    r"/fine_tuning/checkpoints/.*": "it shares models between a vendor's projects, with that account's admin key",
    r"DELETE /models/[^/]+": "nobody here owns a fine-tuned model: its vendor deletes it",
    r"/(assistants|threads)(/.*)?": "OpenAI ended its Assistants API on 2026-08-26: see conversations and responses",
    r"/(agents|vaults)(/.*)?": "agents that a vendor hosts use models unseen by limits and guardrails (beta)",
    r"/chatkit/.*": _PAST,
    r"/realtime/(transcription_sessions|translations/client_secrets)": "only conversations tell what they use",
    r"/realtime/calls(/.*)?": _MEDIA,
    r"/live/.*": _MEDIA,
    r"/webhook_(endpoints|event_types)(/.*)?": "webhooks tell of all that the vendor's account does, whoever asked",
    r"/safety/.*": "it tells of the vendor's whole account",
    r"/videos/(characters(/.*)?|edits|extensions)": "OpenAI ended its Sora API on 2026-09-24",
}
#: The SDK's WebSockets that are not served -> why.
ABSENT_SOCKETS: Mapping[str, str] = {
    "responses.connect": "responses stream by server-sent events",
    "beta.responses.connect": "responses stream by server-sent events",
    "realtime.translations.connect": "only sessions of /v1/realtime are accounted",
    "live.connect": "only sessions of /v1/realtime are accounted",
    "live.forks.connect": "only sessions of /v1/realtime are accounted",
    "live.sideband.connect": "only sessions of /v1/realtime are accounted",
}

#: Versions that an address may begin with.
VERSIONS = frozenset({"v1", "v2"})
_absent = [(re.compile(pattern if " " in pattern else rf"\w+ {pattern}"), why) for pattern, why in ABSENT.items()]


class Table:
    """Finds the method that an address is."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._exact: dict[tuple[str, str], Row] = {}
        #: By the first word of the address, which leaves few to try.
        self._named: dict[str, list[tuple[str, re.Pattern[str], Row]]] = {}
        for row in rows:
            if "{" in row.path:
                self._named.setdefault(_first(row.path), []).append((row.method, _pattern(row.path), row))
            else:
                self._exact[row.method, row.path] = row

    def find(self, method: str, path: str) -> tuple[Row, dict[str, str]] | None:
        """Return the method that an address is, and the names in it."""
        row = self._exact.get((method, path))
        if row is not None:
            return row, {}
        for verb, pattern, one in self._named.get(_first(path), ()):
            if verb == method and (match := pattern.fullmatch(path)) is not None:
                return one, match.groupdict()
        return None


def _first(path: str) -> str:
    """Return the first word of an address, behind a version."""
    words = path[1:].split("/")
    return words[1] if len(words) > 1 and words[0] in VERSIONS else words[0]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))


#: Finds the method that an address without a version is, and the names in it.
find = Table(ROWS).find


def absent(method: str, path: str) -> str | None:
    """Return why something of the SDK's is not served; None for what is, and for what nobody knows."""
    return next((why for pattern, why in _absent if pattern.fullmatch(f"{method} {path}")), None)
