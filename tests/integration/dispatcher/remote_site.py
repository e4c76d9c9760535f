"""A web server on this machine that answers what a test tells it, byte by byte, be it sense or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Answer:
    """``raw``: head and body as they are; the connection ends after them. ``held``: it waits for this first."""

    raw: bytes
    held: asyncio.Event | None = None


def answer(
    body: bytes, content_type: str = "", status: str = "200 OK", announced: int | None = None, **headers: str
) -> Answer:
    """``announced``: the Content-Length, if it is not that of the body; less than 0: none is given."""
    length = len(body) if announced is None else announced
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named |= {"Content-Type": content_type} if content_type else {}
    named |= {"Content-Length": str(length)} if length >= 0 else {}
    lines = [f"HTTP/1.1 {status}", "Connection: close", *(f"{name}: {value}" for name, value in named.items())]
    return Answer("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body)


def chunked(body: bytes, whole: bool) -> Answer:
    """In one chunk, without the last one unless it is ``whole``."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return Answer(head + f"{len(body):x}\r\n".encode() + body + b"\r\n" + (b"0\r\n\r\n" if whole else b""))


RESET = Answer(b"")


@dataclass
class RemoteSite:
    """``answers``: for each path those of its requests in order; the last one stays."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def says(self, path: str, answers: Answer | Iterable[Answer]) -> str:
        """The address that is answered so."""
        self.answers[path] = [answers] if isinstance(answers, Answer) else list(answers)
        return self.url + path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            self.asked.append(path)
            answers = self.answers[path]
            chosen = answers.pop(0) if len(answers) > 1 else answers[0]
            if chosen.held is not None:
                await chosen.held.wait()
            writer.write(chosen.raw)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def remote_site() -> AsyncIterator[RemoteSite]:
    site = RemoteSite()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield site
    finally:
        server.close()
