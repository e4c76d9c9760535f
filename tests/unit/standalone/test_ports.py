"""Free ports: nobody is told one twice, and none that a connection may take."""

from __future__ import annotations

import socket
from pathlib import Path

from standalone.ports import free_port, free_ports, is_free


def test_two_who_start_at_the_same_time_get_different_ones() -> None:
    told = [free_port() for _ in range(200)] + free_ports(200)
    assert len(set(told)) == 400


def test_connections_take_none_of_them() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(port < lowest for port in free_ports(100))


def test_one_that_is_listened_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        assert not is_free(listening.getsockname()[1])
