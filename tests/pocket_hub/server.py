"""A read-only Hugging Face Hub on 127.0.0.1, standard library only.

It answers what `from_pretrained`, `load_dataset`, `evaluate.load` and `huggingface_hub` ask of the real
Hub: repository info, revisions, trees, paths-info, and files with ETag, X-Repo-Commit and Range.
Files are looked up in an index made at start, so a path that is not in the index does not exist, and
no request can reach outside `repos/`.
"""
from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

REPOS = Path(__file__).parent / "repos"
KINDS = ("models", "datasets", "spaces")
DATE = "2026-01-01T00:00:00.000Z"
FAULTS = ("404", "500", "slow", "truncate")
CHUNK = 1 << 20


@dataclass
class File:
    path: Path
    size: int
    oid: str  # git's blob id, served as ETag

    @classmethod
    def read(cls, path: Path) -> File:
        data = path.read_bytes()
        return cls(path, len(data), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())


class Repo:
    """One repository: the files of a folder, under one commit that all its revisions lead to."""

    def __init__(self, kind: str, name: str, folder: Path, entry: dict):
        self.kind, self.name, self.entry = kind, name, entry
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        self.files = {path.relative_to(folder).as_posix(): File.read(path) for path in paths}
        content = "".join(f"{path}:{file.oid}\n" for path, file in self.files.items())
        self.sha = entry.get("revision") or hashlib.sha1(content.encode()).hexdigest()
        self.revisions = {"main", self.sha, *entry.get("refs", [])}

    def info(self) -> dict:
        return {
            "_id": self.sha[:24], "id": self.name, "sha": self.sha, "private": False, "gated": False,
            "disabled": False, "downloads": 0, "likes": 0, "lastModified": DATE, "createdAt": DATE,
            "tags": ["stand-in"], "siblings": [{"rfilename": path, "size": file.size, "blobId": file.oid} for path, file in self.files.items()],
            **({"modelId": self.name} if self.kind == "models" else {}),
            **({"sdk": "static"} if self.kind == "spaces" else {}),
            **{key: self.entry[key] for key in ("pipeline_tag", "library_name") if key in self.entry},
        }

    def entry_at(self, path: str) -> dict | None:
        """A tree entry for a file or a folder, None where there is neither."""
        if path in self.files:
            file = self.files[path]
            return {"type": "file", "path": path, "size": file.size, "oid": file.oid}
        if any(name.startswith(f"{path}/") for name in self.files):
            oid = hashlib.sha1(f"{self.sha}/{path}".encode()).hexdigest()
            return {"type": "directory", "path": path, "size": 0, "oid": oid}
        return None

    def tree(self, folder: str, recursive: bool) -> list[dict] | None:
        prefix = f"{folder}/" if folder else ""
        inside = [path[len(prefix):] for path in self.files if path.startswith(prefix)]
        if not inside:
            return None
        names = {"/".join(path.split("/")[:depth + 1]) for path in inside
                 for depth in range(len(path.split("/")) if recursive else 1)}
        return [self.entry_at(prefix + name) for name in sorted(names)]


@dataclass
class Fault:
    """Makes requests whose path holds `match` fail, `times` times (for ever when None)."""

    kind: str
    match: str = "/resolve/"
    times: int | None = None
    seconds: float = 3.0  # how long a slow answer stalls

    def __post_init__(self):
        if self.kind not in FAULTS:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(FAULTS)}")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """KIND[:MATCH[:TIMES]], as in truncate:model.safetensors:1"""
        kind, match, times = (text.split(":") + ["", ""])[:3]
        return cls(kind, match or cls.match, int(times) if times else None)


class Problem(Exception):
    def __init__(self, status: int, code: str, message: str):
        self.status, self.code, self.message = status, code, message


class PocketHub(ThreadingHTTPServer):
    """`with PocketHub() as hub:` serves at hub.url from a thread of its own until the block ends."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0, repos: Path = REPOS):
        catalog = json.loads((repos / "catalog.json").read_text(encoding="utf-8"))
        folders = [(kind, folder) for kind in KINDS for folder in sorted(repos.glob(f"{kind}/*/*")) if folder.is_dir()]
        self.repos = {}
        for kind, folder in folders:
            name = f"{folder.parent.name}/{folder.name}"
            self.repos[kind, name] = Repo(kind, name, folder, catalog.get(f"{kind}/{name}", {}))
        self.raw = {f"/{path.relative_to(repos).as_posix()}": File.read(path)
                    for path in sorted(repos.glob("raw/**/*")) if path.is_file()}
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> PocketHub:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is no event; problems of ours are answered with 500

    def take_fault(self, path: str, command: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.kind == "truncate" and command == "HEAD":
                    continue  # nothing to cut; HEAD must not use it up
                if fault.match in path and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PocketHub
    timeout = 60  # seconds an idle connection is kept
    disable_nagle_algorithm = True  # or a body waits 40 ms until the client has confirmed its head

    def do_GET(self):
        self.answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET

    def answer(self):
        path = self.path.partition("?")[0].partition("#")[0]
        self.fault, self.body, self.answered = None, b"", False
        try:
            self.read_body()
            self.fault = self.server.take_fault(unquote(path), self.command)
            if self.fault and self.fault.kind == "slow":
                time.sleep(self.fault.seconds)
            if self.fault and self.fault.kind == "404":
                raise Problem(404, "EntryNotFound", "fault mode: 404")
            if self.fault and self.fault.kind == "500":
                raise Problem(500, "", "fault mode: 500")
            self.route(path)
        except Problem as problem:
            self.send_json({"error": problem.message}, problem.status, {"X-Error-Code": problem.code})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as error:
            self.close_connection = True
            if not self.answered:
                self.send_json({"error": f"the pocket Hub failed: {error!r}"}, 500)

    def read_body(self):
        length = self.headers.get("Content-Length") or "0"
        if not re.fullmatch("[0-9]{1,7}", length) or int(length) >= CHUNK or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise Problem(400, "", "the pocket Hub takes bodies with a Content-Length below 1 MiB")
        self.body = self.rfile.read(int(length))

    def route(self, path: str):
        if self.command == "POST" and "/paths-info/" not in path or self.command not in ("GET", "HEAD", "POST"):
            raise Problem(405, "", f"the pocket Hub is read-only: {self.command} is not allowed")
        if file := self.server.raw.get(unquote(path)):
            return self.send_file(file, {})
        if match := re.fullmatch(r"/api/(models|datasets|spaces)", path):
            repos = [repo.info() for (kind, _), repo in self.server.repos.items() if kind == match[1]]
            return self.send_json(repos)
        if match := re.fullmatch(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(\w[\w-]*)(?:/([^/]+)(?:/(.*))?)?)?", path):
            kind, name, verb, revision, rest = match.groups()
            return self.api(self.find(kind, name), verb, unquote(revision or ""), unquote(rest or "").strip("/"))
        if match := re.fullmatch(r"(?:/(datasets|spaces))?/([^/]+/[^/]+)/(?:resolve|raw)/([^/]+)/(.+)", path):
            kind, name, revision, rest = match.groups()
            repo = self.find(kind or "models", name)
            self.check_revision(repo, unquote(revision))
            headers = {"X-Repo-Commit": repo.sha}
            file = repo.files.get(unquote(rest))
            if file is None:
                raise Problem(404, "EntryNotFound", f"{repo.name} has no file {unquote(rest)}")
            return self.send_file(file, headers)
        if match := re.fullmatch(r"/(?:api/(models|datasets|spaces)/|(?:(datasets|spaces)/)?)([^/]+)(?:/(?:revision|tree|resolve|raw)/.+)?", path):
            self.find(match[1] or match[2] or "models", match[3])  # an id without its namespace
        raise Problem(404, "", f"the pocket Hub knows no address {path}")

    def api(self, repo: Repo, verb: str | None, revision: str, rest: str):
        if verb is None:
            return self.send_json(repo.info())
        if verb == "refs":
            branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.sha}
            return self.send_json({"branches": [branch], "converts": [], "tags": [], "pullRequests": []})
        if verb not in ("revision", "tree", "paths-info"):
            raise Problem(404, "", f"the pocket Hub does not answer {verb}")
        self.check_revision(repo, revision)
        if verb == "revision":
            return self.send_json(repo.info())
        if verb == "tree":
            recursive = re.search(r"[?&]recursive=(?:true|1)\b", self.path, re.I) is not None
            entries = repo.tree(rest, recursive)
            if entries is None:
                raise Problem(404, "EntryNotFound", f"{repo.name} has no folder {rest}")
            return self.send_json(entries)
        return self.send_json([entry for path in self.asked_paths() if (entry := repo.entry_at(path.strip("/")))])

    def asked_paths(self) -> list[str]:
        """The paths of a paths-info request, sent as JSON or as a form."""
        try:
            paths = json.loads(self.body)["paths"]
        except (ValueError, KeyError, TypeError):
            fields = [field.partition("=") for field in self.body.decode("utf-8", "replace").split("&")]
            paths = [unquote(value.replace("+", " ")) for key, _, value in fields if key == "paths"]
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise Problem(400, "", "paths-info needs a list of paths")
        return paths

    def find(self, kind: str, name: str) -> Repo:
        name = unquote(name)
        if repo := self.server.repos.get((kind, name)):
            return repo
        known = ", ".join(known for of, known in self.server.repos if of == kind) or "none"
        raise Problem(404, "RepoNotFound", f"the pocket Hub has no stand-in for {kind}/{name}; it has: {known}")

    def check_revision(self, repo: Repo, revision: str):
        if revision not in repo.revisions:
            known = ", ".join(sorted(repo.revisions))
            raise Problem(404, "RevisionNotFound", f"{repo.name} has no revision {revision} here; it has: {known}")

    def send_file(self, file: File, headers: dict):
        if file.path.stat().st_size != file.size:
            raise Problem(500, "", f"{file.path.name} changed since the pocket Hub started; start it again")
        start, stop, status = 0, file.size, 200
        wanted = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", self.headers.get("Range", ""))
        if wanted and (wanted[1] or wanted[2]):
            if wanted[1]:
                start, stop = int(wanted[1]), min(int(wanted[2] or file.size) + 1, file.size)
            else:
                start = max(file.size - int(wanted[2]), 0)
            if start >= stop:
                self.send_head(416, 0, {"Content-Range": f"bytes */{file.size}"})
                return
            status = 206
            headers = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{file.size}"}
        left = stop - start
        self.send_head(status, left, {"ETag": f'"{file.oid}"', "Accept-Ranges": "bytes",
                                      "Content-Type": "application/octet-stream", **headers})
        if self.command == "HEAD":
            return
        if self.fault and self.fault.kind == "truncate":
            left //= 2
            self.close_connection = True
        with file.path.open("rb") as stream:
            stream.seek(start)
            while left and (chunk := stream.read(min(CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)

    def send_json(self, value, status: int = 200, headers: dict | None = None):
        body = json.dumps(value, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        if isinstance(value, dict) and "error" in value:
            headers["X-Error-Message"] = value["error"].encode("ascii", "replace").decode()[:1000]
        self.send_head(status, len(body), headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_head(self, status: int, length: int, headers: dict):
        self.answered = True
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, re.sub(r"[\r\n]", " ", value))
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_):
        pass
