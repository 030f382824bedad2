"""What `polyport serve` becomes: a process that has the server in it, and not the command line.

The command line has read what was asked; the process that it ran in then goes on as this one, under the same id. The
command line's own libraries are gone from its memory, and the C library is told to keep less: what threads free in
heaps of their own, and large blocks among small ones, would stay with the process for good.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from polyport.cli import exits
from polyport.errors import PolyportError
from polyport_gateway import config as configs, tls
from polyport_gateway.config import Config

LOCAL = ("127.0.0.1", "::1", "localhost")
#: glibc's settings, where the environment has none: one heap for all threads, of which few allocate at a time, and
#: blocks from 256 KiB on are given back at once. https://man7.org/linux/man-pages/man3/mallopt.3.html
MEMORY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "1048576"}

#: What the new interpreter runs. It finds modules where this one does, however they came to be there.
START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from polyport_gateway.serving import main; main()"


class Wanted(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What to serve: a config.yaml, or models by their names; and where."""

    config: str | None = None
    models: list[str] = []
    host: str = "127.0.0.1"
    port: int = 4000
    workers: int = 1
    log_level: str = "info"
    #: A certificate and its key, which count before those that the configuration names.
    certificate: str | None = None
    key: str | None = None

    def read(self) -> Config:
        """Return the configuration as it reads now. Raises PolyportError and OSError."""
        return configs.load(Path(self.config)) if self.config is not None else configs.of_models(self.models)

    def shown(self, config: Config) -> tls.Files | None:
        """Return the certificate that is to be shown. Raises BadRequestError for one that cannot be."""
        if self.certificate is None and self.key is None:
            found = config.certificate()
        else:
            found = tls.files(self.certificate, self.key, config.general.ssl_keyfile_password)
        if found is not None:
            tls.load(found)
        return found


def become(wanted: Wanted) -> int:
    """Go on as the process that serves. Returns, with the exit code, only where no process can become another."""
    if sys.platform != "win32" and sys.executable:
        _become(wanted)
    return run(wanted)


def _become(wanted: Wanted) -> NoReturn:
    flags = [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    flags += [f"-W{option}" for option in sys.warnoptions]
    arguments = [msgspec.json.encode(one).decode() for one in (wanted, sys.path)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(  # noqa: S606  our own interpreter, and no shell
        sys.executable, [sys.executable, *flags, "-c", START, *arguments], {**MEMORY, **os.environ}
    )


def main() -> NoReturn:
    """Serve what the process's argument says, and leave with the exit code: errors are one line, as of any command."""
    try:
        code = run(msgspec.json.decode(sys.argv[1], type=Wanted))
    except (PolyportError, OSError) as error:
        _say(f"Error: {exits.one_line(error)}")
        code = exits.code_for(error)
    except KeyboardInterrupt:
        code = exits.INTERRUPTED
    sys.exit(code)


def run(wanted: Wanted) -> int:
    """Serve until a signal says stop, and return the exit code. Raises PolyportError and OSError."""
    from polyport_gateway import assembly, server  # `become` needs neither

    logging.basicConfig(level=wanted.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    first = wanted.read()
    for line in configs.check(first):
        _say(f"serving {line}")
    for note in first.notes:
        _say(f"note: {note}")
    certificate = wanted.shown(first)
    settings = server.Settings(
        read=wanted.read, good=first, host=wanted.host, port=wanted.port, workers=wanted.workers,
        log_level=wanted.log_level, certificate=certificate,
    )  # fmt: skip
    sock = server.listen(wanted.host, wanted.port)
    address = f"{'http' if certificate is None else 'https'}://{wanted.host}:{sock.getsockname()[1]}"
    _say(f"polyport gateway on {address}/v1")
    if first.general.master_key is not None:
        _say(f"admin pages on {address}/ui/")
    elif wanted.host not in LOCAL:
        _say(f"warning: without general_settings.master_key everybody who reaches {wanted.host} may call")
    return server.serve(settings, sock, assembly.app_of)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
