"""The README, requirements.txt and the maintainers' commands."""
import ast
import copy
import json
import re
import subprocess
import sys

import nbformat
import pytest

from .course import CHAPTERS, ROOT, install_line, load, requirements
from .refresh import MEASURED, normalise

README = (ROOT / "README.md").read_text(encoding="utf-8")
# Packages whose import name, or whose use, is not their own name.
USED_AS = {"pylopdf-fonts-zh-tw": "pylopdf_fonts_zh_tw", "jupyter": "nbclient", "jupyterlab-language-pack-zh-TW": None, "protobuf": None,
           "pytest-xdist": None}


def test_every_requirement_is_pinned_and_used():
    lines = [line for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in lines) and len(requirements()) == len(lines)
    code = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    code += [re.sub(r"^%.*$", "", cell.source, flags=re.M) for name in CHAPTERS for cell in load(name).cells if cell.cell_type == "code"]
    imported = set()
    for node in (node for source in code for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    unused = [name for name in requirements() if (module := USED_AS.get(name, name)) and module not in imported]
    assert not unused


def test_no_second_list_of_versions():
    for path in [ROOT / "README.md", ROOT / ".ci" / "run", ROOT / ".github" / "workflows" / "ci.yml"]:
        assert "==" not in re.sub(r"github\.event_name [!=]= |event_name == ", "", path.read_text(encoding="utf-8")), path


def test_installed_versions_are_the_pinned_ones():
    from importlib.metadata import version

    assert {name: version(name).partition("+")[0] for name in requirements()} == requirements()


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_readme_lists_each_chapter_with_its_badge(name):
    assert f"]({name})" in README
    assert f"/blob/main/{name}\n" in README
    assert re.search(rf"^\| {re.escape(CHAPTERS[name])} \| \[", README, re.M)


@pytest.mark.parametrize("name", sorted(CHAPTERS))
def test_the_readme_shows_the_cost_the_notebook_shows(name):
    seconds, memory = re.findall(r"\|([^|]*)\|([^|]*)\|$", MEASURED.search(load(name).cells[0].source)[0])[0]
    row = re.search(rf"^\| {re.escape(CHAPTERS[name])} \|.*$", README, re.M)[0]
    assert row.endswith(f"|{seconds}|{memory}|")


@pytest.mark.parametrize("name", ["README.md", *CHAPTERS])
def test_relative_links_lead_somewhere(name):
    text = README if name == "README.md" else "\n".join(cell.source for cell in load(name).cells if cell.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert not [link for link in links if not (ROOT / link).exists()]
    paths = re.findall(r"`((?:tests|\.ci)/[\w./-]*)`", text)
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_ci_runs_the_readmes_test_command():
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith("\npytest")
    assert "```bash\npytest\n```" in README
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


# --- refresh ------------------------------------------------------------------------------------

def widget_notebook():
    bar = ["  0%|   | 0/2", "\r 50%|#  | 1/2", "\r100%|###| 2/2\n", "done\n"]
    outputs = [nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "x"}),
               *(nbformat.v4.new_output("stream", name="stdout", text=step) for step in [*bar, "more\n"]),
               nbformat.v4.new_output("execute_result", {"text/plain": "3"}, execution_count=7)]
    cell = nbformat.v4.new_code_cell("1 + 2", outputs=outputs, execution_count=7, metadata={"execution": {"iopub.busy": "now"}, "tags": ["kept"]})
    cell["id"] = "my-cell"
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# x"), cell], metadata={"widgets": {"state": {}}})


def test_normalise_leaves_what_a_reader_should_see():
    notebook = widget_notebook()
    normalise(notebook)
    cell = notebook.cells[1]
    assert "widgets" not in notebook.metadata and cell.metadata == {"tags": ["kept"]} and cell["id"] == "my-cell"
    assert [output.output_type for output in cell.outputs] == ["stream", "execute_result"]
    assert cell.outputs[0]["text"] == "100%|###| 2/2\ndone\nmore\n"
    assert cell.execution_count == cell.outputs[1]["execution_count"] == 1
    nbformat.validate(notebook)


def test_normalise_twice_changes_nothing():
    notebook = widget_notebook()
    normalise(notebook)
    again = copy.deepcopy(notebook)
    normalise(again)
    assert again == notebook


@pytest.mark.parametrize("name", CHAPTERS)
def test_committed_notebooks_are_normalised(name):
    notebook = load(name)
    before = copy.deepcopy(notebook)
    normalise(notebook)
    assert notebook == before, f"run python -m tests.refresh {name}"


def test_refresh_with_an_unknown_notebook():
    done = subprocess.run([sys.executable, "-m", "tests.refresh", "none.ipynb"], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 2 and "no such notebook: none.ipynb" in done.stderr


# --- upgrade ------------------------------------------------------------------------------------

def test_upgrade_moves_every_pin(tmp_path, monkeypatch):
    from . import upgrade

    (tmp_path / "requirements.txt").write_text("# list\ntransformers==1.0\ndatasets==2.0\n", encoding="utf-8")
    for name in CHAPTERS:
        (tmp_path / name).write_text(json.dumps({"cells": [{"source": ["%pip install -q transformers==1.0 datasets==2.0 protobuf\n", "x = 'transformers==1.0'"]}]}))
    monkeypatch.setattr(upgrade, "ROOT", tmp_path)
    monkeypatch.setattr(upgrade, "requirements", lambda: dict(
        line.split("==") for line in (tmp_path / "requirements.txt").read_text().splitlines() if "==" in line))
    monkeypatch.setattr(upgrade.subprocess, "check_call", lambda command: None)
    monkeypatch.setattr(upgrade, "version", {"transformers": "9.1", "datasets": "8.0+cpu"}.get)
    upgrade.main()
    assert (tmp_path / "requirements.txt").read_text() == "# list\ntransformers==9.1\ndatasets==8.0\n"
    source = json.loads((tmp_path / "intro-transformer.ipynb").read_text())["cells"][0]["source"]
    assert source == ["%pip install -q transformers==9.1 datasets==8.0 protobuf\n", "x = 'transformers==1.0'"]


def test_the_install_cells_name_the_pins():
    for name in sorted(CHAPTERS):
        assert "transformers==" + requirements()["transformers"] in install_line(load(name))
