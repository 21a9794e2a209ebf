"""A hub on the loopback: what Hugging Face's client and torch's downloads ask for, and faults."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass
class Hub:
    """Repositories by name, each a mapping from file names to contents; what was asked is kept.

    ``cuts`` end the body of a file at these places, one after the other; ``lie`` states digests
    that the contents do not have; ``begun`` is set once 12 MB of a file are sent, and no
    more is sent until ``on`` is.
    """

    repositories: dict[str, Mapping[str, bytes]]
    cuts: dict[str, list[int]] = field(default_factory=dict)
    lie: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""
    begun: threading.Event = field(default_factory=threading.Event)
    on: threading.Event = field(default_factory=_set)

    def etag(self, content: bytes) -> str:
        return hashlib.sha256(content + b"!" * self.lie).hexdigest()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            hub.asked.append((self.command, path, self.headers.get("Range") or ""))
            if path.startswith("api/models/"):
                self.facts(path.removeprefix("api/models/"))
                return
            repository, _, rest = path.partition("/resolve/")
            name = rest.partition("/")[2] if rest else path.rpartition("/")[2]
            files = hub.repositories.get(repository if rest else "plain", {})
            if name not in files:
                self.missing()
                return
            self.file(name, files[name], body=body)

        def facts(self, path: str) -> None:
            repository = "/".join(path.split("/")[:2])
            if repository not in hub.repositories:
                self.missing()
                return
            files = [{"rfilename": name} for name in hub.repositories[repository]]
            if "/tree/" in path:
                listed = hub.repositories[repository].items()
                found: Any = [
                    {"type": "file", "path": n, "size": len(c), "oid": "0" * 40} for n, c in listed
                ]
            else:
                found = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": files}
            self.say(json.dumps(found).encode(), "application/json")

        def say(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def missing(self) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def file(self, name: str, content: bytes, *, body: bool) -> None:
            asked = self.headers.get("Range")
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("ETag", f'"{hub.etag(content)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content) - start))
            if asked:
                whole = len(content)
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            self.end_headers()
            if not body:
                return
            waiting = hub.cuts.get(name)
            end = waiting.pop(0) if waiting else len(content)
            with suppress(ConnectionError):  # who asked may be dead
                for at in range(start, end, 1 << 20):
                    self.wfile.write(content[at : min(at + (1 << 20), end)])
                    if at >= 12 << 20:
                        hub.begun.set()
                        hub.on.wait(100)
            if end < len(content):
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
