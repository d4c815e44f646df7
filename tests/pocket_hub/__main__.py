"""python -m tests.pocket_hub [--port N] [--fault KIND[:MATCH[:TIMES]]] COMMAND …

Runs COMMAND with the pocket Hub behind it and a Hugging Face home of its own, and ends with it.
"""
from __future__ import annotations

import argparse
import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from .server import Fault, PocketHub

DRCD = "raw/DRCKnowledgeTeam/DRCD/b944790de5af02c5fbb7cd9cb1473d27d169eebf"
# Settings of the user that would lead around the pocket Hub, or into the user's own cache.
UNSET = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "HF_EVALUATE_CACHE", "HF_METRICS_CACHE",
         "HF_MODULES_CACHE", "HF_ASSETS_CACHE", "HF_XET_CACHE", "TRANSFORMERS_CACHE", "HF_TOKEN",
         "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
         "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "HF_UPDATE_DOWNLOAD_COUNTS", "HUGGINGFACE_CO_STAGING",
         "HUGGINGFACE_ASSETS_CACHE", "HF_DATASETS_DOWNLOADED_DATASETS_PATH", "HF_DATASETS_EXTRACTED_DATASETS_PATH",
         "HF_DATASETS_DOWNLOADED_EVALUATE_PATH", "HF_DATASETS_EXTRACTED_EVALUATE_PATH")


def environment(url: str, home: str) -> dict[str, str]:
    """os.environ for a process that shall see the pocket Hub at url and nothing else of Hugging Face."""
    env = {key: value for key, value in os.environ.items() if key not in UNSET}
    no_proxy = ",".join(filter(None, ["127.0.0.1", "localhost", env.get("NO_PROXY") or env.get("no_proxy")]))
    return {
        **env,
        "HF_ENDPOINT": url,
        "HF_HOME": home,
        # by another name than the Hub's: datasets takes every address under HF_ENDPOINT for a Hub repository
        "DRCD_BASE_URL": f"{url.replace('127.0.0.1', 'localhost')}/{DRCD}",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "DISABLE_SAFETENSORS_CONVERSION": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")]),
    }


def run(command: list[str], hub: PocketHub) -> int:
    with tempfile.TemporaryDirectory(prefix="pocket-hub-", ignore_cleanup_errors=True) as home:
        env = environment(hub.url, home)
        try:
            child = subprocess.Popen(command, env=env)
        except FileNotFoundError:
            print(f"口袋 Hub：找不到指令 {command[0]}；請先安裝 requirements.txt，並確認指令拼寫。", file=sys.stderr)
            return 127
        except OSError:
            print(f"口袋 Hub:{command[0]} 不能執行。", file=sys.stderr)
            return 126

        def stop(number, frame):
            """Asks the command to end; the second time, or after ten seconds, makes it end."""
            child.terminate()
            signal.signal(number, lambda *_: child.kill())
            patience = threading.Timer(10, child.kill)
            patience.daemon = True
            patience.start()

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child by itself
        signal.signal(signal.SIGTERM, stop)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # not under nohup
            signal.signal(signal.SIGHUP, stop)
        code = child.wait()
        return 128 - code if code < 0 else code


def fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main() -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="python -m tests.pocket_hub", usage="%(prog)s [--port N] [--fault KIND[:MATCH[:TIMES]]] COMMAND …",
        description="執行一個指令，並讓它把口袋 Hub 當成 Hugging Face Hub。例：python -m tests.pocket_hub jupyter lab")
    parser.add_argument("--port", type=int, default=0, help="固定的連接埠（預設：自動挑一個空的）")
    parser.add_argument("--fault", type=fault, action="append", default=[],
                        help="故障演練：404、500、slow 或 truncate")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="要執行的指令")
    arguments = parser.parse_args()
    command = arguments.command[arguments.command[:1] == ["--"]:]
    if not command:
        parser.error("缺少要執行的指令，例如：python -m tests.pocket_hub jupyter lab")
    try:
        hub = PocketHub(arguments.port)
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        reason = "已被占用" if taken else f"不能使用({error})"
        parser.error(f"連接埠 {arguments.port} {reason}；換一個，或不給 --port，讓口袋 Hub 自己挑。")
    hub.faults += arguments.fault
    with hub:
        print(f"口袋 Hub 在 {hub.url}，供應 {len(hub.repos)} 個替身；指令結束時它也會結束。", file=sys.stderr)
        return run(command, hub)


if __name__ == "__main__":
    sys.exit(main())
