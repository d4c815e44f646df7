"""Nothing the course downloads runs code unasked or changes behind its back, and no secret is carried away.

What the pocket Hub lets in, and that it listens on loopback alone, is tested in test_pocket_hub.py.
"""
import ast
import json
import re
from pathlib import Path

import pytest

from .course import CHAPTERS, ROOT, code_cells, load
from .pocket_hub.server import REPOS

PROGRAMS = [path for path in [*(ROOT / "tests").rglob("*.py"), ROOT / ".ci" / "run", *(ROOT / ".github").rglob("*.yml")] if path != Path(__file__)]
CATALOG = json.loads((REPOS / "catalog.json").read_text(encoding="utf-8"))
PINS = {name.partition("/")[2]: entry["revision"] for name, entry in CATALOG.items() if "revision" in entry}
LOADERS = {"from_pretrained", "load_dataset", "pipeline", "hf_hub_download", "snapshot_download", "model_info", "dataset_info"}
UNPINNED = {  # loaded without a revision
    "google-bert/bert-base-uncased", "MoritzLaurer/mDeBERTa-v3-base-mnli-xnli", "ckiplab/albert-tiny-chinese-pos",  # the design gives them none
    "json", "csv", "folder", "final", "product", "base"}  # files, and what the notebook itself has saved or made
ENVIRONMENT = {"DRCD_BASE_URL", "DISABLE_SAFETENSORS_CONVERSION", "LOCAL_RANK", "WORLD_SIZE"}  # all that a notebook may ask for or set
SECRETS = (r"\bhf_[A-Za-z0-9]{20,}|\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bAKIA[A-Z0-9]{16}\b|\bsk-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}"
           r"|\bAIza[\w-]{35}|\beyJ[\w-]{10,}\.eyJ|Bearer [\w.=-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s:@]+@"
           r"|\b(?i:password|passwd|secret|api_?key|token) ?= ?\\?[\"'][^\"'\s]{6,}[\"']")


@pytest.fixture(params=CHAPTERS)
def notebook(request):
    return load(request.param)


def code(notebook) -> dict[str, str]:
    """The cells that may load something; those that show an old call fail before they do."""
    return {cell["id"]: re.sub(r"^%.*$", "", cell.source, flags=re.M) for cell in code_cells(notebook)
            if "raises-exception" not in cell.metadata.get("tags", [])}


def calls(source: str) -> list[tuple[ast.Call, str]]:
    """Every call, with the last part of its name; also those of a program that an f-string holds for a fresh process."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            found.append((node, ast.unparse(node.func).rpartition(".")[2]))
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else ast.unparse(part.value) for part in node.values)
            found += calls(text) if text.startswith("\nimport ") else []
    return found


def constants(notebook) -> dict[str, str]:
    """The strings that have a name in capitals."""
    return dict(re.findall(r'^([A-Z_]+) = "(.*?)"', "\n".join(code(notebook).values()), re.M))


def test_no_code_of_a_repository_is_trusted(notebook):
    word = "trust_remote_code"
    assert not [where for where, source in code(notebook).items() if word in source]
    assert not [path for path in PROGRAMS if word in path.read_text(encoding="utf-8")]


def test_what_has_a_pin_is_loaded_at_its_pin(notebook):
    known, loose, seen = constants(notebook), [], set()
    def text(node):
        name = getattr(node, "id", getattr(node, "value", None))
        return known.get(name, name) if isinstance(name, str) else ""
    for where, source in code(notebook).items():
        for node, name in calls(source):
            if name in LOADERS:
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                pins = {PINS[text(part)] for part in [*node.args, *given.values()] if text(part) in PINS}
                chosen = text(given.get("model", (node.args or [None])[0]))
                if pins - {text(given.get("revision"))} or "revision" not in given and not pins and chosen not in UNPINNED:
                    loose.append(f"cell {where}: {ast.unparse(node)}")
                seen |= pins
    assert len(PINS) >= 9 and seen and not loose, "\n".join(loose)


def test_what_is_not_on_the_hub_has_a_commit_in_its_address(notebook):
    known = constants(notebook)
    filled = re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), "\n".join(code(notebook).values()))
    assert not re.findall(r"https://(?!raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}\b)\S*", filled)


def test_stand_ins_hold_nothing_that_runs_when_it_is_loaded():
    files = [path for path in REPOS.rglob("*") if path.is_file()]
    unsafe = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".msgpack", ".npy", ".npz"}
    assert not [path for path in files if path.suffix in unsafe]
    models = [path.parent for path in files if path.name == "config.json"]
    assert len(models) >= 11 and all((folder / "model.safetensors").exists() for folder in models)
    assert {path.relative_to(REPOS).parts[0] for path in files if path.suffix == ".py"} == {"spaces"}  # our own metrics, for evaluate.load


def test_no_secret_in_source_or_output(notebook):
    text = json.dumps([(cell.source, cell.get("outputs")) for cell in notebook.cells], ensure_ascii=False)
    assert not re.findall(SECRETS, re.sub(r'"image/png": "[^"]*"', "", text))


@pytest.mark.parametrize("secret", ["hf_" + "aB3" * 12, "ghp_" + "x1" * 18, "AKIA" + "ABCD1234" * 2, "Authorization: Bearer " + "abc.def.ghi",
                                    "https://me:" + "hunter2@example.org", "pass" + "word = 'hunter2!'", "-----BEGIN RSA " + "PRIVATE KEY-----"])
def test_a_secret_would_be_seen(secret):
    assert re.search(SECRETS, json.dumps(secret))


def test_the_readers_token_is_neither_read_nor_shown(notebook):
    """A notebook may ask whether there is a token, but not which, and of the environment it sees only what the list above names."""
    source = "\n".join(code(notebook).values())
    assert not re.search("HF_TOKEN|HUGGING_FACE_HUB_TOKEN", source + json.dumps([cell.outputs for cell in code_cells(notebook)]))
    asked = re.findall(r"environ(?:\.get\(|\.setdefault\(|\[)\"(\w+)\"", source)
    assert set(asked) <= ENVIRONMENT and len(asked) == len(re.findall(r"\benviron\b|\bgetenv\b", source))
    assert len(re.findall(r"\bget_token\(", source)) == len(re.findall(r"\bget_token\(\) is None", source))


def test_nothing_is_unpickled():
    sources = [source for name in CHAPTERS for source in code(load(name)).values()]
    sources += [path.read_text(encoding="utf-8") for path in PROGRAMS if path.suffix == ".py"]
    for node, name in (call for source in sources for call in calls(source)):
        owner, given = ast.unparse(node.func).rpartition(".")[0], {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert owner not in ("pickle", "joblib", "dill", "shelve") and name not in ("read_pickle", "Unpickler"), ast.unparse(node)
        assert given.get("allow_pickle", "False") == "False", ast.unparse(node)
        assert (owner, name) != ("torch", "load") or given.get("weights_only") == "True", ast.unparse(node)
