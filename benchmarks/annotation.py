"""How quick the page of preferences is: 1,000 questions from the command to the first one, and an answer on disk.

python benchmarks/annotation.py --output benchmarks/results/annotation.json
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from dabench.annotation.preference_set import Manifest, PreferenceSet, Question
from dabench.ops.choice import candidate_digests
from dabench.tracking.environment import capture
from dabench.types import Window
from dabench.volumes.annotating.preferences import Asking, Given, Session

SIDE, CANDIDATES = 128, 5
LIMITS = {"first question": 2.0, "answer on disk": 0.05}


def make(path: Path, count: int) -> PreferenceSet:
    """Questions of 128² pixels in 256², with five thresholds of smooth noise as candidates."""
    rng = np.random.default_rng(0)
    window, context = Window(64, 64, SIDE, SIDE), Window(0, 0, 2 * SIDE, 2 * SIDE)
    manifest = Manifest(domain="made-up", shape=(count, 2 * SIDE, 2 * SIDE), voxel=(8.0, 8.0, 8.0))
    made = []
    for q in range(count):
        smooth = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), 8)
        masks = np.stack([smooth > smooth.std() * k / 3 for k in range(1, CANDIDATES + 1)])
        grey = rng.integers(0, 255, (2 * SIDE, 2 * SIDE), dtype=np.uint8)
        question = Question(
            id=f"q{q:05d}", z=q, window=window, context=context, tile=window, digests=candidate_digests(masks)
        )
        made.append((question, masks, {0: grey}))
    return PreferenceSet.write(path, manifest, made)


class Page:
    """The command in a process of its own, spoken to as the page does."""

    def __init__(self, path: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "dabench.cli.main",
            "annotate",
            "preferences",
            "--output",
            str(path),
            "--no-open",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        link = next(found for line in self.process.stdout if (found := re.search(r"127.0.0.1:(\d+)(\S+)", line)))
        self.connection = http.client.HTTPConnection("127.0.0.1", int(link[1]))
        self.headers = {"Origin": f"http://127.0.0.1:{link[1]}", "Content-Type": "application/json"}
        self.headers["Cookie"] = self.send("GET", link[2])[0]["set-cookie"].split(";")[0]

    def send(self, method: str, path: str, content: Any = None) -> tuple[Any, bytes]:
        """Headers and content of the answer."""
        body = None if content is None else json.dumps(content)
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        return answer.headers, answer.read()

    def state(self, method: str = "GET", path: str = "", content: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.send(method, f"/api/preferences/anna{path}", content)[1])
        return found

    def first_question(self) -> dict[str, Any]:
        """The page, its state and the picture."""
        state = self.state()
        picture = self.send("GET", f"/pictures/{state['item']['picture']}")[1]
        assert picture[1:4] == b"PNG"
        return state

    def processor(self) -> float:
        """Processor seconds of the server so far: on a busy machine they say more than those of the wall."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def answers(page: Page, state: dict[str, Any], file: Path, count: int) -> tuple[list[float], dict[str, Any]]:
    """Seconds of each of the next answers, from sending it to its confirmation; it is in the file by then."""
    seconds = []
    for _ in range(count):
        content = {"item": state["item"]["number"], "answer": "choose", "places": [1], "seconds": 3.0}
        began = time.perf_counter()
        state = page.state("POST", "/answers", content)
        seconds.append(time.perf_counter() - began)
        page.state(path="/upcoming")  # as the page does while a person looks
        with file.open("rb") as handle:
            assert sum(1 for _ in handle) == state["done"]
    return seconds, state


def written(path: Path, count: int) -> list[float]:
    """Seconds until answers of another rater are on disk, without a server around it."""
    session, seconds = Session(PreferenceSet.open(path)), []
    for _ in range(count):
        due = next(session.rater("ben").open_places())
        began = time.perf_counter()
        session.answer("ben", Given(item=due, answer="choose", places=(1,), seconds=3.0))
        seconds.append(time.perf_counter() - began)
    return seconds


def measure(folder: Path, count: int) -> dict[str, Any]:
    choices = make(folder / "choices", count)
    found: dict[str, Any] = {"questions": count, "candidates": CANDIDATES, "patch": SIDE}
    began = time.perf_counter()
    page = Page(choices.path)
    link = time.perf_counter()
    state = page.first_question()
    found["first question"] = {"link printed": link - began, "then shown": time.perf_counter() - link}
    found["processor"] = {"first question": page.processor()}
    file = choices.path / "anna.jsonl"
    first, state = answers(page, state, file, 100)
    _, state = answers(page, state, file, count - 200)
    before = page.processor()
    last, _ = answers(page, state, file, 100)
    found["processor"]["answer"] = (page.processor() - before) / 100
    page.stop()
    found["answer confirmed to the page"] = {"first 100": spread(first), "last 100": spread(last)}
    found["answer on disk"] = spread(written(choices.path, 100))
    began = time.perf_counter()
    Session(PreferenceSet.open(choices.path), Asking(order="informative"))
    found["informative order"] = time.perf_counter() - began
    return found


def spread(seconds: list[float]) -> dict[str, float]:
    return {
        "median": statistics.median(seconds),
        "95th percentile": float(np.percentile(seconds, 95)),
        "most": max(seconds),
    }


def within(found: dict[str, Any]) -> dict[str, bool]:
    """Whether the limits are kept: the first question after the command, and the median answer."""
    return {
        "first question": sum(found["first question"].values()) < LIMITS["first question"],
        "answer on disk": found["answer on disk"]["95th percentile"] < LIMITS["answer on disk"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.questions)
    environment = capture()
    record = {
        "what": "seconds of wall time",
        "machine": {key: environment[key] for key in ("cpu", "cores") if key in environment},
        "git": environment.get("git"),
        "load of the machine meanwhile": os.getloadavg()[0],
        "limits": LIMITS,
        "within": within(found),
        **found,
    }
    text = json.dumps(record, indent=1) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
