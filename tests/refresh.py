"""python -m tests.refresh [NOTEBOOK …]    runs notebooks offline and writes their outputs back, normalised

Under the pocket Hub, each in a fresh kernel. What it writes holds no widget state, no timings, and of a
traceback's paths the file names alone; cell ids stay. The measured seconds and memory go into the table of cell 1 and the README.
"""
from __future__ import annotations

import argparse
import hashlib
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from .course import CHAPTERS, ROOT, peak_gb

MEASURED = re.compile(r"^(\| CPU[^|]*\|)[^|]*\|[^|]*\|", re.M)  # the CPU row of cell 1
README_MEASURED = r"^(\| \[?{chapter} .*\|)[^|]*\|[^|]*\|$"
ABSOLUTE = re.compile(r"/[^\s:\"']*/([^\s/:\"']+\.py)")  # of a path in a traceback, the file's name is enough
SHELL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def run(notebook, folder: Path) -> tuple[float, float | None]:
    """Runs the notebook in place; returns seconds and the kernel's peak memory in GB."""
    peak = None

    def remember(cell, cell_index, execute_reply):
        nonlocal peak
        peak = peak_gb(client.km.provisioner.pid) or peak

    def announce(cell, cell_index):
        print(f"\r  cell {cell_index + 1}/{len(notebook.cells)}", end="", flush=True)

    client = NotebookClient(notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(folder)}},
                            on_cell_executed=remember, on_cell_start=announce, record_timing=False)
    began = time.monotonic()
    client.execute()
    print("\r", end="")
    return time.monotonic() - began, peak


def last_states(text: str) -> str:
    """Progress bars rewrite their line; only what stood there last is kept."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in SHELL_COLOURS.sub("", text).split("\n"))


def normalise(notebook):
    """Leaves of the outputs what a reader should see, and nothing that changes from run to run by itself."""
    notebook.nbformat_minor = max(notebook.nbformat_minor, 5)  # the first with cell ids
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata.setdefault("accelerator", "GPU")
    notebook.metadata.setdefault("colab", {"gpuType": "T4", "provenance": []})
    count = 0
    for index, cell in enumerate(notebook.cells):
        if not re.fullmatch(r"[a-z0-9-]{4,64}", cell.get("id", "")):
            cell["id"] = hashlib.sha1(f"{index}{cell.source}".encode()).hexdigest()[:8]
        for key in ("execution", "collapsed", "scrolled", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        outputs = []
        for output in cell.outputs:
            output.pop("transient", None)
            if "execution_count" in output:
                output["execution_count"] = count
            if output.output_type == "stream":
                output["text"] = "".join(output["text"])  # a string, or a list of lines
                if outputs and outputs[-1].output_type == "stream" and outputs[-1]["name"] == output["name"]:
                    outputs[-1]["text"] += output["text"]
                    continue
            elif "data" in output:
                if "application/vnd.jupyter.widget-view+json" in output["data"]:
                    continue
                output["metadata"] = {}
            outputs.append(output)
        for output in outputs:  # once joined: each step of a bar comes as an output of its own
            if output.output_type == "stream":
                output["text"] = last_states(output["text"])
            elif output.output_type == "error":
                output["traceback"] = [ABSOLUTE.sub(r"\1", SHELL_COLOURS.sub("", line)) for line in output["traceback"]]
                output["evalue"] = ABSOLUTE.sub(r"\1", output["evalue"])
        cell.outputs = outputs


def write_measured(notebook, chapter: str, seconds: float, peak: float | None):
    """Puts what was measured into the table of cell 1 and the chapter table of the README."""
    shown = f" {seconds:.0f} 秒 | {peak:.1f} GB |" if peak else f" {seconds:.0f} 秒 | - |"
    notebook.cells[0].source = MEASURED.sub(lambda row: row[1] + shown, notebook.cells[0].source)
    readme = ROOT / "README.md"
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        row = re.compile(README_MEASURED.format(chapter=re.escape(chapter)), re.M)
        readme.write_text(row.sub(lambda found: found[1] + shown, text), encoding="utf-8")


def refresh(name: str):
    path = ROOT / name
    notebook = nbformat.read(path, as_version=4)
    seconds, peak = run(notebook, ROOT)
    normalise(notebook)
    write_measured(notebook, CHAPTERS[name], seconds, peak)
    nbformat.write(notebook, path)
    print(f"{name}: {seconds:.0f} s, {f'{peak:.2f} GB' if peak else 'memory unknown'}, {path.stat().st_size:,} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.refresh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="default: all")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = [Path(name).name for name in arguments.notebooks] or list(CHAPTERS)
    if unknown := [name for name in names if name not in CHAPTERS]:
        parser.error(f"no such notebook: {', '.join(unknown)}; there are: {', '.join(CHAPTERS)}")
    if not arguments.inside:  # again, with the pocket Hub behind it
        signal.signal(signal.SIGINT, lambda *_: None)  # the launcher gets Ctrl-C too, and tidies up
        return subprocess.call([sys.executable, "-m", "tests.pocket_hub", sys.executable, "-m", "tests.refresh", "--inside", *names], cwd=ROOT)
    for name in names:
        try:
            refresh(name)
        except (CellExecutionError, DeadKernelError) as error:
            print(f"\n{name} was left as it was; a cell failed:\n{error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
