"""Other machines: other Pythons, the C locale, an odd path, a checkout that can't be written to, less memory, and Colab.

CI runs the whole suite on every Python of PYTHONS; here stands what one machine can tell about the others.
"""
import ast
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .course import CHAPTERS, PEAK_GB, ROOT, code, code_cells, install_line, load, output_text, requirements, script, tagged
from .refresh import normalise

PYTHONS = ("3.11", "3.12", "3.13")
REMOVED = {"aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr", "imp", "lib2to3", "mailcap", "nntplib",
           "pipes", "smtpd", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"}  # gone in 3.12 or 3.13
NEWER = {"copy.replace", "itertools.batched", "math.fma", "math.sumprod", "os.process_cpu_count", "random.binomialvariate", "typing.ReadOnly",
         "typing.TypeAliasType", "typing.TypeIs", "typing.override", "warnings.deprecated"}  # not yet in 3.11
WRITERS = {"copyfile", "copytree", "dump", "makedirs", "mkdir", "move", "rmtree", "save", "save_file", "save_model", "save_pretrained",
           "save_to_disk", "savefig", "savez", "to_csv", "to_json", "to_parquet", "touch", "unlink", "write_bytes", "write_text"}
CHECKOUT = [".ci", ".github", ".pytest.ini", "README.md", "requirements.txt", "tests", *CHAPTERS]
SMALL = {"TRAIN_SIZE": 64, "VALID_SIZE": 20, "TEST_SIZE": 20, "EPOCHS": 1}
GOES_ELSEWHERE = """
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as said:
    folder = output_folder(OUTPUT)
assert "outputs/pii-detector 不能寫入" in said.getvalue() and folder.name in said.getvalue(), said.getvalue()
assert Path.cwd() not in folder.resolve().parents and list(run_folder.glob("checkpoint-*"))
"""
ON_COLAB = ("torch", "numpy", "pandas", "matplotlib", "requests", "tqdm", "ipykernel", "ipywidgets")


def plain(source: str) -> str:
    """Code without its magics."""
    return re.sub(r"^%.*$", "", source, flags=re.M)


def modules(node: ast.AST) -> set[str]:
    """What an import statement imports from; nothing for anything else."""
    found = {alias.name for alias in node.names} if isinstance(node, ast.Import) else {node.module} if isinstance(node, ast.ImportFrom) else set()
    return {module for module in found if module and not getattr(node, "level", 0)}


def programs() -> dict[str, str]:
    """Every program of the course: the files of tests/, and the cells of the notebooks."""
    files = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    return files | {f"{name} {cell['id']}": plain(cell.source) for name in CHAPTERS for cell in code_cells(load(name))}


# --- other Pythons ------------------------------------------------------------------------------

def test_nothing_is_too_new_for_the_oldest_python_or_gone_in_the_newest():
    for where, source in programs().items():
        for node in ast.walk(ast.parse(source, where, feature_version=tuple(map(int, PYTHONS[0].split("."))))):
            used = {ast.unparse(node)} if isinstance(node, ast.Attribute) else set()
            if isinstance(node, ast.ImportFrom) and not node.level:
                used = {f"{node.module}.{alias.name}" for alias in node.names}
            assert not used & NEWER and not {module.split(".")[0] for module in modules(node)} & REMOVED, (where, ast.unparse(node))


@pytest.mark.parametrize("version", PYTHONS)
def test_every_program_compiles_without_a_warning(version):
    python = sys.executable if sys.version.startswith(f"{version}.") else shutil.which(f"python{version}")
    if not python or subprocess.run([python, "-V"], capture_output=True).returncode:
        pytest.skip(f"no Python {version} here")
    compiler = "import json, sys\nfor where, source in json.load(sys.stdin).items(): compile(source, where, 'exec')"
    done = subprocess.run([python, "-W", "error", "-c", compiler], input=json.dumps(programs()), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_readme_and_ci_name_these_pythons():
    assert f"Python {PYTHONS[0]} 到 {PYTHONS[-1]}" in (ROOT / "README.md").read_text(encoding="utf-8")
    matrix = re.search(r"python: (\[.*\])", (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))[1]
    assert tuple(json.loads(matrix)) == PYTHONS


# --- any order of the notebooks -----------------------------------------------------------------

def names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def own_places(tree: ast.AST) -> set[str]:
    """The names that hold something in the notebook's OUTPUT or in a temporary folder, followed from name to name."""
    bound = [(target, node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets]
    bound += [(node.target, node.iter) for node in ast.walk(tree) if isinstance(node, ast.For)]
    bound += [(node.optional_vars, node.context_expr) for node in ast.walk(tree) if isinstance(node, ast.withitem) and node.optional_vars]
    own = {"OUTPUT", "output_folder", "tempfile", "wanted"}  # `wanted` is the parameter of output_folder()
    while new := {name for target, value in bound if names(value) & own for name in names(target)} - own:
        own |= new
    return own


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_writes_into_its_own_places_alone(name):
    tree = ast.parse(plain(code(load(name))))
    own = own_places(tree)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = ast.unparse(call.func).rpartition(".")[2]
        opened = function == "open" and re.search(r"""['"][wax]b?\+?['"]""", ast.unparse(call))
        writing = [call] if function in WRITERS or opened else [keyword.value for keyword in call.keywords if keyword.arg == "output_dir"]
        assert all(names(part) & own for part in writing), ast.unparse(call)


def test_no_notebook_touches_what_another_one_wrote():
    texts = {name: code(load(name)) for name in CHAPTERS}
    outputs = {name: found[1] for name, text in texts.items() if (found := re.search(r'^OUTPUT = "outputs/([\w-]+)"', text, re.M))}
    assert len(outputs) == len(set(outputs.values())) == 3
    assert not [(name, other) for name, text in texts.items() for other, folder in outputs.items() if other != name and folder in text]
    helpers = {re.search(r"^def output_folder.*?^    return folder$", texts[name], re.M | re.S)[0] for name in outputs}
    assert len(helpers) == 1  # so that the run below speaks for all three


# --- the C locale, an odd path, no right to write -----------------------------------------------

@pytest.mark.skipif(os.name == "nt", reason="folders have no write bit on Windows")
def test_the_suite_passes_in_the_c_locale_on_an_odd_path_without_the_right_to_write(tmp_path):
    """Some quick tests and a training, whose checkpoints go elsewhere, and it says so; the checkout stays as it was."""
    checkout, home, temporary = tmp_path / "課程 資料" / "my course", tmp_path / "home", tmp_path / "temporary"
    shutil.copytree(ROOT, checkout, ignore=lambda folder, found: {"__pycache__"} if folder != str(ROOT) else {*found} - {*CHECKOUT})
    home.mkdir(), temporary.mkdir()
    (temporary / "pii-detector").mkdir(mode=0o555)  # another user of this machine has been here
    training = script("pii-detection-encoder.ipynb", "trained", **SMALL).replace("# NBVAL_CHECK_OUTPUT", "")
    cells = [nbformat.v4.new_code_cell(training), nbformat.v4.new_code_cell(GOES_ELSEWHERE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), checkout / "short.ipynb")
    subprocess.run(["chmod", "-R", "a-w", checkout], check=True)
    before = {path: path.stat().st_mtime_ns for path in [checkout, *checkout.rglob("*")]}

    bound = [] if os.geteuid() else ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]  # root as well has to heed the write bits
    if bound and not shutil.which("setpriv"):
        pytest.skip("root can't give up its rights here: no setpriv")
    env = {key: value for key, value in os.environ.items() if not re.match("LC_|PYTHONUTF8|PYTHONIOENCODING|PYTEST_|MPLCONFIGDIR|XDG_", key)}
    where = {"cwd": checkout, "env": {**env, "LANG": "C", "LC_ALL": "C", "HOME": str(home), "TMPDIR": str(temporary)}}
    assert b"denied" in subprocess.run([*bound, "touch", "new"], **where, capture_output=True).stderr
    suite = [sys.executable, "-m", "pytest", "-q", "-n0", "short.ipynb", "tests/test_course.py", "tests/test_security.py"]
    done = subprocess.run([*bound, *suite], **where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    subprocess.run(["chmod", "-R", "u+w", checkout], check=True)
    assert done.returncode == 0 and re.search(rb"short\.ipynb +2 ", done.stdout), done.stdout.decode()
    assert {path: path.stat().st_mtime_ns for path in [checkout, *checkout.rglob("*")]} == before


# --- memory -------------------------------------------------------------------------------------

def test_the_readme_says_how_much_memory_is_needed():
    """What the largest notebook may take, or two of them side by side for pytest, and 1 GB for Jupyter or pytest around it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    peaks = [float(peak) for peak in re.findall(r"\| (\d\.\d) GB \|$", text, re.M)]
    assert len(peaks) == len(CHAPTERS) and max(peaks) <= PEAK_GB
    stated = re.search(r"至少要有 (\d+) GB 可用的記憶體.*`pytest`.*至少要有 (\d+) GB", text)
    assert stated and float(stated[1]) >= PEAK_GB + 1 and float(stated[2]) >= 2 * PEAK_GB + 1


# --- Colab --------------------------------------------------------------------------------------

def with_dependencies(packages: list[str]) -> set[str]:
    """What pip would bring with these packages, as the ones installed here tell."""
    found, queue = set(), [Requirement(package) for package in packages]
    while queue:
        wanted = queue.pop()
        if (key := (canonicalize_name(wanted.name), frozenset(wanted.extras))) not in found:
            found.add(key)
            parts = [Requirement(line) for line in metadata.requires(wanted.name) or []]
            queue += [part for part in parts if not part.marker or any(part.marker.evaluate({"extra": extra}) for extra in wanted.extras or {""})]
    return {name for name, _ in found}


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_install_cell_brings_what_colab_lacks(name):
    text, brought = plain(code(load(name))), with_dependencies([*ON_COLAB, *install_line(load(name)).split()[3:]])
    imported, owners = {module.split(".")[0] for node in ast.walk(ast.parse(text)) for module in modules(node)}, metadata.packages_distributions()
    assert not [module for module in imported - sys.stdlib_module_names if not {canonicalize_name(owner) for owner in owners[module]} & brought]
    assert "data_files=" not in text or "aiohttp" in brought  # datasets reads an address through it


@pytest.mark.skipif("COLAB_REHEARSAL" not in os.environ, reason="minutes and 2 GB a notebook, from the package index; COLAB_REHEARSAL=1 asks for it")
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_alone_runs_as_on_colab_and_leaves_torch_and_numpy_alone(name, tmp_path):
    """A virtual environment with what Colab brings, the notebook alone in an empty folder, and its own install cell."""
    venv, alone = tmp_path / "venv", tmp_path / "content"
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}  # without the guard against the network
    env |= {"JUPYTER_PATH": str(venv / "share" / "jupyter"), "IPYTHONDIR": str(tmp_path / "ipython")}

    def run(*command) -> str:
        done = subprocess.run(list(map(str, command)), cwd=alone, env=env, text=True, encoding="utf-8", capture_output=True, timeout=1800)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    def versions() -> dict[str, str]:
        return {row["name"]: row["version"] for row in json.loads(run(python, "-m", "pip", "list", "--format", "json"))}

    alone.mkdir()
    shutil.copy(ROOT / name, alone)
    try:
        run(sys.executable, "-m", "venv", venv)
        run(python, "-m", "pip", "install", "-q", f"torch=={requirements()['torch']}", *ON_COLAB[1:])
        run(python, "-m", "ipykernel", "install", "--sys-prefix", "--name", "colab")
        before = versions()
        run(sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--inplace", "--ExecutePreprocessor.kernel_name=colab", name)
        after, notebook = versions(), nbformat.read(alone / name, as_version=4)
    finally:
        shutil.rmtree(venv, ignore_errors=True)
    kept = {package: after[package] for package in ON_COLAB}
    print(name, kept, f"and {len(after) - len(before)} packages more")
    assert "transformers" not in before and kept.items() <= before.items()
    normalise(notebook)  # what one cell printed may have come in pieces
    assert "ERROR" not in output_text(notebook.cells[1])  # pip's word for versions that don't fit each other
    for cell, published in zip(code_cells(notebook), code_cells(load(name))):
        failed = [output.evalue for output in cell.outputs if output.output_type == "error"]
        assert bool(failed) == (cell in tagged(notebook, "raises-exception")), (cell.source, failed)
        assert not re.search("^# NBVAL_CHECK_OUTPUT$", cell.source, re.M) or output_text(cell) == output_text(published), cell.source
