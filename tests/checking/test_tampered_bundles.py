"""Malformed and forged bundles: refused with what is wrong, and nothing of them is written."""

from __future__ import annotations

import io
import json
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dabench.checking.bundle import BundleError, export_runs
from dabench.checking.bundle_import import import_bundle
from dabench.checking.verify import Verifier
from dabench.files.workspace import Workspace
from tests.checking.conftest import Made
from tests.checking.forging import JOURNAL, PREDICTION, Zip, edit_json, lift_rows, paint, reseal, score

Change = Callable[[Zip], Any]


def manifest(change: Callable[[dict[str, Any]], Any]) -> Change:
    return lambda zipped: zipped.manifest(change)


def first_run(**changes: Any) -> Change:
    return manifest(lambda m: m["runs"][0].update(changes))


def member(name: str, mode: int = 0o100644) -> Change:
    return lambda zipped: zipped.add(name, mode=mode)


def content(end: str, data: bytes, refit: bool = False) -> Change:
    def change(zipped: Zip) -> None:
        zipped.replace(end, data)
        if refit:
            zipped.refit()

    return change


def weights(zipped: Zip) -> None:
    cell_id = json.loads(zipped.members[0][1])["runs"][0]["cell_id"]
    zipped.add(f"runs/{cell_id}/model.safetensors")
    zipped.refit()


def without(end: str) -> Change:
    return lambda zipped: zipped.members.pop(zipped.find(end))


def twice(zipped: Zip) -> None:
    zipped.members.append(zipped.members[-1])


def manifest_last(zipped: Zip) -> None:
    zipped.members.append(zipped.members.pop(0))


def run_twice(values: dict[str, Any]) -> None:
    values["runs"].append(values["runs"][0])


def settings(**changes: Any) -> Change:
    """Other settings in ``config.json``, with digests that fit."""

    def change(zipped: Zip) -> None:
        values = json.loads(zipped.members[zipped.find("config.json")][1])
        zipped.replace("config.json", json.dumps({**values, **changes}).encode())
        zipped.refit()

    return change


def unfinished(zipped: Zip) -> None:
    data = zipped.members[zipped.find(JOURNAL)][1]
    zipped.replace(JOURNAL, data[: data.rstrip(b"\n").rfind(b"\n") + 1])
    zipped.members.pop(zipped.find("receipt.json"))
    zipped.refit()


ENTRIES: list[tuple[str, Change, str]] = [
    # ------------------------------------------------------------------------------------------ table of contents
    ("up and out", member("runs/../../evil.py"), "'runs/../../evil.py' leads out of its folder"),
    ("absolute", member("/etc/cron.d/evil"), "'/etc/cron.d/evil' is an absolute path"),
    ("drive", member("C:/evil"), "'C:/evil' has a drive letter"),
    ("backslash", member("runs\\..\\evil"), "has a backslash"),
    ("control character", member("runs/a\nb"), "has control characters"),
    ("link", member("runs/link", 0o120777), "'runs/link' is a link"),
    ("device", member("runs/device", 0o020666), "'runs/device' is not a regular file"),
    ("folder", member("runs/x/", 0o040755), "'runs/x/' is a folder"),
    ("twice", twice, "occurs 2 times"),
    ("same but for its case", member("Manifest.json"), "'manifest.json' occurs 2 times"),
    ("added", member("runs/x/config.json"), "'runs/x/config.json' is not listed in manifest.json"),
    ("another zip", manifest_last, "its first file is not manifest.json"),
    # --------------------------------------------------------------------------------------------------- manifest
    ("manifest no JSON", content("manifest.json", b"{"), "manifest.json is not valid JSON"),
    ("manifest too deep", content("manifest.json", b"[" * 100_000), "manifest.json is not valid JSON"),
    ("another format", manifest(lambda m: m.update(format="other")), "its format is 'other' version 2"),
    ("newer version", manifest(lambda m: m.update(version=9)), "version 9; this dabench reads"),
    ("unknown field", manifest(lambda m: m.update(run="rm")), "unknown key 'run'. Did you mean 'runs'"),
    ("no digest", manifest(lambda m: m["runs"][0]["files"]["config.json"].pop("sha256")), "sha256 is missing"),
    ("origin as a path", manifest(lambda m: m.update(origin="../lab")), "'../lab' is not a valid origin"),
    ("origin 'here'", manifest(lambda m: m.update(origin="Here")), "'Here' is not a valid origin"),
    ("cell as a path", first_run(cell_id="../../cell"), "'../../cell' is not a valid cell name"),
    ("run twice", manifest(run_twice), "occurs twice"),
    ("weights", weights, "model.safetensors' does not belong in a bundle"),
    ("file gone", without(PREDICTION), "is listed in manifest.json but missing from the bundle"),
    # --------------------------------------------------------------------------------------------------- contents
    ("other size", content("config.json", b"{}"), "has 2 bytes, manifest.json says"),
    ("other digest", first_run(files={}), "is not listed in manifest.json"),
    ("settings", settings(seed=5), "config: config.json belongs to cell prompt-das-human2stem-phantom-tiny-s5"),
    ("method as a path", settings(method="../../x"), "config: config.json belongs to cell ../../x-human2stem"),
    ("unfinished", unfinished, "the run is unfinished"),
    ("no journal", content(JOURNAL, b"", refit=True), "does not say which cell was started"),
    ("journal of numbers", content(JOURNAL, b"1\n2\n", refit=True), "journal.jsonl, line 1 is damaged"),
]


def refused(path: Path, place: Workspace, verifier: Verifier, **options: Any) -> str:
    """The error of an import, after which the workspace has neither runs nor leftovers."""
    with pytest.raises(BundleError) as error:
        import_bundle(path, place, verifier, **options)
    assert [p.name for p in place.root.rglob("*")] == [".import.lock"]
    assert error.value.exit_code == 3
    return str(error.value)


@pytest.mark.parametrize(("change", "message"), [e[1:] for e in ENTRIES], ids=[e[0] for e in ENTRIES])
def test_a_malformed_bundle_is_refused(
    single: Path, empty: Workspace, elsewhere: Callable[[], Verifier], tmp_path: Path, change: Change, message: str
) -> None:
    zipped = Zip(single)
    change(zipped)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of names that are there twice
        path = zipped.write(tmp_path / "forged.zip")
    assert message in refused(path, empty, elsewhere())


def other_bytes(data: bytes) -> bytes:
    """The same number of bytes, the middle one changed."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("end", ["config.json", "receipt.json", JOURNAL, PREDICTION, "curves.png", "points.csv"])
def test_an_edited_file_is_refused_by_its_digest(
    single: Path, empty: Workspace, elsewhere: Callable[[], Verifier], tmp_path: Path, end: str
) -> None:
    zipped = Zip(single)
    zipped.replace(end, other_bytes(zipped.members[zipped.find(end)][1]))
    message = refused(zipped.write(tmp_path / "forged.zip"), empty, elsewhere())
    assert f"{end}' was edited: its digest differs from the one in manifest.json" in message


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    """One bit of the last file's compressed data, which ends where the table of contents begins."""
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        place = bundle.start_dir - 40
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def encrypted(data: bytes) -> bytes:
    """Say of the last file that it is encrypted."""
    entry = data.rfind(b"PK\x01\x02")
    flags = struct.unpack_from("<H", data, entry + 8)[0] | 1
    return data[: entry + 8] + struct.pack("<H", flags) + data[entry + 10 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "is not a complete zip file"),
        (lambda data: b"not a zip at all" * 99, "is not a complete zip file"),
        (cut, "is not a complete zip file"),
        (flip, "is not a complete zip file"),
        (encrypted, "is encrypted"),
    ],
    ids=["empty", "text", "cut off", "one bit", "encrypted"],
)
def test_a_damaged_file_is_refused(
    single: Path,
    empty: Workspace,
    elsewhere: Callable[[], Verifier],
    tmp_path: Path,
    change: Callable[[bytes], bytes],
    message: str,
) -> None:
    path = tmp_path / "damaged.zip"
    path.write_bytes(change(single.read_bytes()))
    assert message in refused(path, empty, elsewhere())


def test_a_file_that_is_not_there(empty: Workspace, elsewhere: Callable[[], Verifier], tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "nothing.zip", empty, elsewhere())


def test_another_compression_is_refused(
    single: Path, empty: Workspace, elsewhere: Callable[[], Verifier], tmp_path: Path
) -> None:
    path = Zip(single).write(tmp_path / "forged.zip", odd="config.json")
    assert "config.json' is compressed by method 14, not deflate" in refused(path, empty, elsewhere())


def test_more_than_allowed_is_refused_before_anything_is_unpacked(
    single: Path, empty: Workspace, elsewhere: Callable[[], Verifier]
) -> None:
    message = refused(single, empty, elsewhere(), limit=100_000)
    assert "more than the limit of 0.00 GiB (--max-gib)" in message


def test_a_file_that_unpacks_to_more_than_it_says_is_stopped(
    single: Path, empty: Workspace, elsewhere: Callable[[], Verifier], tmp_path: Path
) -> None:
    """A zip bomb: 64 MiB of zeros that claim to be as long as the file that they replace."""
    zipped = Zip(single)
    i = zipped.find("curves.png")
    said, name = len(zipped.members[i][1]), zipped.members[i][0].filename.encode()
    zipped.replace("curves.png", bytes(1 << 26))
    data = bytearray(zipped.write(tmp_path / "bomb.zip").read_bytes())
    entry = data.rfind(name) - 46  # its record in the table of contents
    struct.pack_into("<I", data, entry + 24, said)
    (tmp_path / "bomb.zip").write_bytes(data)
    message = refused(tmp_path / "bomb.zip", empty, elsewhere())
    assert "is not a complete zip file: Bad CRC-32" in message


def forged(run: Path, target: Path) -> Path:
    """A bundle of a forged run, with a receipt and a manifest that fit it."""
    reseal(run)
    files = sorted(p for p in run.rglob("*") if p.is_file())
    with zipfile.ZipFile(target, "w") as bundle:
        bundle.writestr("manifest.json", "{}")
        for path in files:
            bundle.write(path, f"runs/{run.name}/{path.relative_to(run)}")
    zipped = Zip(target)
    about = {"format": "dabench results", "version": 1, "dabench_version": "0.1.0", "origin": "em-lab"}
    zipped.replace("manifest.json", json.dumps({**about, "runs": [{"cell_id": run.name, "files": {}}]}).encode())
    zipped.refit()
    return zipped.write(target)


def test_a_forged_score_whose_digests_all_fit_is_refused_by_computing_it(
    run: Path, empty: Workspace, elsewhere: Callable[[], Verifier], tmp_path: Path
) -> None:
    score(run, "prompt-das", "dice", 0.97)
    lift_rows(run / "per_slice/prompt-das-das-2d@1-points0.csv", "dice", 0.97)
    path = forged(run, tmp_path / "forged.zip")
    message = refused(path, empty, elsewhere())
    assert "scores: dice is 0.970000 in the journal; computed from the prediction it is" in message


def test_a_forged_prediction_whose_digests_all_fit_is_refused_by_computing_it(
    run: Path, empty: Workspace, elsewhere: Callable[[], Verifier], tmp_path: Path
) -> None:
    paint(run, lambda masks: np.where(np.arange(256) < 99, 255, masks).astype(np.uint8))
    assert "computed from the prediction it is" in refused(forged(run, tmp_path / "f.zip"), empty, elsewhere())


def test_a_sealed_run_of_its_own_is_taken(
    made: Made, run: Path, empty: Workspace, elsewhere: Callable[[], Verifier], tmp_path: Path
) -> None:
    """The two tests above fail for the forgery, not for how the bundle was made."""
    done = import_bundle(forged(run, tmp_path / "honest.zip"), empty, elsewhere())
    assert [taken.folder for taken in done.runs] == [f"{made.run.name}@em-lab"]


def test_the_journal_of_another_cell_is_refused(
    made: Made, run: Path, empty: Workspace, elsewhere: Callable[[], Verifier], tmp_path: Path
) -> None:
    shutil.copy(made.short / JOURNAL, run / JOURNAL)
    message = refused(forged(run, tmp_path / "forged.zip"), empty, elsewhere())
    assert f"journal.jsonl belongs to cell {made.short.name}" in message


def test_export_refuses_a_run_that_does_not_verify(made: Made, run: Path, tmp_path: Path) -> None:
    edit_json(run / "config.json", lambda config: config.update(seed=9))
    with pytest.raises(BundleError, match=r"does not verify:(.|\n)*seed is 9 in config.json"):
        export_runs([run], tmp_path / "out.zip", made.verifier)
    assert not (tmp_path / "out.zip").exists()
