"""The course in JupyterLab, in a browser: every notebook opened, one run to the end, the demo of chapter 3 typed into.

Runs where Chromium or Chrome is installed. JupyterLab is started by the README's command on copies, with settings of its own.
"""
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress

import nbformat
import pytest
import websocket

from .course import CHAPTERS, ROOT, code_cells, load, output_text, prose

DEMO = "demo.ipynb"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-quic", "--window-size=1400,1000", "--remote-debugging-port=0",
         "--remote-allow-origins=*", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"]
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"  # of the notebook in front
FIGURES = "all('.jp-OutputArea img').filter(image => image.naturalWidth > 0).length"
FORMULAS = "all('.jp-MarkdownOutput *').every(part => [...part.childNodes].every(node => !node.data?.includes('$') || part.closest('code, pre')))"
FAILED = "[data-mime-type$=stderr], [data-mime-type$=error]"
IDLE = "all('.jp-Toolbar-kernelName')[0].innerText !== 'No Kernel' && all('.jp-Notebook-ExecutionIndicator')[0].dataset.status === 'idle'"
PROMPTS = "all('.jp-CodeCell .jp-InputArea-prompt').map(part => part.innerText)"  # of the code cells that are not folded
# What a reader who scrolls to each part doesn't see of it: something else is there, or it has no colour of its own.
UNSEEN = """(async (parts, coloured) => {
    const unseen = [];
    for (const part of parts) {
        part.scrollIntoView({block: 'center'});
        await new Promise(requestAnimationFrame);
        const {left, top, width, height} = part.getClientRects()[0], style = getComputedStyle(part);
        const there = document.elementFromPoint(left + width / 2, top + height / 2);
        const colourless = ['rgba(0, 0, 0, 0)', style.color].includes(style.backgroundColor);
        if (!part.contains(there) || coloured && colourless) unseen.push(part.outerHTML.slice(0, 200));
    }
    return unseen;
})"""


class Page:
    """A page of the browser, through its DevTools protocol."""

    def __init__(self, port: str, folder):
        pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=60))
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self.socket, self.folder, self.sent = websocket.create_connection(address, timeout=120), folder, 0

    def send(self, method: str, **parameters):
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while (answer := json.loads(self.socket.recv())).get("id") != self.sent:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def value(self, expression: str):
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['result'].get('description')}"
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 120):
        deadline = time.monotonic() + seconds
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                picture = self.folder / f"screen-{self.sent}.png"
                picture.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))
                pytest.fail(f"not so within {seconds} s: {expression}; the page is in {picture}")
            time.sleep(0.1)

    def click(self, selector: str, text: str = "", times: int = 1):
        """Clicks the middle of the first element that holds the text, once nothing covers it."""
        self.value(f"""window.target = () => {{
            const part = [...document.querySelectorAll(`{selector}`)].find(part => part.textContent.includes('{text}'));
            const box = part?.getBoundingClientRect(), place = box && [box.x + box.width / 2, box.y + box.height / 2];
            return place && part.contains(document.elementFromPoint(...place)) && place;
        }}; 0""")
        self.wait("target()")
        x, y = self.value("target()")
        clicks = [(kind, count) for count in range(1, times + 1) for kind in ("mousePressed", "mouseReleased")]
        for kind, count in [("mouseMoved", 0), *clicks]:  # a menu wants to see where the mouse is
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)

    def open(self, name: str, cells: int):
        self.click(".jp-DirListing-item", name, times=2)
        self.wait(f"document.querySelector('.jp-mod-current .lm-TabBar-tabLabel')?.textContent === '{name}' && all('.jp-Cell').length === {cells}")
        self.wait("all('.jp-MarkdownOutput').length === all('.jp-MarkdownCell').length")
        self.wait(IDLE)  # what is run before that doesn't run: its old output goes away, or a dialog asks for a kernel

    def run_all(self):
        self.click(".lm-MenuBar-item", "Run")
        self.click('.lm-Menu-item[data-command="runmenu:run-all"]')


@contextmanager
def started(command: list[str], folder, pattern: str, **options):
    """What the command writes into a file of this name when it is ready. It ends with the context, and so does all it started."""
    log = folder / f"{pattern.partition('/')[0]}.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True, **options)
    try:
        deadline = time.monotonic() + 120
        while not (text := "".join(path.read_text() for path in folder.glob(pattern))):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield text
    finally:
        process.terminate()  # a server ends its kernels then, which are in no group of ours
        try:
            process.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def demo():
    """The demo cell of chapter 3 below the definitions it needs. No model is trained here: it finds what the rules find."""
    name, v4 = "pii-detection-encoder.ipynb", nbformat.v4
    letter, box = (next(cell for cell in code_cells(load(name)) if part in cell.source) for part in ("letter = ", "ipywidgets.Textarea"))
    setup = v4.new_code_cell(f"from tests.course import definitions\nglobals().update(definitions('{name}'))")
    return v4.new_notebook(cells=[v4.new_markdown_cell("# demo"), setup, letter, box], metadata=load(name).metadata)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """JupyterLab as a reader sees it who starts it for the first time."""
    names = ["google-chrome", "google-chrome-stable", "chromium", "chromium-browser"]
    program = next(filter(None, map(shutil.which, names)), None)
    if not program:
        pytest.skip(f"no browser on this machine: none of {', '.join(names)}")
    folder = tmp_path_factory.mktemp("browser")
    course, settings = folder / "course", folder / "config" / "lab" / "user-settings" / "@jupyterlab" / "notebook-extension"
    course.mkdir()
    settings.mkdir(parents=True)
    for name in CHAPTERS:
        shutil.copy(ROOT / name, course)
    nbformat.write(demo(), course / DEMO)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')  # draws a cell before a reader scrolls to it
    environment = {**os.environ, **{f"JUPYTER_{kind.upper()}_DIR": str(folder / kind) for kind in ("config", "data", "runtime")},
                   "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])}
    lab = [sys.executable, "-m", "tests.pocket_hub", "jupyter", "lab", "--no-browser", "--allow-root", "--port=0", f"--ServerApp.root_dir={course}"]
    browser = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with (started(lab, folder, "runtime/jpserver-*.json", cwd=ROOT, env=environment) as server,
          started(browser, folder, "profile/DevToolsActivePort") as port):
        page = Page(port.split()[0], folder)
        page.send("Page.navigate", url="{url}lab?token={token}".format(**json.loads(server)))
        page.wait("document.querySelector('.jp-Launcher')")
        page.value(f"window.all = selector => [...document.querySelectorAll(`{PANEL} :is(${{selector}})`)]; 0")
        yield page


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_opens_as_it_was_saved(page, name):
    notebook = load(name)
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    shown = [output.get("data", {}) for output in outputs]
    figures = sum("image/png" in data for data in shown)
    coloured = len(re.findall(r'style="[^"]*background', "".join(data.get("text/html", "") for data in shown)))
    page.open(name, len(notebook.cells))
    assert page.value("document.querySelectorAll('.jp-Dialog').length") == 0
    assert page.value("all('h1')[0].innerText").startswith(notebook.cells[0].source.splitlines()[0].lstrip("# "))
    page.wait(f"{FIGURES} === {figures}")
    assert figures >= 4 and page.value(f"{UNSEEN}(all('.jp-OutputArea img'), false)") == []
    assert page.value("all('.jp-OutputArea [style*=background]').length") == coloured
    assert page.value(f"{UNSEEN}(all('.jp-OutputArea [style*=background]'), true)") == []
    assert page.value(f"all('{FAILED}').length") == sum(output.output_type == "error" for output in outputs)
    assert page.value("all('.jp-MarkdownOutput details').length") == prose(notebook).count("<details>")
    page.wait(FORMULAS)
    assert page.value("all('mjx-merror, [mathcolor=red]').map(part => part.innerHTML)") == []


def test_a_notebook_runs_to_its_end(page):
    """With Run All Cells from the menu."""
    notebook = load("intro-transformer.ipynb")
    page.open("intro-transformer.ipynb", len(notebook.cells))
    page.run_all()
    page.wait(f"{PROMPTS}.at(-1) === '[*]:'")
    page.wait(f"!{PROMPTS}.includes('[*]:') && {IDLE}", 400)
    assert page.value(f"all('{FAILED}').map(part => part.innerText)") == []
    assert page.value(PROMPTS) == [f"[{count}]:" for count, cell in enumerate(code_cells(notebook), 1) if "jupyter" not in cell.metadata]
    page.wait(f"all('.jp-CodeCell').at(-1).innerText.includes({json.dumps(output_text(code_cells(notebook)[-1]).strip())})")
    figures = sum("image/png" in output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs)
    page.wait(f"{FIGURES} === {figures}")
    assert page.value("document.querySelectorAll('.jp-Dialog').length") == 0


def test_the_demo_answers_what_is_typed(page):
    page.open(DEMO, 4)
    page.run_all()
    page.wait("all('.widget-html mark').length")
    page.value("all('textarea')[0].scrollIntoView({block: 'center'})")
    page.click(f"{PANEL} textarea")
    page.send("Input.insertText", text="手機0955-123-987，身分證字號A123456789。")
    page.wait("all('.widget-html pre')[0].innerText.includes('手機[PHONE]，身分證字號[NATIONAL_ID]。')")
    assert {"0955-123-987 PHONE", "A123456789 NATIONAL_ID"} <= set(page.value("all('.widget-html mark').map(mark => mark.innerText)"))
    assert page.value(f"{UNSEEN}(all('.widget-html mark'), true)") == []
    assert page.value(f"all('{FAILED}').map(part => part.innerText)") == []
