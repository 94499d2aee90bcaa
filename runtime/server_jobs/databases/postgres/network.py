"""Addresses of servers, and the sockets that lead there."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from .url import Host
from .url_options import TcpOptions

if TYPE_CHECKING:
    from ssl import SSLContext

SocketAddress = tuple[str | int | bytes, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host. Without a host, the driver looks for one; a Unix socket has no socket address here."""

    host: Host | None
    family: int = socket.AF_UNSPEC
    socket_address: SocketAddress | None = None


async def addresses_of(host: Host) -> Sequence[Address]:
    """Return every address of a host, in the resolver's order. Raises `OSError`."""
    if host.is_socket:
        return [Address(host)]
    if (numeric := _numeric(host)) is not None:
        return [numeric]
    found = await asyncio.get_running_loop().getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM)
    return [Address(host, family, socket_address) for family, _, _, _, socket_address in found]


def _numeric(host: Host) -> Address | None:
    try:
        version = ip_address(host.name).version
    except ValueError:
        return None
    if version == 6 and "%" not in host.name:
        return Address(host, socket.AF_INET6, (host.name, host.port, 0, 0))
    return Address(host, socket.AF_INET, (host.name, host.port)) if version == 4 else None


class Network:
    """The running event loop for one connection of the driver.

    The driver resolves a host by itself, tries its addresses within one time limit, sets no socket options, and may
    send the request to cancel a statement to another address. Here it connects to the one given address.

    The driver closes connections in the normal way, which with TLS waits for an answer of the server. Until then, or
    for half a minute, the socket stays open, and a socket that outlives its event loop is never closed. Here all
    sockets can be dropped at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address, options: TcpOptions) -> None:
        self._loop = loop
        self._address = address
        self._options = options
        self._opened: list[tuple[asyncio.WriteTransport, socket.socket | None]] = []
        self._own: tuple[asyncio.WriteTransport, socket.socket | None] | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        ssl: SSLContext | None = None,
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """Connect to the fixed address, even if the host resolves to another one now. The driver calls it."""
        if self._address.socket_address is None:
            made = await self._loop.create_connection(protocol_factory, host, port, ssl=ssl)
            self._note(made[0], None)
            return made
        endpoint = socket.socket(self._address.family, socket.SOCK_STREAM)
        protocols: list[asyncio.BaseProtocol] = []

        def kept_protocol() -> asyncio.BaseProtocol:
            protocols.append(protocol_factory())
            return protocols[-1]

        try:
            endpoint.setblocking(False)
            set_options(endpoint, self._options)
            await self._loop.sock_connect(endpoint, self._address.socket_address)
            made = await self._loop.create_connection(
                kept_protocol,
                sock=endpoint,
                ssl=ssl,
                server_hostname=host if ssl else None,
            )
        except BaseException:
            for protocol in protocols:
                _silence(protocol)
            endpoint.close()
            raise
        self._note(made[0], endpoint)
        return made

    def settle(self) -> None:
        """Note that the last opened connection is the one in use. Drop the attempts before it."""
        if self._opened:
            self._own = self._opened.pop()
            self.drop()
            self._opened.append(self._own)

    def drop(self) -> None:
        """Close everything that was opened, without notice to the server."""
        for transport, _ in self._opened:
            transport.abort()
        self._opened.clear()

    def unsent(self) -> int:
        """Return how many bytes the other end has not acknowledged yet, if the system reports it."""
        if self._own is None:
            return 0
        transport, endpoint = self._own
        if endpoint is None or transport.is_closing():
            return 0
        return transport.get_write_buffer_size() + _unacknowledged(endpoint)

    def _note(self, transport: asyncio.WriteTransport, endpoint: socket.socket | None) -> None:
        self._opened = [one for one in self._opened if not one[0].is_closing()]  # forget the closed ones
        self._opened.append((transport, endpoint))


def _silence(protocol: asyncio.BaseProtocol) -> None:
    """Ignore the missing answer to a request for TLS, of which asyncio would warn."""
    answer = getattr(protocol, "on_data", None)
    if isinstance(answer, asyncio.Future):
        answer.cancel()


def set_options(endpoint: socket.socket, options: TcpOptions) -> None:
    """Let the kernel notice a dead peer, if the system has these options."""
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, options.keepalives)
    values = {
        "TCP_KEEPIDLE": options.keepalives_idle,
        "TCP_KEEPALIVE": options.keepalives_idle,  # the same on macOS
        "TCP_KEEPINTVL": options.keepalives_interval,
        "TCP_KEEPCNT": options.keepalives_count,
        "TCP_USER_TIMEOUT": options.tcp_user_timeout,
    }
    for name, value in values.items():
        if (option := getattr(socket, name, None)) is not None:
            endpoint.setsockopt(socket.IPPROTO_TCP, option, value)


def _unacknowledged(endpoint: socket.socket) -> int:
    """Return how many sent bytes the kernel still keeps; zero if it does not report it."""
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    count = bytearray(4)
    try:
        fcntl.ioctl(endpoint.fileno(), termios.TIOCOUTQ, count)
    except OSError:
        return 0
    return int.from_bytes(count, sys.byteorder)
