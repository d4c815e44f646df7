"""pytest plugin: the pocket Hub behind every test and notebook, and a table of the notebooks at the end.

It starts before anything imports a Hugging Face library: a pocket Hub, a fresh HF_HOME, and a guard
that refuses connections to other machines. Nothing here chooses a device.
"""
from __future__ import annotations

import os
import runpy
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from nbval.plugin import IPyNbCell

from .course import PEAK_GB, ROOT, budget, peak_gb
from .pocket_hub.__main__ import UNSET, environment
from .pocket_hub.server import PocketHub

GUARD = Path(__file__).parent / "no_network"
SLOW_SECONDS = 10
SLOWEST = 10

seconds: dict[str, dict[str, float]] = defaultdict(dict)  # notebook -> cell -> seconds
peaks: dict[str, float] = {}  # notebook -> GB


def pytest_configure(config):
    hub = PocketHub().__enter__()
    home = tempfile.TemporaryDirectory(prefix="pocket-hub-", ignore_cleanup_errors=True)
    for name in UNSET:
        os.environ.pop(name, None)
    os.environ.update(environment(hub.url, home.name))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), os.environ.get("PYTHONPATH")]))
    runpy.run_path(str(GUARD / "sitecustomize.py"))
    config.add_cleanup(lambda: (hub.__exit__(), home.cleanup()))


def errors(outputs) -> list[str]:
    return [output["ename"] for output in outputs if output["output_type"] == "error"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        result = yield
        if isinstance(item, IPyNbCell) and errors(item.test_outputs) != errors(item.cell.outputs):  # nbval lets a tagged cell pass anyway
            pytest.fail(f"the page shows {errors(item.cell.outputs) or 'no error'}, this run raised {errors(item.test_outputs) or 'none'}:\n{item.cell.source}")
        return result
    finally:
        if isinstance(item, IPyNbCell) and (peak := peak_gb(item.parent.kernel.km.provisioner.pid)) is not None:
            peaks[item.path.relative_to(ROOT).as_posix()] = peak


def pytest_runtest_logreport(report):
    notebook, _, cell = report.nodeid.partition("::")
    if report.when == "call" and notebook.endswith(".ipynb"):
        seconds[notebook][cell] = report.duration


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
