"""Ports on the loopback interface: free ones, and whether a wanted one is taken."""

import contextlib
import socket


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now; somebody may take it before its user does, who then asks again."""
    return free_ports(1, host)[0]


def free_ports(number: int, host: str = "127.0.0.1") -> list[int]:
    """So many different free ports."""
    with contextlib.ExitStack() as open_together:
        probes = [open_together.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier server in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
