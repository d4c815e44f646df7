"""The notebook contract: every line of it, for every notebook."""
import ast
import base64
import json
import os
import re
import socket
import subprocess
import sys

import pytest

from .course import CHAPTERS, ROOT, code, code_cells, install_line, load, output_text, prose, requirements, tagged

BADGE = "https://colab.research.google.com/github/jonascheng/learning-transformer-with-huggingface/blob/main/"
BROUGHT_BY_COLAB = {"torch", "numpy", "pandas", "matplotlib"}
UNPINNED = {"aiohttp", "protobuf", "scikit-learn"}  # used by datasets, transformers and evaluate's scripts, not imported; Colab's own version must stay
MODULES = {"pylopdf-fonts-zh-tw": "pylopdf_fonts_zh_tw"}  # where the package is imported by another name
LONGEST_CELL, WIDEST_LINE = 25, 130
RUN_EACH = """
import contextlib, io, json, sys, time
told = {}
for name, source in json.load(sys.stdin).items():
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(source, names := {"clock": time.monotonic})
    told[name] = said.getvalue(), names["waited"]
print(json.dumps(told))
"""
WRONG_WORDS = {  # what Taiwanese readers would stumble over, and what to write
    "令牌": "詞元", "內嵌": "嵌入", "精調": "微調", "掩碼": "遮罩", "數據集": "資料集", "數據": "資料", "信息": "資訊", "軟件": "軟體",
    "網絡": "網路", "顯存": "顯示記憶體", "視頻": "影片", "默認": "預設", "代碼庫": "程式庫", "調用": "呼叫", "優化器": "最佳化器",
    "矢量": "向量", "字符": "字元", "服務器": "伺服器", "內存": "記憶體", "硬件": "硬體", "函數庫": "函式庫"}


@pytest.fixture(params=CHAPTERS)
def name(request):
    return request.param


@pytest.fixture
def notebook(name):
    return load(name)


def headings(notebook) -> list[str]:
    return re.findall(r"^##? .*$", prose(notebook), re.M)


# --- 1. title cell ------------------------------------------------------------------------------

def test_title_cell_names_chapter_badge_outcome_cost_and_prerequisites(name, notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert re.match(rf"# 第 {re.escape(CHAPTERS[name])} 章 ", first.source)
    assert f"({BADGE}{name})" in first.source
    for wanted in ("讀完你會做出", "時間與記憶體", "先備知識"):
        assert wanted in first.source, f"the title cell lacks {wanted}"


def test_title_cell_gives_measured_cost_and_marks_estimates(notebook):
    source = notebook.cells[0].source
    assert re.search(r"^\| CPU [^|]*\| \d+ 秒 \| (\d+\.\d GB|-) \|", source, re.M), "run python -m tests.refresh"
    t4 = re.search(r"^\| [^|]*T4[^|]*\|", source, re.M)
    assert t4 and ("估計" in t4[0] or "實測" in t4[0])


# --- 2. install cell ----------------------------------------------------------------------------

def test_install_cell_is_one_quiet_pip_line(notebook):
    cell = notebook.cells[1]
    assert cell.cell_type == "code" and re.fullmatch(r"%pip install -q [^\n]+", cell.source)
    assert code(notebook).count("pip install") == 1


def test_install_cell_has_the_pins_of_requirements_and_nothing_colab_brings(notebook):
    packages = install_line(notebook).split()[3:]
    pins = dict(package.split("==") for package in packages if package not in UNPINNED)
    assert pins.items() <= requirements().items()
    assert not pins.keys() & BROUGHT_BY_COLAB


def test_install_cell_has_only_what_the_notebook_imports(notebook):
    imported = {line.split(".")[0] for line in imports(notebook)}
    for package in install_line(notebook).split()[3:]:
        package = package.split("==")[0]
        assert package in UNPINNED or MODULES.get(package, package) in imported, f"{package} is installed but not imported"


def imports(notebook) -> set[str]:
    """Modules the notebook imports; also checks that every code cell is Python once magics are left out."""
    found = set()
    for cell in code_cells(notebook):
        tree = ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.M))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.names[0].name != "*", "no import *"
                found.add(node.module)
    return found


# --- 3. environment cell ------------------------------------------------------------------------

def test_environment_cell_prints_versions_device_precision_and_hub(notebook):
    lines = output_text(notebook.cells[2]).splitlines()
    for label in ("套件", "裝置", "精度", "Hub"):
        assert [line for line in lines if line.startswith(label)], f"cell 3 prints no line that begins with {label}"
    assert any("替身" in line for line in lines), "the committed outputs come from stand-ins, so cell 3 must say so"


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "silent"])
def test_environment_cell_says_plainly_that_the_hub_cannot_be_reached(endpoint, tmp_path):
    """Every notebook's cell in turn, in one process that has imported the libraries once; what a silent Hub is given is a tenth of its time."""
    with socket.socket() as silent:  # accepts connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}" if endpoint == "silent" else endpoint
        cells = {name: load(name).cells[2].source for name in CHAPTERS}
        assert all(source.count("seconds: float = 5.0") == 1 for source in cells.values())
        hasty = {name: re.sub(r"^(hub = .*)$", r"asked = clock(); \1; waited = clock() - asked", source.replace("= 5.0", "= 0.5"), flags=re.M)
                 for name, source in cells.items()}
        done = subprocess.run([sys.executable, "-c", RUN_EACH], input=json.dumps(hasty), env={**os.environ, "HF_ENDPOINT": url}, text=True,
                              capture_output=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.keys() == CHAPTERS.keys()
    for name, (said, waited) in told.items():
        assert "連不到" in said and "python -m tests.pocket_hub" in said and "Traceback" not in said + done.stderr, (name, said)
        assert waited < 1.5, name


# --- 4. parameters cell -------------------------------------------------------------------------

def test_parameters_cell_is_tagged_and_every_knob_has_a_comment(notebook):
    cell = notebook.cells[3]
    assert cell.metadata.get("tags") == ["parameters"] and len(tagged(notebook, "parameters")) == 1
    knobs = [line for line in cell.source.splitlines() if re.match(r"[A-Z_]+ = ", line)]
    assert knobs and all("  # " in line for line in knobs)
    assert "SEED = " in cell.source


def test_checkpoints_are_pinned_and_the_pocket_hub_serves_the_pins(notebook):
    from .pocket_hub.server import REPOS

    catalog = json.loads((REPOS / "catalog.json").read_text(encoding="utf-8"))
    known = {entry.get("revision") for entry in catalog.values()} | {path.name for path in (REPOS / "raw").glob("*/*/*")}
    pins = set(re.findall(r"\b[0-9a-f]{40}\b", code(notebook)))
    assert pins and pins <= known


def test_no_switch_for_tests_alone(notebook):
    assert not re.search(r"\bCI\b|PYTEST|NBVAL_(?!CHECK_OUTPUT)|\bTESTING\b|POCKET_HUB|stand_in.*\bif\b.*else", code(notebook).replace("hub.get(\"stand_in\")", ""))


# --- 5. body ------------------------------------------------------------------------------------

def sections(notebook) -> dict[str, list]:
    """The cells below each numbered heading."""
    found, current = {}, None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^## (.*)$", cell.source, re.M):
                current = heading if re.match(r"\d", heading) else None
                if current:
                    found[current] = []
        elif current:
            found[current].append(cell)
    return found


def test_sections_are_numbered_in_order(name, notebook):
    numbers = [heading.split()[0] for heading in sections(notebook)]
    chapter = CHAPTERS[name] + (".0" if CHAPTERS[name] == "2" else "")  # 2.1 and 2.2 are chapters of their own
    assert len(numbers) >= 5 and numbers == [f"{chapter}.{i}" for i in range(1, len(numbers) + 1)]


def test_prose_comes_before_every_section_and_explains(notebook):
    assert len(prose(notebook)) > 1500
    assert sum(cell.cell_type == "markdown" for cell in notebook.cells) >= len(sections(notebook))


# --- 6. measured claims -------------------------------------------------------------------------

def test_every_section_proves_something(notebook):
    for heading, cells in sections(notebook).items():
        assert any("assert" in cell.source for cell in cells), f"nothing in {heading} can fail"


def test_no_assertion_that_cannot_fail(notebook):
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.M))):
            assert not (isinstance(node, ast.Assert) and isinstance(node.test, (ast.Constant, ast.Tuple))), cell.source


# --- 7. exercises -------------------------------------------------------------------------------

def test_exercises_have_stub_check_and_folded_solution(notebook):
    stubs, checks, solutions = (tagged(notebook, tag) for tag in ("exercise", "exercise-check", "solution"))
    assert len(stubs) >= 3 and len(stubs) == len(checks) == len(solutions)
    order = [cell.metadata.tags[0] for cell in notebook.cells if set(cell.metadata.get("tags", [])) & {"exercise", "exercise-check", "solution"}]
    assert order == ["exercise", "exercise-check", "solution"] * len(stubs)
    assert set(re.findall(r"^### 練習 \d+\uff08(基礎|進階|挑戰)\uff09", prose(notebook), re.M)) == {"基礎", "進階", "挑戰"}
    for check, solution in zip(checks, solutions):
        assert "尚未完成" in output_text(check)
        assert solution.metadata.get("cellView") == "form" and solution.metadata.get("jupyter", {}).get("source_hidden") is True
        assert solution.source.startswith("# @title 練習") and re.search(r"^assert check_", solution.source, re.M)


# --- 8. quiz and ending -------------------------------------------------------------------------

def test_quiz_explains_every_option(notebook):
    questions = re.findall(r"<details><summary>(.*?)</details>", prose(notebook), re.S)
    assert len(questions) >= 5
    for question in questions:
        options = re.findall(r"^- [A-D]\. .*$", question, re.M)
        assert len(options) >= 3 and all(re.search(r"\*\*(對|錯)\*\*", option) for option in options), question
        assert sum("**對**" in option for option in options) == 1, question


def test_the_ending_is_in_order(notebook):
    ending = [heading for heading in headings(notebook) if not re.match(r"##? (\d|第)", heading)]
    assert ending == ["## 練習", "## 小測驗", "## 重點整理", "## 下一章", "## 延伸閱讀"]


# --- 9. hygiene ---------------------------------------------------------------------------------

def test_outputs_are_committed_and_run_in_order(notebook):
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert sum(bool(cell.outputs) for cell in code_cells(notebook)) > 0.8 * len(code_cells(notebook)) > 0


def test_no_error_outputs_but_the_announced_ones(notebook):
    for cell in code_cells(notebook):
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in cell.metadata.get("tags", [])), cell.source


def test_no_warnings_in_the_outputs(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert not (output.output_type == "stream" and output["name"] == "stderr"), output["text"][:300]
            assert "missing from font" not in output.get("text", "")


def test_metadata_for_colab_and_none_of_widgets(notebook):
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.accelerator == "GPU" and notebook.metadata.colab["gpuType"] == "T4"
    assert notebook.metadata.kernelspec["name"] == "python3"
    for cell in notebook.cells:
        assert not {"execution", "ExecuteTime", "collapsed"} & cell.metadata.keys()
        for output in cell.get("outputs", []):
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


def test_no_absolute_paths_secrets_or_passing_addresses(notebook):
    text = json.dumps([{key: value for key, value in cell.items() if key in ("source", "outputs")} for cell in notebook.cells])
    text = re.sub(r'"image/png": "[^"]*"', "", text)
    assert not re.search(r"/home/|/root/|/Users/|/tmp/|C:\\\\|/work/|site-packages|hf_[A-Za-z]{20}|127\.0\.0\.1:\d", text)


def test_images_are_drawn_or_embedded(notebook):
    images = re.findall(r"!\[[^\]]*\]\(([^)]+)\)|<img[^>]+src=[\"']?([^\"' >]+)", prose(notebook))
    shown = [a or b for a, b in images]
    assert all(url.startswith(("https://colab.research.google.com/assets/", "data:", "attachment:")) for url in shown), shown


def test_cell_ids_are_stable_and_the_file_is_small(name, notebook):
    ids = [cell["id"] for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert (ROOT / name).stat().st_size < 1_000_000


def test_figures_hold_pixels(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert len(base64.b64decode(output["data"]["image/png"])) > 3000, cell.source


def test_cells_are_short_and_lines_fit_the_page(notebook):
    """The environment cell, the same in every notebook, may be longer."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and index != 2:
            lines = [line for line in cell.source.splitlines() if not line.startswith("%pip")]
            assert len(lines) <= LONGEST_CELL, cell.source
            wide = [line for line in lines if len(line) + len(re.findall(r"[\u3000-\u9fff\uff00-\uffef]", line)) > WIDEST_LINE]
            assert not wide, wide


def test_full_width_punctuation_and_taiwanese_words(notebook):
    text = re.sub(r"`[^`]*`|\$[^$]*\$|https?://\S+", "", prose(notebook))
    assert not re.findall(r".{5}[\u4e00-\u9fff][,:;!?].{0,5}", text)
    found = {wrong: right for wrong, right in WRONG_WORDS.items() if wrong in text + code(notebook)}
    assert not found, found


# --- 10. deterministic cells --------------------------------------------------------------------

def test_ten_cells_have_their_output_checked(notebook):
    checked = [cell for cell in code_cells(notebook) if re.search(r"^# NBVAL_CHECK_OUTPUT$", cell.source, re.M)]
    assert len(checked) >= 10
    assert all(cell.outputs for cell in checked)
    for cell in checked:
        assert not re.search(r"\d\.\d{4,}", output_text(cell)), "floats belong into tolerance asserts"


def test_top_level_holds_the_course_and_nothing_else():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    top = {path.split("/")[0] for path in tracked}
    assert {entry for entry in top if not entry.startswith(".")} == {"README.md", "requirements.txt", "tests", *CHAPTERS}
