"""Work: what is done at once is in the first answer, what is not is asked after until it is.

https://docs.modelslab.com/image-generation/community-models/dreambooth-fetch-queue-image. ModelsLab cannot cancel:
work that nobody waits for any more goes on.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, HttpReply, HttpRequest
from polyport.provider import Provider, decode
from polyport.types.record import Request
from polyport.types.upload import Upload
from polyport.waiting import growing, wait_for
from polyport_modelslab.doors import Door
from polyport_modelslab.errors import from_body

HOST = "https://modelslab.com/api/"
#: Seconds between questions: what the estimate says, within these bounds, then ever longer.
SHORTEST, LONGEST = 1.0, 15.0
#: Uploads by base64 are no larger. https://docs.modelslab.com/general-api/base64-to-url
LARGEST_UPLOAD = 5 * 1024 * 1024
FETCH = re.compile(r"/v\d+(/[\w-]+)+/fetch/[\w-]+")
#: What is told of work that is done elsewhere, and of no use to a call that waits.
CALLBACKS = ("webhook", "track_id")


class Answer(msgspec.Struct):
    """What every endpoint answers: `status` is success, processing, error or failed; `output` are addresses."""

    status: str
    id: int | str | None = None
    output: list[str] | str | None = None
    links: list[str] | None = None
    proxy_links: list[str] | None = None
    fetch_result: str | None = None
    eta: float | str | None = None
    nsfw_content_detected: Any = None

    @property
    def files(self) -> list[str]:
        """The addresses of what was made."""
        made = [self.output] if isinstance(self.output, str) else self.output
        return [url for url in made or self.proxy_links or self.links or [] if url]


class Work(Provider):
    """Asks for work and waits for it, for the capabilities."""

    def work(self, request: Request, door: Door, path: str, body: dict[str, Any]) -> Flow[HttpReply]:
        """Return the answer that says what was made. Raises Timeout after the call's `timeout`, else 600 seconds."""
        reply: HttpReply = yield self.post(f"{door.base}/{path}", json=body)
        answer = read(reply)
        if answer.status == "success":
            return reply
        path = fetch_path(answer, door, reply)

        def ask() -> Flow[HttpReply | None]:
            later: HttpReply = yield self.post(path, json={})
            return later if read(later).status == "success" else None

        return (yield from wait_for(ask, request, f"{path} of ModelsLab", growing(pause_of(answer), LONGEST)))

    def place(self, upload: Upload) -> Flow[str]:
        """Return an address of a file, where ModelsLab keeps it for a day. Raises BadRequestError above 5 MB."""
        if upload.length > LARGEST_UPLOAD:
            raise BadRequestError(f"{upload.filename!r} is larger than the 5 MB that ModelsLab takes; make it smaller.")
        reply: HttpReply = yield self.post("/v6/base64_to_url", json={"base64_string": upload.data_url()})
        return first_file(read(reply), reply)

    def download(self, url: str, *, stream: bool = False) -> HttpRequest:
        """Return the request for a file that was made: its host is a bucket, and is given no key."""
        return HttpRequest(method="GET", url=url, stream=stream, unsigned=True)


def read(reply: HttpReply) -> Answer:
    """Return what an answer says. Raises the error that it means, whatever its HTTP status."""
    answer = decode(reply, Answer)
    if answer.status in ("error", "failed"):
        raise from_body(msgspec.json.decode(reply.content))
    if answer.status not in ("success", "processing"):
        raise InvalidResponseError(f"$.status is {answer.status!r}, not success or processing", body=reply.content)
    return answer


def fetch_path(answer: Answer, door: Door, reply: HttpReply) -> str:
    """Return where to ask after work: the path that was told, of ModelsLab's own host only, else by the id."""
    given = answer.fetch_result or ""
    path = urlsplit(given).path.removeprefix("/api") if given.startswith(HOST) else f"{door.base}/fetch/{answer.id}"
    if answer.id in (None, "") or not FETCH.fullmatch(path):
        raise InvalidResponseError("$.id is no id: what is being made cannot be asked after", body=reply.content)
    return path


def pause_of(answer: Answer) -> float:
    """Return the seconds to wait before the first question."""
    try:
        return min(max(float(answer.eta or 0), SHORTEST), LONGEST)
    except ValueError:
        return SHORTEST


def first_file(answer: Answer, reply: HttpReply) -> str:
    """Return the address of what was made. Raises InvalidResponseError where there is none."""
    url = next(iter(answer.files), "")
    if not url.startswith(("http://", "https://")):
        raise InvalidResponseError("$.output has no address: ModelsLab made nothing", body=reply.content)
    return url


def extras(request: Request) -> dict[str, Any]:
    """Return the user's own fields; where to call back to is left out, as the call waits itself."""
    for name in CALLBACKS:
        if name in request.extra:
            request.adapt(name, "dropped", "the call itself waits for what is made")
    return {name: value for name, value in request.extra.items() if name not in CALLBACKS}


def rest(reply: HttpReply) -> dict[str, Any]:
    """Return what else an answer says."""
    said = decode(reply, dict[str, Any])
    return {name: value for name, value in said.items() if name not in ("status", "output")}
