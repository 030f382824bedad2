"""What is said to a proxy before it passes bytes on. Does no I/O: a dialogue yields what to send, is sent what came.

CONNECT: https://www.rfc-editor.org/rfc/rfc9110#name-connect
SOCKS 5: https://www.rfc-editor.org/rfc/rfc1928, with user name and password https://www.rfc-editor.org/rfc/rfc1929
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias

from polyport_reqwest.answer import Answer, Broken
from polyport_reqwest.routes import Address, Proxy

#: What came is b"" at the connection's end. An empty yield only waits for more.
Dialogue: TypeAlias = Generator[bytes, bytes, None]

NO_LOGIN, LOGIN, NONE_OF_THEM = 0, 2, 0xFF
#: https://www.rfc-editor.org/rfc/rfc1928#section-6
REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


def dialogue(proxy: Proxy, address: Address) -> Dialogue:
    """Ask a proxy for a connection to an address. Raises Broken where it refuses."""
    return _socks5(proxy, address) if proxy.scheme == "socks5" else _connect(proxy, address)


def _connect(proxy: Proxy, address: Address) -> Dialogue:
    host = f"[{address.host}]" if ":" in address.host else address.host
    answer = Answer("CONNECT")
    data = yield f"CONNECT {host}:{address.port} HTTP/1.1\r\nhost: {host}:{address.port}\r\n{proxy.basic}\r\n".encode()
    while True:
        try:
            answer.feed(data)
        except Broken as error:
            raise Broken(f"at the proxy, {error}") from error
        if answer.began:
            break
        data = yield b""
    if answer.status == 407:
        raise Broken("the proxy wants a user name and a password, or others")
    if not 200 <= answer.status < 300:
        raise Broken(f"the proxy refuses to open a tunnel (status {answer.status})")


def _socks5(proxy: Proxy, address: Address) -> Dialogue:
    user, password, host = proxy.user.encode(), proxy.password.encode(), address.host.encode()
    if max(len(user), len(password), len(host)) > 255:
        raise Broken("the proxy's user name, its password or the host is longer than SOCKS allows")
    came = _Came()
    offered = bytes([NO_LOGIN, LOGIN] if user or password else [NO_LOGIN])
    method = (yield from came.take(2, b"\5" + _counted(offered)))[1]
    if method == LOGIN:
        if (yield from came.take(2, b"\1" + _counted(user) + _counted(password)))[1]:
            raise Broken("the proxy does not accept the user name and the password")
    elif method != NO_LOGIN:
        raise Broken("the proxy wants a user name and a password")
    head = yield from came.take(4, b"\5\1\0\3" + _counted(host) + address.port.to_bytes(2, "big"))
    if head[1]:
        raise Broken(f"the proxy cannot connect: {REPLIES.get(head[1], head[1])}")
    size = {1: 4, 4: 16}.get(head[3]) or (yield from came.take(1))[0]
    yield from came.take(size + 2)


def _counted(data: bytes) -> bytes:
    return bytes([len(data)]) + data


class _Came:
    """What came and was not taken yet."""

    def __init__(self) -> None:
        self._data = b""

    def take(self, size: int, send: bytes = b"") -> Generator[bytes, bytes, bytes]:
        """Send something and return the next bytes that come, so many. Raises Broken at the connection's end."""
        while send or len(self._data) < size:
            data = yield send
            if not data:
                raise Broken("the proxy closed it")
            self._data, send = self._data + data, b""
        taken, self._data = self._data[:size], self._data[size:]
        return taken
