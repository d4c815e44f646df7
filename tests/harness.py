"""pytest plugin: the pocket Hub behind every test and notebook, and a table of the notebooks at the end.

It starts before anything imports a Hugging Face library: a pocket Hub, a fresh HF_HOME, and a guard
that refuses connections to other machines. Nothing here chooses a device.
"""
from __future__ import annotations

import gc
import os
import runpy
import tempfile
from collections import defaultdict
from pathlib import Path
from queue import Empty

import pytest
from nbval.plugin import IPyNbCell

from .course import PEAK_GB, ROOT, budget, peak_gb
from .pocket_hub.__main__ import UNSET, environment
from .pocket_hub.server import PocketHub

EVERY_PROCESS = Path(__file__).parent / "every_process"
SLOW_SECONDS = 10
SLOWEST = 10
LONG = {"test_training.py": 200, "test_browser.py": 60, "test_stand_ins.py": 60, "test_faults.py": 30, "test_other_machines.py": 20, "test_contract.py": 20}
SILENT_SECONDS = 20  # nbval waits 5 for the last word of a cell; a busy machine needs more now and then

seconds: dict[str, dict[str, float]] = defaultdict(dict)  # notebook -> cell -> seconds
peaks: dict[str, float] = {}  # notebook -> GB
HUB = pytest.StashKey[PocketHub]()
HOME = pytest.StashKey[Path]()


def pytest_configure(config):
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:  # the workers share the cores; two that take all of them each are slower than one
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    for name, size in (("MALLOC_MMAP_THRESHOLD_", 2 ** 26), ("MALLOC_TRIM_THRESHOLD_", 2 ** 29)):  # what a training step frees is kept for the next
        os.environ.setdefault(name, str(size))
    hub = config.stash[HUB] = PocketHub().__enter__()
    home = tempfile.TemporaryDirectory(prefix="pocket-hub-", ignore_cleanup_errors=True)
    for name in UNSET:
        os.environ.pop(name, None)
    config.stash[HOME] = Path(home.name)
    os.environ.update(environment(hub.url, home.name))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(EVERY_PROCESS), os.environ.get("PYTHONPATH")]))
    runpy.run_path(str(EVERY_PROCESS / "sitecustomize.py"))
    config.add_cleanup(lambda: (hub.__exit__(), home.cleanup()))


@pytest.fixture
def hub(pytestconfig):
    """The pocket Hub behind the test run, without faults."""
    yield pytestconfig.stash[HUB]
    pytestconfig.stash[HUB].faults.clear()


def pytest_collection_modifyitems(items):
    """The longest first, so that no worker is alone with one of them in the end."""
    def about(path: Path) -> int:
        return budget(path.name) if path.suffix == ".ipynb" else LONG.get(path.name, 0)

    items.sort(key=lambda item: about(item.path), reverse=True)


def pytest_collection_finish():
    gc.freeze()  # the libraries stay: no collection need look at them again


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Each notebook's kernel starts with an empty cache: what another one has downloaded would hide what a reader sees."""
    cell = isinstance(item, IPyNbCell)
    os.environ["HF_HOME"] = str(item.config.stash[HOME] / item.path.stem if cell else item.config.stash[HOME])
    if cell:
        item.output_timeout = SILENT_SECONDS


def let_idle_be_lost(kernel):
    """After a long training the kernel's word that it is idle now and then never comes, though its reply says that the cell ran without error:
    then that reply counts. What the cell printed is compared as ever."""
    ask, reply = kernel.get_message, {}

    def get_message(stream, timeout=None):
        try:
            message = ask(stream, timeout)
        except Empty:
            if stream != "iopub" or reply.pop("status", None) != "ok":
                raise
            return {"msg_type": "status", "content": {"execution_state": "idle"}, "parent_header": reply["parent"]}
        if stream == "shell":
            reply.update(status=message["content"]["status"], parent=message["parent_header"])
        return message

    kernel.get_message = get_message


def errors(outputs) -> list[str]:
    return [output["ename"] for output in outputs if output["output_type"] == "error"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if isinstance(item, IPyNbCell) and "get_message" not in vars(item.parent.kernel):
        let_idle_be_lost(item.parent.kernel)
    try:
        result = yield
        if isinstance(item, IPyNbCell) and errors(item.test_outputs) != errors(item.cell.outputs):  # nbval lets a tagged cell pass anyway
            pytest.fail(f"the page shows {errors(item.cell.outputs) or 'no error'}, this run raised {errors(item.test_outputs) or 'none'}:\n{item.cell.source}")
        return result
    finally:
        manager = isinstance(item, IPyNbCell) and getattr(item.parent.kernel, "km", None)  # nbval drops it with a kernel that fell silent
        if manager and (peak := peak_gb(manager.provisioner.pid)) is not None:
            item.user_properties.append(("peak GB", peak))  # a worker's report carries it to where the table is printed


def pytest_runtest_logreport(report):
    notebook, _, cell = report.nodeid.partition("::")
    if report.when == "call" and notebook.endswith(".ipynb"):
        seconds[notebook][cell] = report.duration
        peaks.update({notebook: value for name, value in report.user_properties if name == "peak GB"})


def pytest_terminal_summary(terminalreporter):
    if not seconds:
        return
    terminalreporter.section("notebooks")
    terminalreporter.line(f"{'notebook':<36}{'cells':>6}{'seconds':>9}{'peak GB':>9}")
    for notebook, cells in seconds.items():
        took, peak = sum(cells.values()), peaks.get(notebook)
        over = [f"over its {limit} {unit}" for value, limit, unit in
                [(took, budget(notebook), "s"), (peak or 0, PEAK_GB, "GB")] if value > limit]
        terminalreporter.line(f"{notebook:<36}{len(cells):>6}{took:>9.1f}{f'{peak:.2f}' if peak else '-':>9}  {', '.join(over)}")
    slowest = sorted(((took, notebook, cell) for notebook, cells in seconds.items() for cell, took in cells.items()), reverse=True)
    terminalreporter.line("")
    terminalreporter.line(f"slowest cells (slow: over {SLOW_SECONDS} s)")
    for took, notebook, cell in slowest[:SLOWEST]:
        terminalreporter.line(f"{took:>8.1f} s  {notebook} {cell}{'  slow' if took > SLOW_SECONDS else ''}")
