"""What tests of several modules of ``shared`` need."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

Answers = Callable[[str], list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], None]:
    """Lets a name server answer as told."""

    def use(answers: Answers) -> None:
        real = socket.getaddrinfo

        def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
            if not str(host).endswith(".example"):
                return real(host, port, *arguments, **options)
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port or 0))) for address in answers(str(host))
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return use
