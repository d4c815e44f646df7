"""python -m tests.pocket_hub.build [NAME …]            trains stand-ins again and writes them into repos/
   python -m tests.pocket_hub.build [NAME …] --check    trains into a temporary folder, compares with the committed ones
"""
from __future__ import annotations

import argparse
import filecmp
import importlib
import sys
import tempfile
import time
from pathlib import Path

from ..server import REPOS

STAND_INS = ("bert", "qwen", "mbart", "uncased", "ner", "sentiment", "pos", "zeroshot", "image", "speech", "translation",
             "drcd", "mrpc")
DATA_SETS = ("drcd", "mrpc")
TOLERANCE = 0.05


def check(module, steps: dict) -> bool:
    """Builds into a temporary folder. True where no score is more than 5 % from the committed card's, and
    where a data set comes out the same."""
    from .training import read_scores

    with tempfile.TemporaryDirectory() as root:
        module.build(Path(root), **steps)
        if not hasattr(module, "NAME"):
            made = [path for path in Path(root).rglob("*") if path.is_file()]
            changed = [path.name for path in made if not filecmp.cmp(path, REPOS / path.relative_to(root), shallow=False)]
            print(f"{len(made)} files, changed: {', '.join(changed) or 'none'}")
            return not changed
        new = read_scores(Path(root) / "models" / module.NAME)
    good = True
    for key, value in read_scores(REPOS / "models" / module.NAME).items():
        off = abs(new[key] - value) / max(abs(value), 1e-9)
        good &= off <= TOLERANCE
        print(f"{module.NAME} {key}: card {value:.4f}, rebuilt {new[key]:.4f}, {off:.1%} apart")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pocket_hub.build", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(STAND_INS)} (default: all)")
    parser.add_argument("--check", action="store_true", help="compare a rebuild with the committed one instead")
    parser.add_argument("--steps", type=int, help="fewer training steps, to try a change out")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in STAND_INS]:
        parser.error(f"unknown stand-in {', '.join(unknown)}; known: {', '.join(STAND_INS)}")
    good = True
    for name in arguments.names or STAND_INS:
        began = time.time()
        print(f"== {name}", flush=True)
        module = importlib.import_module(f"{__package__}.{name}")
        steps = {"steps": arguments.steps} if arguments.steps and name not in DATA_SETS else {}
        if arguments.check:
            good &= check(module, steps)
        else:
            module.build(REPOS, **steps)
        print(f"== {name}: {time.time() - began:.0f} s", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
