"""Hosts with their own network on this machine, behind a router that can lose packets.

They are Linux network namespaces with real TCP. Packets vanish silently, which no proxy can do.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

PROGRAMS = ("ip", "setpriv")
_HELP = "these tests need root and network namespaces, and on Linux the programs of: apt-get install -y iproute2"


@dataclass(frozen=True)
class Host:
    """A host. A command that begins with `into` runs a process there."""

    namespace: str
    address: str

    def into(self, user: str | None) -> list[str]:
        """Return the prefix of a command that runs it on this host as that user."""
        command = ["ip", "netns", "exec", self.namespace]
        if user is not None:
            command += ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--init-groups"]
        return command


@dataclass(frozen=True)
class RoutedHosts:
    """Hosts whose packets all pass the router."""

    router: str
    hosts: tuple[Host, ...]

    def lose_packets(self, host: Host) -> None:
        """Silently drop all packets to and from the host from now on."""
        self._drop("from", host, "blackhole")
        self._drop("to", host, "blackhole")

    def lose_answers(self, host: Host) -> None:
        """Silently drop all packets from the host from now on."""
        self._drop("from", host, "blackhole")

    def refuse_packets(self, host: Host) -> None:
        """Let the router report the host as unreachable from now on."""
        self._drop("from", host, "blackhole")
        self._drop("to", host, "unreachable")

    def separate(self, host: Host, *others: Host) -> None:
        """Silently drop all packets from the host to these from now on. The rest of the network reaches all of them."""
        for other in others:
            _ip("-n", self.router, "rule", "add", "from", host.address, "to", other.address, "blackhole")

    def join(self, host: Host, *others: Host) -> None:
        """Deliver the packets again that `separate` drops."""
        for other in others:
            _ip("-n", self.router, "rule", "delete", "from", host.address, "to", other.address, "blackhole")

    def deliver_packets(self, host: Host) -> None:
        """Deliver the packets again that `lose_packets` drops."""
        for direction in ("from", "to"):
            _ip("-n", self.router, "rule", "delete", direction, host.address, "blackhole")

    def _drop(self, direction: str, host: Host, how: str) -> None:
        _ip("-n", self.router, "rule", "add", direction, host.address, how)


@contextmanager
def routed_hosts(number: int) -> Iterator[RoutedHosts]:
    """Yield that many hosts, removed at the end. Fails the test if the system does not support them."""
    if os.geteuid() != 0 or not all(map(shutil.which, PROGRAMS)):
        pytest.fail(_HELP, pytrace=False)
    name, network = _free_network()
    made = [name]
    try:
        hosts = tuple(Host(f"{name}-{index}", f"{network}.{4 * index + 2}") for index in range(1, number + 1))
        for host in hosts:
            _ip("netns", "add", host.namespace)
            made.append(host.namespace)
            _link(name, host.namespace, host.address)
        _link(name, None, f"{network}.2")
        subprocess.run(
            ["ip", "netns", "exec", name, "tee", "/proc/sys/net/ipv4/ip_forward"],
            input=b"1",
            stdout=subprocess.DEVNULL,
            check=True,
        )
        yield RoutedHosts(name, hosts)
    finally:
        for namespace in reversed(made):  # its links end with it
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", namespace)


def _free_network() -> tuple[str, str]:
    """Return the name of a new router, and its network, from the range for measurements, which no other test has."""
    for number in random.sample(range(256), 256):
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "add", f"sj{number}")
            return f"sj{number}", f"198.18.{number}"
    pytest.fail(f"no network namespace can be made; {_HELP}", pytrace=False)


def _link(router: str, namespace: str | None, address: str) -> None:
    """Connect a host, or this one, to the router, which routes to the network of all."""
    network, _, last = address.rpartition(".")
    near, far = f"{router}-{last}", f"to-{last}"
    inside = ("-n", namespace) if namespace is not None else ()
    _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", router)
    if namespace is not None:
        _ip("link", "set", near, "netns", namespace)
        _ip(*inside, "link", "set", "lo", "up")
    gateway = f"{network}.{int(last) - 1}"
    _ip(*inside, "address", "add", f"{address}/30", "dev", near)
    _ip("-n", router, "address", "add", f"{gateway}/30", "dev", far)
    _ip(*inside, "link", "set", near, "up")
    _ip("-n", router, "link", "set", far, "up")
    _ip(*inside, "route", "add", f"{network}.0/24", "via", gateway)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
