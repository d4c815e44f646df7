"""The pocket Hub: every route, every kind of wrong request, its faults, and its launcher."""
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from .course import ROOT
from .pocket_hub.server import REPOS, Fault, PocketHub

BERT = "google-bert/bert-base-chinese"
PINNED = "c30a6ed22ab4564dc1e3b2ecbf6e766b0611a33f"
FILES = REPOS / "models" / BERT


@pytest.fixture(scope="module")
def hub():
    with PocketHub() as hub:
        yield hub


@pytest.fixture
def faulty(hub):
    yield hub.faults
    hub.faults.clear()


def ask(hub, method, path, body=None, headers=None):
    """Status, headers and body of one request, sent as it is written."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.server_address[1], timeout=10)
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


def launch(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "tests.pocket_hub", *arguments], cwd=ROOT, text=True,
                          capture_output=True, timeout=60, **options)


# --- routes -------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", [f"/api/models/{BERT}", f"/api/models/{BERT}/revision/main", f"/api/models/{BERT}/revision/{PINNED}"])
def test_model_info(hub, path):
    status, _, body = ask(hub, "GET", path)
    info = json.loads(body)
    assert status == 200
    assert (info["id"], info["sha"], info["pipeline_tag"]) == (BERT, PINNED, "fill-mask")
    assert {"config.json", "model.safetensors"} <= {sibling["rfilename"] for sibling in info["siblings"]}


def test_info_through_the_client(hub):
    api = HfApi(endpoint=hub.url)
    assert api.model_info(BERT, revision=PINNED).sha == PINNED
    assert api.space_info("evaluate-metric/seqeval").id == "evaluate-metric/seqeval"
    assert BERT in [model.id for model in api.list_models()]
    assert [ref.name for ref in api.list_repo_refs(BERT).branches] == ["main"]
    assert set(api.list_repo_files(BERT)) == {path.name for path in FILES.iterdir()}
    assert api.file_exists(BERT, "vocab.txt") and not api.file_exists(BERT, "pytorch_model.bin")


def test_pull_request_revision_with_a_slash(hub):
    info = HfApi(endpoint=hub.url).model_info("facebook/mbart-large-50", revision="refs/pr/7")
    assert info.sha == "d25ce018c66bf77e7ae6368bdb9520a2d49c21d8"


def test_tree_flat_recursive_and_below_a_folder(tmp_path):
    folder = tmp_path / "datasets" / "some" / "set"
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "README.md").write_text("x")
    (folder / "data" / "a.json").write_text("[]")
    (folder / "data" / "deep" / "b.json").write_text("[1]")
    (tmp_path / "catalog.json").write_text("{}")
    with PocketHub(repos=tmp_path) as hub:
        def listed(path):
            return [(entry["type"], entry["path"]) for entry in json.loads(ask(hub, "GET", path)[2])]
        tree = "/api/datasets/some/set/tree/main"
        assert listed(tree) == [("file", "README.md"), ("directory", "data")]
        assert listed(f"{tree}?recursive=true") == [
            ("file", "README.md"), ("directory", "data"), ("file", "data/a.json"),
            ("directory", "data/deep"), ("file", "data/deep/b.json")]
        assert listed(f"{tree}/data?recursive=false") == [("file", "data/a.json"), ("directory", "data/deep")]
        status, headers, _ = ask(hub, "GET", f"{tree}/nowhere")
        assert (status, headers["X-Error-Code"]) == (404, "EntryNotFound")
        found = HfApi(endpoint=hub.url).get_paths_info("some/set", ["data/a.json", "data", "no"], repo_type="dataset")
        assert [entry.path for entry in found] == ["data/a.json", "data"]


def test_paths_info_as_json_as_form_and_malformed(hub):
    path = f"/api/models/{BERT}/paths-info/main"
    for body in (json.dumps({"paths": ["config.json", "none"]}), "paths=config.json&paths=none&expand=true"):
        status, _, answer = ask(hub, "POST", path, body)
        assert status == 200 and [entry["path"] for entry in json.loads(answer)] == ["config.json"]
    assert ask(hub, "POST", path, json.dumps({"paths": 3}))[0] == 400


@pytest.mark.parametrize("path", [f"/{BERT}/resolve/main/config.json", f"/{BERT}/resolve/{PINNED}/config.json", f"/{BERT}/raw/main/config.json"])
def test_file_with_its_headers(hub, path):
    content = (FILES / "config.json").read_bytes()
    status, headers, body = ask(hub, "GET", path)
    assert (status, body) == (200, content)
    assert headers["X-Repo-Commit"] == PINNED
    assert headers["ETag"] == '"%s"' % hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    status, head, body = ask(hub, "HEAD", path)
    assert (status, body) == (200, b"") and head["Content-Length"] == str(len(content)) and head["ETag"] == headers["ETag"]


def test_spaces_and_raw_files(hub):
    assert ask(hub, "GET", "/spaces/evaluate-metric/seqeval/resolve/main/seqeval.py")[0] == 200
    path = next((REPOS / "raw").rglob("DRCD_dev.json"))
    assert ask(hub, "GET", f"/{path.relative_to(REPOS).as_posix()}")[2] == path.read_bytes()


@pytest.mark.parametrize("asked, part", [("bytes=0-9", slice(0, 10)), ("bytes=100-", slice(100, None)), ("bytes=-7", slice(-7, None)),
                                         ("bytes=5-99999999", slice(5, None))])
def test_range(hub, asked, part):
    content = (FILES / "vocab.txt").read_bytes()
    status, headers, body = ask(hub, "GET", f"/{BERT}/resolve/main/vocab.txt", headers={"Range": asked})
    assert (status, body) == (206, content[part])
    assert headers["Content-Range"].endswith(f"/{len(content)}")


def test_range_beyond_the_end(hub):
    assert ask(hub, "GET", f"/{BERT}/resolve/main/vocab.txt", headers={"Range": "bytes=99999999-"})[0] == 416


# --- wrong requests -----------------------------------------------------------------------------

def test_wrong_names_through_the_client(hub, tmp_path):
    def get(*arguments, **options):
        return hf_hub_download(*arguments, **options, endpoint=hub.url, cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError, match=f"no stand-in for models/google-bert/nothing.*{BERT}"):
        get("google-bert/nothing", "config.json")
    with pytest.raises(RevisionNotFoundError):
        get(BERT, "config.json", revision="0" * 40)
    with pytest.raises(EntryNotFoundError):
        get(BERT, "pytorch_model.bin")


@pytest.mark.parametrize("path", [
    f"/{BERT}/resolve/main/../../../../catalog.json", f"/{BERT}/resolve/main/..%2f..%2f..%2f..%2fcatalog.json",
    f"/{BERT}/resolve/main/%2e%2e/%2e%2e/catalog.json", "/raw/../catalog.json", "/raw/..%2fcatalog.json", "/../../../../etc/passwd",
    "/..%2f..%2fetc/passwd", f"/{BERT}/resolve/main//etc/passwd", "/models/../../server.py", f"/api/models/{BERT}/tree/main/../..",
    f"/{BERT}/resolve/main/..\\..\\catalog.json", f"/{BERT}/resolve/main/config.json%00.txt"])
def test_traversal_finds_nothing(hub, path):
    status, _, body = ask(hub, "GET", path)
    assert status == 404 and b"pipeline_tag" not in body and b"root:" not in body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
def test_read_only(hub, method):
    assert ask(hub, method, f"/api/models/{BERT}", b"{}")[0] == 405
    assert ask(hub, method, "/api/repos/create", b"{}")[0] == 405


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/nothing", f"/api/models/{BERT}/nothing/main", "/" + "x" * 5000])
def test_unknown_address(hub, path):
    assert ask(hub, "GET", path)[0] == 404


def test_loopback_alone(hub):
    assert hub.server_address[0] == "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address faces the network
            outside = probe.getsockname()[0]
        except OSError:
            pytest.skip("this machine has no address but loopback")
    with socket.socket() as client, pytest.raises(OSError):
        client.settimeout(2)
        client.connect((outside, hub.server_address[1]))


def test_an_id_without_its_namespace(hub):
    assert not HfApi(endpoint=hub.url).repo_exists("bert-base-chinese")
    status, headers, body = ask(hub, "GET", "/bert-base-chinese/resolve/main/config.json")
    assert (status, headers["X-Error-Code"]) == (404, "RepoNotFound") and BERT.encode() in body


@pytest.mark.parametrize("headers", [{"Content-Length": "abc"}, {"Content-Length": "-1"}, {"Content-Length": "9999999"},
                                     {"Transfer-Encoding": "chunked"}])
def test_odd_bodies_are_refused(hub, headers):
    assert ask(hub, "POST", f"/api/models/{BERT}/paths-info/main", b"", headers)[0] == 400


def test_a_failure_of_ours_is_answered(hub):
    assert ask(hub, "POST", f"/api/models/{BERT}/paths-info/main", b"[" * 200_000)[0] == 500
    assert ask(hub, "GET", f"/{BERT}/resolve/main/vocab.txt", headers={"Range": f"bytes={'9' * 5000}-"})[0] == 200


def test_a_file_that_changed_is_not_served(tmp_path):
    path = tmp_path / "models" / "some" / "model" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    (tmp_path / "catalog.json").write_text("{}")
    with PocketHub(repos=tmp_path) as hub:
        path.write_text('{"longer": 1}')
        status, _, body = ask(hub, "GET", "/some/model/resolve/main/config.json")
        assert status == 500 and b"start it again" in body


# --- many at once -------------------------------------------------------------------------------

def test_eight_downloads_at_once_without_a_wrong_byte(hub):
    wanted = {path.name: path.read_bytes() for path in FILES.iterdir()}
    def download(turn):
        return {name: urllib.request.urlopen(f"{hub.url}/{BERT}/resolve/main/{name}", timeout=30).read() for name in wanted}
    with ThreadPoolExecutor(8) as pool:
        assert all(got == wanted for got in pool.map(download, range(8)))


def test_two_clients_at_once(hub, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda n: snapshot_download(BERT, endpoint=hub.url, cache_dir=tmp_path / str(n)), range(2)))
    for folder in folders:
        assert folder.endswith(PINNED)
        for path in FILES.iterdir():
            assert open(os.path.join(folder, path.name), "rb").read() == path.read_bytes()


# --- faults -------------------------------------------------------------------------------------

def test_fault_404_and_500(hub, faulty):
    path = f"/{BERT}/resolve/main/config.json"
    for status in (404, 500):
        faulty.append(Fault(str(status), "config.json", times=1))
        assert ask(hub, "GET", path)[0] == status
        assert ask(hub, "GET", path)[0] == 200, "a fault that is used up must not hit again"


def test_fault_slow(hub, faulty):
    faulty.append(Fault("slow", "config.json", times=1, seconds=0.5))
    began = time.monotonic()
    assert ask(hub, "GET", f"/{BERT}/resolve/main/config.json")[0] == 200
    assert time.monotonic() - began >= 0.5


def test_fault_truncate(hub, faulty):
    faulty.append(Fault("truncate", "vocab.txt", times=1))
    with pytest.raises(http.client.IncompleteRead):
        ask(hub, "GET", f"/{BERT}/resolve/main/vocab.txt")


def test_the_client_never_keeps_a_truncated_file(hub, faulty, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client would wait before it tries again
    faulty.append(Fault("truncate", "vocab.txt"))
    with pytest.raises(Exception, match="peer closed connection|onsistency"):  # the class is the HTTP library's
        hf_hub_download(BERT, "vocab.txt", endpoint=hub.url, cache_dir=tmp_path)
    faulty[:] = [Fault("truncate", "vocab.txt", times=1)]  # cut once: the client goes on where it stopped
    path = hf_hub_download(BERT, "vocab.txt", endpoint=hub.url, cache_dir=tmp_path)
    assert open(path, "rb").read() == (FILES / "vocab.txt").read_bytes()


def test_head_does_not_use_up_a_truncation(hub, faulty):
    faulty.append(Fault("truncate", "vocab.txt", times=1))
    assert ask(hub, "HEAD", f"/{BERT}/resolve/main/vocab.txt")[0] == 200
    with pytest.raises(http.client.IncompleteRead):
        ask(hub, "GET", f"/{BERT}/resolve/main/vocab.txt")


def test_unknown_fault():
    with pytest.raises(ValueError, match="unknown fault 'boom'; known: 404, 500, slow, truncate"):
        Fault("boom")


# --- the launcher -------------------------------------------------------------------------------

SHOW = "import json, os, sys; print(json.dumps(dict(os.environ)))"


def test_launcher_gives_the_command_a_hub_and_a_home_of_its_own(tmp_path):
    own = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path), "HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "1",
           "https_proxy": "http://192.0.2.1:3128", "NO_PROXY": "example.org"}
    done = launch(sys.executable, "-c", SHOW, env=own)
    env = json.loads(done.stdout)
    assert done.returncode == 0
    assert urlsplit(env["HF_ENDPOINT"]).hostname == "127.0.0.1" 
    assert urlsplit(env["DRCD_BASE_URL"]).port == urlsplit(env["HF_ENDPOINT"]).port
    assert env["HF_HOME"] != str(tmp_path) and not os.path.exists(env["HF_HOME"]), "the home ends with the command"
    assert not {"HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE"} & env.keys()
    assert env["NO_PROXY"].split(",") == ["127.0.0.1", "localhost", "example.org"]
    assert not any(tmp_path.iterdir())


def test_launcher_hands_on_the_exit_status():
    assert launch(sys.executable, "-c", "raise SystemExit(3)").returncode == 3


@pytest.mark.parametrize("ignores", [False, True])
def test_launcher_ends_with_its_command(ignores, tmp_path):
    code = "import os, signal, time; " + "signal.signal(signal.SIGTERM, signal.SIG_IGN); " * ignores + (
        "print(os.environ['HF_HOME'], flush=True); time.sleep(60)")
    launcher = subprocess.Popen([sys.executable, "-m", "tests.pocket_hub", sys.executable, "-c", code], cwd=ROOT,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    home = launcher.stdout.readline().strip()
    assert os.path.isdir(home)
    launcher.send_signal(signal.SIGTERM)
    if ignores:
        time.sleep(0.5)
        launcher.send_signal(signal.SIGTERM)  # the second time it means it
    assert launcher.wait(timeout=15) == 128 + (signal.SIGKILL if ignores else signal.SIGTERM)
    assert not os.path.exists(home)


def test_launcher_without_a_command():
    done = launch()
    assert done.returncode == 2 and "缺少要執行的指令" in done.stderr and "jupyter lab" in done.stderr


def test_launcher_with_an_unknown_command():
    done = launch("jupiter-lab")
    assert done.returncode == 127 and "找不到指令 jupiter-lab" in done.stderr


def test_launcher_with_a_taken_port(hub):
    port = str(hub.server_address[1])
    done = launch("--port", port, "true")
    assert done.returncode == 2 and f"連接埠 {port} 已被占用" in done.stderr


def test_launcher_with_a_wrong_fault():
    done = launch("--fault", "boom", "true")
    assert done.returncode == 2 and "boom" in done.stderr and "truncate" in done.stderr


def test_build_with_an_unknown_name():
    done = subprocess.run([sys.executable, "-m", "tests.pocket_hub.build", "gpt"], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 2 and "unknown stand-in gpt; known: bert, " in done.stderr


# --- the guard of the test run ------------------------------------------------------------------

def test_nothing_leaves_this_machine():
    done = subprocess.run([sys.executable, "-c", "import urllib.request as u; u.urlopen('http://192.0.2.1/', timeout=5)"],
                          text=True, capture_output=True)
    assert re.search("the tests must not (reach|look up) 192.0.2.1", done.stderr)
    with pytest.raises(urllib.error.URLError, match="must not look up huggingface.co"):
        urllib.request.urlopen("https://huggingface.co", timeout=5)
