"""The functions of the module itself: those of a default client that reads its settings from `polyport.*`.

`polyport.api_key`, `.api_base`, `.timeout`, `.num_retries`, `.drop_params`, `.strict`, `.cache`, `.max_budget`,
`.guardrails`, `.callbacks`, `.success_callback`, `.failure_callback` and `.redact` hold for every call made through the
module and for no `Client` of your own.
"""

from __future__ import annotations

import sys
from typing import Any

from polyport.client import DEFAULTS, Client
from polyport.operations import Operation

SETTINGS = (
    "api_key", "cache", "max_budget", "guardrails", "callbacks", "success_callback", "failure_callback", "redact",
    *DEFAULTS,
)  # fmt: skip


class DefaultClient(Client):
    """The client behind the module's functions: its settings are the module's attributes, read at every call."""

    def _call(self, operation: Operation, fields: dict[str, Any]) -> Any:
        self._read_settings()
        return super()._call(operation, fields)

    async def _acall(self, operation: Operation, fields: dict[str, Any]) -> Any:
        self._read_settings()
        return await super()._acall(operation, fields)

    def _read_settings(self) -> None:
        module = vars(sys.modules["polyport"])
        for name in SETTINGS:
            setattr(self, name, module.get(name))


default_client = DefaultClient()
close = default_client.close
aclose = default_client.aclose

completion = default_client.completion
acompletion = default_client.acompletion
text_completion = default_client.text_completion
atext_completion = default_client.atext_completion
responses = default_client.responses
aresponses = default_client.aresponses
messages = default_client.messages
amessages = default_client.amessages
count_tokens = default_client.count_tokens
acount_tokens = default_client.acount_tokens
retrieve_response = default_client.retrieve_response
aretrieve_response = default_client.aretrieve_response
cancel_response = default_client.cancel_response
acancel_response = default_client.acancel_response
delete_response = default_client.delete_response
adelete_response = default_client.adelete_response
embedding = default_client.embedding
aembedding = default_client.aembedding
rerank = default_client.rerank
arerank = default_client.arerank
moderation = default_client.moderation
amoderation = default_client.amoderation
image_generation = default_client.image_generation
aimage_generation = default_client.aimage_generation
image_edit = default_client.image_edit
aimage_edit = default_client.aimage_edit
image_variation = default_client.image_variation
aimage_variation = default_client.aimage_variation
transcription = default_client.transcription
atranscription = default_client.atranscription
translation = default_client.translation
atranslation = default_client.atranslation
speech = default_client.speech
aspeech = default_client.aspeech
video_generation = default_client.video_generation
avideo_generation = default_client.avideo_generation
video_status = default_client.video_status
avideo_status = default_client.avideo_status
video_content = default_client.video_content
avideo_content = default_client.avideo_content
video_remix = default_client.video_remix
avideo_remix = default_client.avideo_remix
list_videos = default_client.list_videos
alist_videos = default_client.alist_videos
delete_video = default_client.delete_video
adelete_video = default_client.adelete_video
create_file = default_client.create_file
acreate_file = default_client.acreate_file
retrieve_file = default_client.retrieve_file
aretrieve_file = default_client.aretrieve_file
list_files = default_client.list_files
alist_files = default_client.alist_files
delete_file = default_client.delete_file
adelete_file = default_client.adelete_file
file_content = default_client.file_content
afile_content = default_client.afile_content
create_batch = default_client.create_batch
acreate_batch = default_client.acreate_batch
retrieve_batch = default_client.retrieve_batch
aretrieve_batch = default_client.aretrieve_batch
cancel_batch = default_client.cancel_batch
acancel_batch = default_client.acancel_batch
list_batches = default_client.list_batches
alist_batches = default_client.alist_batches
delete_batch = default_client.delete_batch
adelete_batch = default_client.adelete_batch
list_models = default_client.list_models
alist_models = default_client.alist_models
