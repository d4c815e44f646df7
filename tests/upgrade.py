"""python -m tests.upgrade    installs the newest release of everything and moves every pin to it

Rewrites requirements.txt and the notebooks' install cells, so that `pytest` can then tell what broke.
The weekly CI run does this; a maintainer who likes the result commits it.
"""
from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version

from .course import CHAPTERS, ROOT, requirements


def main():
    names = list(requirements())
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", *names])
    path = ROOT / "requirements.txt"
    text = path.read_text(encoding="utf-8")
    for name, old in requirements().items():
        new = version(name).partition("+")[0]
        text = re.sub(rf"^{re.escape(f'{name}=={old}')}$", f"{name}=={new}", text, flags=re.M)
        if new != old:
            print(f"{name} {old} -> {new}")
    path.write_text(text, encoding="utf-8")
    pins = requirements()
    for notebook in CHAPTERS:
        document = json.loads((ROOT / notebook).read_text(encoding="utf-8"))
        for cell in document["cells"]:
            cell["source"] = [re.sub(r"([\w-]+)==[\w.]+", lambda pin: f"{pin[1]}=={pins.get(pin[1], '')}" if pin[1] in pins else pin[0], line)
                              if line.startswith("%pip install") else line for line in "".join(cell["source"]).splitlines(keepends=True)]
        (ROOT / notebook).write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
