"""The course as the tests see it: the chapters, and what a notebook is made of."""
from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path

import nbformat
from nbconvert import PythonExporter

ROOT = Path(__file__).parent.parent
CHAPTERS = {
    "intro-huggingface.ipynb": "1",
    "intro-transformer.ipynb": "2",
    "intro-transformer-encoder.ipynb": "2.1",
    "intro-transformer-decoder.ipynb": "2.2",
    "pii-detection-encoder.ipynb": "3",
    "qa-decoder.ipynb": "4",
    "pii-masking-encode-decode.ipynb": "5",
}
CONCEPT_SECONDS, TRAINING_SECONDS, PEAK_GB = 90, 180, 3.0


def budget(name: str) -> int:
    """Seconds a notebook may take offline on two cores."""
    return CONCEPT_SECONDS if name.startswith("intro") else TRAINING_SECONDS


def peak_gb(pid: int) -> float | None:
    """The most memory a process has held so far; None where the system doesn't tell, or the process is dead."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    sizes = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    return sizes[0] / 1024 ** 2 if sizes else None


def load(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / name, as_version=4)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def code(notebook) -> str:
    return "\n\n".join(cell.source for cell in code_cells(notebook))


def tagged(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def output_text(cell) -> str:
    """What a code cell printed and showed, as text."""
    texts = []
    for output in cell.get("outputs", []):
        texts.append(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
    return "\n".join(texts)


def requirements() -> dict[str, str]:
    """Name and version of each line of requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def install_line(notebook) -> str:
    """The %pip line of cell 2, or an empty string."""
    found = re.search(r"^%pip install .*$", code(notebook), re.M)
    return found[0] if found else ""


def definitions(name: str) -> dict:
    """What a notebook defines, without its work: imports, classes, functions, constants in capitals, the tokenizer and the device."""
    namespace: dict = {"model": None}  # a default of chapter 3's functions
    for cell in code_cells(load(name)):
        if {"exercise", "exercise-check", "solution", "notebook-only"} & set(cell.metadata.get("tags", [])):
            continue
        for node in ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.M)).body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            constant = isinstance(node, (ast.Assign, ast.AugAssign)) and names and all(name.isupper() or name in ("device", "tokenizer") for name in names)
            filled = isinstance(node, ast.For) and ast.unparse(node.iter) == "PIECES.items()"
            if constant or filled or isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)):
                read, written = ({part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, kind)} for kind in (ast.Load, ast.Store))
                if constant and not all(part in namespace or hasattr(builtins, part) for part in read - written):
                    continue  # a constant made of what the notebook computes
                exec(compile(ast.Module([node], []), name, "exec"), namespace)
    return namespace


def script(name: str, last: str, **parameters) -> str:
    """The notebook as nbconvert exports it, up to the cell tagged `last`, without what only a notebook can do, and with
    some of its parameters changed as papermill would."""
    notebook = load(name)
    end = next(i for i, cell in enumerate(notebook.cells) if last in cell.metadata.get("tags", []))
    notebook.cells = [cell for cell in notebook.cells[:end + 1] if "notebook-only" not in cell.metadata.get("tags", [])]
    for knob, value in parameters.items():
        cell = tagged(notebook, "parameters")[0]
        cell.source, changed = re.subn(rf"^({knob}) = .*$", rf"\1 = {value!r}", cell.source, flags=re.M)
        assert changed, f"{name} has no parameter {knob}"
    return PythonExporter().from_notebook_node(notebook)[0]
