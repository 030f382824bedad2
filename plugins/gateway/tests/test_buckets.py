"""Addresses in cloud storage are read with the gateway's identity, and so by those who may, wherever they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polyport.errors import BadRequestError
from polyport_gateway import buckets, config, management as manage
from polyport_gateway.identity import MASTER
from polyport_gateway.keeper import Keeper
from polyport_gateway.owning import Owned

from .test_owning import MASTER_KEY, Caller, Provider, provider, run

__all__ = ["provider"]
HELLO = {"messages": [{"role": "user", "content": "hi"}]}


def part(**said: Any) -> dict[str, Any]:
    """Return a chat with a part."""
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, said]}]}


@pytest.mark.parametrize(
    "fields",
    [
        part(type="image_url", image_url={"url": "gs://b/a.png"}),
        part(type="image_url", image_url="gs://b/a.png"),
        part(type="file", file={"file_id": "gs://b/a.png"}),
        part(type="file", file={"file_data": " gs://b/a.png"}),
        part(type="gemini", fileData={"fileUri": "gs://b/a.png"}),
        part(type="anything", new={"deep": [[{"uri": "gs://b/a.png"}]]}),
        {"messages": [{"role": "user", "content": "x", "provider_specific_fields": {"gemini_parts": [
            {"fileData": {"fileUri": "gs://b/a.png"}}]}}]},
        {"contents": [{"parts": [{"fileData": {"fileUri": "gs://b/a.png"}}]}]},
        {"messages": [{"content": "x", "image": {"url": "gs://b/a.png"}}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": {"url": "gs://b/a.png"}, "content": []}]},
        {"input": "gs://b/a.png"},
        {"input": ["a cat", "gs://b/a.png"]},
        {"input": [{"image": "gs://b/a.png"}]},
        {"documents": [{"image": "gs://b/a.png"}]},
        {"parameters": {"storageUri": "gs://b/a.png"}},
        {"storageUri": "gs://b/a.png"},
        {"requests": [{"custom_id": "a", "params": part(type="image", source={"type": "url", "url": "gs://b/a.png"})}]},
    ],
)  # fmt: skip
def test_where_an_address_may_stand(fields: dict[str, Any]) -> None:
    """In parts, in lists, in parameters that nobody knows; with space before it, and in capitals."""
    assert [one.strip() for one in buckets.named(fields)] == ["gs://b/a.png"]
    capitals = json.loads(json.dumps(fields).replace("gs://", "S3://"))
    assert [one.strip() for one in buckets.named(capitals)] == ["S3://b/a.png"]
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": fields}
    escaped = json.dumps(line).replace("gs://", "\\u0067s:\\/\\/").encode()
    for content in (json.dumps(line).encode(), b"\n" + escaped + b"\nno line gs:\n", b"[" + escaped + b"]"):
        assert [one.strip() for one in buckets.in_lines(content)] == ["gs://b/a.png"]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": "gs://b/a.png is an address"}]},
        part(type="text", text="gs://b/a.png"),
        {"prompt": "gs://b/a.png", "instructions": "s3://b"},
        {"documents": ["gs://b/a.png", "text"], "query": "gs://b"},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"default": "gs://b/a"}}}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"arguments": "gs://b/a"}}]}]},
        part(type="image_url", image_url={"url": "https://example.com/gs://b/a.png"}),
    ],
)
def test_text_is_text(fields: dict[str, Any]) -> None:
    """What only speaks of an address has nothing read."""
    assert buckets.named(fields) == []


@pytest.mark.parametrize(
    ("address", "below"),
    [("gs://b/x/a", True), ("gs://b/x", True), ("gs://b/xy", False), ("gs://b/x/../y", False), ("gs://b", False),
     ("s3://b/x/a", False), ("GS://b/x/a", False), ("gs://c/d/e", True), ("gs://c/d", False)],
)  # fmt: skip
def test_a_prefix_ends_where_a_name_does(address: str, below: bool) -> None:
    """Of a folder it is what is in it, of no other whose name begins alike."""
    assert (buckets.beyond([address], ["gs://b/x", "gs://c/d/"]) == []) is below


@pytest.mark.parametrize("given", ["gs:", "https://x/y", "gs://", "gs:///x", "s3://b/../c"])
def test_what_is_no_prefix_is_named(given: str) -> None:
    """In the configuration, before it serves."""
    models = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o"}}]
    text = json.dumps({"model_list": models, "general_settings": {"allowed_storage": [given]}})
    with pytest.raises(BadRequestError, match=r"allowed_storage has"):
        config.parse(text)


def test_who_may_have_what_read(tmp_path: Path, provider: Provider) -> None:
    """Admins all; a key what everybody may, what itself or its team may, and its own files: all else is refused."""

    async def test(ann: Caller, bob: Caller, master: Caller, keeper: Keeper) -> None:
        who = await keeper.identity.identify(ann.headers["authorization"].removeprefix("Bearer "))
        mine = Owned(id="s3://files/mine", kind="file", at=0, key_id=who.key_id, user_id=who.user_id)
        keeper.owners.remember(mine)
        body = {"allowed_storage": ["gs://anns/"], "user_id": "ann"}
        special = Caller(master.client, (await manage.generate_key(keeper.store, MASTER, body))["key"])
        allowed = {
            "gs://public/a.png": {ann, bob, special, master},
            "gs://anns/a.png": {special, master},
            "s3://files/mine": {ann, master},
            "gs://other/a.png": {master},
        }
        for address, callers in allowed.items():
            asked = {"model": "gpt", **part(type="image_url", image_url={"url": address})}
            for one in (ann, bob, special, master):
                reply = await one("POST", "/v1/chat/completions", json=asked)
                if one in callers:
                    assert "storage_not_allowed" not in reply.text, address
                else:
                    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "storage_not_allowed"), address
        line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": asked}
        lines = {"file": ("f.jsonl", json.dumps(line).encode())}
        for one, status in ((ann, 403), (master, 200)):
            reply = await one("POST", "/v1/files", files=lines, data={"purpose": "batch"})
            assert reply.status_code == status, reply.text
        await manage.update(keeper.store, MASTER, "team", {"team_id": "t", "allowed_storage": ["gs://other"]})
        reply = await bob("POST", "/v1/chat/completions", json=asked)
        assert "storage_not_allowed" not in reply.text

    run(tmp_path, provider, test, allowed_storage=["gs://public"])


def test_only_an_admin_opens_storage(tmp_path: Path, provider: Provider) -> None:
    """Who makes keys for a team cannot give them what is not its own to give; to take it away is allowed."""

    async def test(ann: Caller, bob: Caller, master: Caller, keeper: Keeper) -> None:
        await manage.update(keeper.store, MASTER, "team", {"team_id": "t", "members": {"ann": "admin"}})
        told = await master("POST", "/key/generate", json={"user_id": "ann", "team_id": "t", "role": "team_admin"})
        lead = Caller(master.client, told.json()["key"])
        given = {"team_id": "t", "allowed_storage": ["gs://b"]}
        assert (await lead("POST", "/key/generate", json=given)).status_code == 403
        made = (await master("POST", "/key/generate", json=given)).json()
        assert made["allowed_storage"] == ["gs://b"]
        change = {"key_id": made["key_id"], "allowed_storage": ["gs://c"]}
        assert (await lead("POST", "/key/update", json=change)).status_code == 403
        taken = await lead("POST", "/key/update", json={**change, "allowed_storage": None})
        assert (taken.status_code, taken.json()["allowed_storage"]) == (200, None)

    run(tmp_path, provider, test)


def test_a_gateway_without_keys_has_nothing_read(tmp_path: Path) -> None:
    """Everybody may call it, so nobody's identity is lent; with a master key alone, that may."""
    import asyncio

    from polyport_gateway.gate import Free, GateError, MasterKey

    for key, allowed in ((None, False), (MASTER_KEY, True)):
        gate = MasterKey(key)
        admission = gate._admission
        assert isinstance(admission, Free)
        if allowed:
            asyncio.run(admission.reach(["gs://b/a"]))
        else:
            with pytest.raises(GateError, match="allowed_storage"):
                asyncio.run(admission.reach(["gs://b/a"]))
