"""Ports on the loopback interface: free ones, and whether a wanted one is taken."""

import random
import socket

_OURS = range(20_000, 32_000)
"""Below those from which a kernel takes the ports of connections (32768 and up on Linux), one of which would be in the way."""
_given: set[int] = set()
"""What this process was told already: two that start at the same time both find a port free that neither listens on yet."""
_chance = random.SystemRandom()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now, and that this process was not told before; another process may take it before its
    user does, who then asks again. Raises OSError when none is left."""
    begin = _chance.randrange(len(_OURS))
    for place in range(len(_OURS)):
        port = _OURS[(begin + place) % len(_OURS)]
        if port not in _given and is_free(port, host):
            _given.add(port)
            return port
    if not _given:
        raise OSError(f"no port of {host} from {_OURS.start} to {_OURS.stop - 1} is free")
    _given.clear()
    return free_port(host)


def free_ports(number: int, host: str = "127.0.0.1") -> list[int]:
    """So many different free ports."""
    return [free_port(host) for _ in range(number)]


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
