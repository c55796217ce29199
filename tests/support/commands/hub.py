"""A stand-in for the hub on 127.0.0.1: what its client asks for when it uploads and downloads a model."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories, and who may write.

    Attributes:
        files: Content by repository and file.
        private: Repositories that were made private.
        token: The one that may write.
        refuses: Status with which every request is answered; 0 for none.
        address: Where it listens.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.token = "hf_write"
        self.refuses = 0
        self.address = ""
        self.large: dict[str, bytes] = {}


_LFS = "application/vnd.git-lfs+json"


def _taken(path: str) -> dict[str, Any]:
    """How the hub takes a file: weights as large files."""
    mode = "lfs" if path.endswith(".safetensors") else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": None}


def _listed(path: str, content: bytes) -> dict[str, Any]:
    """How the hub lists a file."""
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, content: Any = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refused(self) -> bool:
        if self.hub.refuses:
            self.answer(self.hub.refuses, {"error": "no"})
        return bool(self.hub.refuses)

    def do_GET(self) -> None:
        """Tell of a repository, or give a file."""
        if self.refused():
            return
        if self.path.startswith("/api/models/"):
            repo = "/".join(self.path.split("/")[3:5])
            files = self.hub.files.get(repo)
            if files is None:
                self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
                return
            if "/tree/" in self.path:
                self.answer(200, [_listed(*one) for one in files.items()])
                return
            self.answer(200, {"id": repo, "sha": SHA, "siblings": [{"rfilename": name} for name in files]})
            return
        owner, name, *place = self.path.lstrip("/").split("/")
        content = self.hub.files.get(f"{owner}/{name}", {}).get("/".join(place[2:]))
        if content is None:
            self.answer(404, {"error": f"nothing at {self.path}"})
            return
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self.answer(200, content, ETag=etag, X_Repo_Commit=SHA, X_Linked_Size=str(len(content)))

    do_HEAD = do_GET  # noqa: N815  (the name that http.server asks for)

    def do_POST(self) -> None:
        """Make a repository, say how files come, take a commit."""
        body = self._body()
        if self.refused():
            return
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self.answer(401, {"error": "Invalid credentials"})
        elif self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self.answer(200, {"files": [_taken(one["path"]) for one in files]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif "/commit/" in self.path:
            self._commit("/".join(self.path.split("/")[3:5]), body)
        elif self.path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        else:
            self.answer(404, {"error": f"nothing at {self.path}"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_PUT(self) -> None:
        """Take a large file."""
        self.hub.large[self.path.rpartition("/")[2]] = self._body()
        self.answer(200)

    def _create(self, wanted: dict[str, Any]) -> None:
        repo = f"{wanted['organization']}/{wanted['name']}"
        if repo in self.hub.files:
            self.answer(409, {"error": "there already", "url": f"{self.hub.address}/{repo}"})
            return
        self.hub.files[repo] = {}
        if wanted.get("private") or wanted.get("visibility") == "private":
            self.hub.private.add(repo)
        self.answer(200, {"url": f"{self.hub.address}/{repo}", "name": repo})

    def _batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.address}/large/{one['oid']}", "header": {}}}}
            for one in wanted["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects}, Content_Type=_LFS)

    def _commit(self, repo: str, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                self.hub.files[repo][value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                self.hub.files[repo][value["path"]] = self.hub.large[value["oid"]]
        commit = f"{self.hub.address}/{repo}/commit/{SHA}"
        self.answer(200, {"success": True, "commitUrl": commit, "commitOid": SHA})


@contextmanager
def local_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Let huggingface-hub speak with a stand-in, and keep what it downloads in a folder of the test.

    Args:
        cache: That folder.
        monkeypatch: Of the test.
    """
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    place = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", place)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_DISABLE_XET", True
    )  # whose storage is another server
    monkeypatch.setenv("HF_TOKEN", hub.token)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
