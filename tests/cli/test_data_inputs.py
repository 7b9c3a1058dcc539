"""``dabench data add`` and ``verify`` on volumes that are not what they seem; the same question in every command."""

import json
import shutil
from pathlib import Path

import dabench_domains
import dabench_protocols
import dabench_readers
import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from typer.testing import CliRunner

from dabench.cli.main import app
from dabench.components.registry import PluginStatus, Registry
from dabench.data.card import load_card, parse_card, save_card
from dabench.errors import ConfigError, DataError, MissingDataError

IMAGES = np.random.default_rng(0).integers(1, 255, (6, 40, 52), np.uint8)
LABELS = np.zeros_like(IMAGES)
LABELS[:, 8:18, 10:20] = 1
VOXEL = ("--voxel", "30,8,8")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch) -> Path:
    """A folder to write volumes to, an empty workspace, and a registry of readers and domains."""
    registry = Registry()
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    registry.add(dabench_domains, PluginStatus("domains", "dabench"))
    registry.add(dabench_protocols, PluginStatus("protocols", "dabench"))
    monkeypatch.setattr("dabench.components.registry.Registry.load", lambda: registry)
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("DABENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def add(images: str, *more: object, name: str = "x") -> str:
    return call("data", "add", name, "--images", images, *VOXEL, *more)


def slices(folder: str, stack: np.ndarray, names: list[str]) -> str:
    Path(folder).mkdir()
    for plane, name in zip(stack, names, strict=True):
        Image.fromarray(plane).save(Path(folder, name))
    return folder


def numbered(form: str, *numbers: int) -> list[str]:
    return [form.format(n) for n in numbers]


def tiff(name: str, stack: np.ndarray) -> str:
    tifffile.imwrite(name, stack, photometric="minisblack")
    return name


# ------------------------------------------------------------------------------------------------ absent and blank
def test_what_is_not_stored_is_said_and_refused_past_a_share():
    array = zarr.create_array("part.zarr", shape=IMAGES.shape, dtype="u1", chunks=(1, 40, 52))
    array[:4] = IMAGES[:4]
    assert "warning: images: 2 of 6 chunks (33%) are not stored and read as blank." in add("part.zarr")
    said = call("data", "verify", "x")
    assert "note: images: 2 of 6 chunks (33%)" in said
    assert "note: 2 of 6 slices are blank" in said
    report = json.loads(call("data", "verify", "x", "--json"))[0]
    assert (report["blank"], report["problems"]) == (2, [])
    with pytest.raises(DataError, match=r"3 of 4 chunks|2 of 3 chunks \(67%\)"):
        add("part.zarr", "--slices", "3:6", name="y")
    said = add("part.zarr", "--slices", "3:6", "--blank", "0.7", name="y")
    assert "2 of 3 slices that were looked at hold one value only" in said
    assert "ok" in call("data", "verify", "y"), "the card remembers what was allowed"
    assert "warning" not in add("part.zarr", "--slices", "0:4", name="z")


@pytest.mark.parametrize("value", [0, 17])
def test_a_blank_volume_is_refused_however_it_is_stored(value):
    blank = np.full_like(IMAGES, value)
    tiff("blank.tif", blank)
    slices("blank", blank, numbered("{}.png", *range(6)))
    with h5py.File("blank.h5", "w") as file:
        file.create_dataset("raw", data=blank, chunks=(2, 20, 26))
    for path in ("blank.tif", "blank", "blank.h5"):
        with pytest.raises(DataError, match=r"6 of 6 slices .* hold one value only") as caught:
            add(path)
        assert caught.value.mend.endswith("--blank 1")


def test_a_store_that_loses_its_chunks_is_noticed():
    zarr.create_array("a.zarr", data=IMAGES, chunks=(1, 40, 52))
    add("a.zarr")
    shutil.rmtree("a.zarr/c")
    with pytest.raises(DataError, match="damaged or another version"):
        call("data", "verify", "x")
    with pytest.raises(DataError, match=r"6 of 6 chunks \(100%\) are not stored"):
        add("a.zarr", "--replace")


# ------------------------------------------------------------------------------------------------- links and strays
def test_a_change_of_what_links_point_to_is_noticed():
    with h5py.File("source.h5", "w") as file:
        file["d"] = IMAGES
    layout = h5py.VirtualLayout(IMAGES.shape, np.uint8)
    layout[...] = h5py.VirtualSource("source.h5", "d", IMAGES.shape)
    with h5py.File("virtual.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
        file["link"] = h5py.ExternalLink("source.h5", "d")
    Path("folder").mkdir()
    for z in range(6):
        Image.fromarray(IMAGES[z]).save(f"{z}.png")
        Path("folder", f"{z}.png").symlink_to(Path(f"{z}.png").resolve())
    zarr.create_array("real.zarr", data=IMAGES)
    Path("linked.zarr").symlink_to("real.zarr")
    for name, path in {"v": "virtual.h5/raw", "e": "virtual.h5/link", "f": "folder", "z": "linked.zarr"}.items():
        add(path, name=name)
        assert "ok" in call("data", "verify", name)
    with h5py.File("source.h5", "r+") as file:
        file["d"][0, 0, 0] += 1
    Image.fromarray(IMAGES[0]).save("3.png")
    zarr.open_array("real.zarr")[0, 0, 0] = 7
    for name in "vefz":
        with pytest.raises(DataError, match="another version"):
            call("data", "verify", name)


def test_what_the_desktop_leaves_changes_no_digest():
    slices("im", IMAGES, numbered("{}.png", *range(6)))
    zarr.create_array("z.zarr", data=IMAGES, chunks=(2, 20, 26), zarr_format=2)
    assert "warning" not in add("im", name="im")
    add("z.zarr", name="z")
    for folder in ("im", "z.zarr"):
        for name in ("Thumbs.db", ".DS_Store", "._0.png", "desktop.ini", "._.zarray"):
            Path(folder, name).write_bytes(b"\x00\x05\x16\x07")
    Path("im/notes.txt").write_text("recorded on a Monday")
    said = call("data", "verify", "im")
    assert [said.count(name) for name in ("notes.txt", "Thumbs.db", ".DS_Store", "desktop.ini")] == [1] * 4
    assert "ok" in call("data", "verify", "z")
    Path("z.zarr/0.0.0").write_bytes(b"")
    with pytest.raises(DataError):
        call("data", "verify", "z")


# ----------------------------------------------------------------------------------------------------------- pairs
def test_labels_of_other_slices_are_refused_unless_they_are_pairs_in_order():
    slices("im", IMAGES[:5], numbered("im{:04d}.png", 0, 1, 3, 4, 5))
    slices("lab", LABELS[:5], numbered("seg{:04d}.png", 0, 1, 2, 3, 4))
    with pytest.raises(
        DataError, match=r"slice 2 is im0003\.png and seg0002\.png.*no label has the number 5"
    ) as caught:
        add("im", "--labels", "lab")
    assert "--in-order" in caught.value.mend
    said = add("im", "--labels", "lab", "--in-order")
    assert "warning: images: no slice bears the number 2." in said
    assert "note: images: no slice bears the number 2." in call("data", "verify", "x")
    assert "no slice" not in add("im", "--no-neighbours", name="y")


def test_other_counts_name_what_is_missing():
    slices("im", IMAGES, numbered("im{}.png", *range(6)))
    slices("lab", LABELS[:5], numbered("seg{}.png", 0, 1, 3, 4, 5))
    with pytest.raises(DataError, match=r"has shape \(5, 40, 52\).*no label has the number 2\."):
        add("im", "--labels", "lab")


def test_copies_and_negative_numbers_are_named():
    slices("copy", IMAGES[:4], [*numbered("im{}.png", 1, 2, 3), "im3 (1).png"])
    assert "images: im3 (1).png: named otherwise than the other slices." in add("copy")
    slices("below", IMAGES[:4], ["im-1.png", *numbered("im{}.png", 0, 1, 2)])
    assert "images: im-1.png: named otherwise" in add("below", name="y")


def test_labels_of_another_voxel_are_said():
    for name, stack, spacing in (("im.tif", IMAGES, 0.03), ("lab.tif", LABELS, 0.06)):
        metadata = {"spacing": spacing, "unit": "um", "axes": "ZYX"}
        tifffile.imwrite(name, stack, imagej=True, resolution=(125, 125), metadata=metadata)
    said = call("data", "add", "x", "--images", "im.tif", "--labels", "lab.tif")
    assert "labels: their file states a voxel size of 60,8,8 nm, but the images have 30,8,8 nm." in said


def test_train_and_test_share_no_slice():
    tiff("im.tif", IMAGES)
    tiff("lab.tif", LABELS)
    add("im.tif", "--labels", "lab.tif", "--slices", "0:4")
    shutil.copy("im.tif", "copy.tif")
    for images in ("im.tif", "copy.tif"):
        with pytest.raises(ConfigError, match=r"slices 3 to 3 of .* are in split"):
            add(images, "--labels", "lab.tif", "--split", "test", "--slices", "3:6")
    add("im.tif", "--labels", "lab.tif", "--split", "test", "--slices", "4:6")
    with pytest.raises(ConfigError, match="images and labels are one file"):
        add("lab.tif", "--labels", "lab.tif", name="y")
    card = Path("workspace/cards/x.yaml")
    values = load_card(card).model_dump(mode="json")
    values["splits"]["test"]["slices"] = [2, 6]
    save_card(parse_card(values, "edited by hand"), card)
    with pytest.raises(DataError, match=r"slices 2 to 3 of .* are in split 'train' and in split 'test'"):
        call("data", "verify", "x")


# --------------------------------------------------------------------------------------------------- a bad card
def test_a_bad_card_stops_its_own_domain_and_is_named():
    tiff("im.tif", IMAGES)
    add("im.tif", name="liver")
    cards = Path("workspace/cards")
    (cards / "kidney.yaml").write_text("name: kidney\nsplits: {train: ")
    (cards / "._liver.yaml").write_bytes(b"\x00\x05\x16\x07")
    rows = {row["name"]: row for row in json.loads(call("data", "ls", "--json"))}
    assert rows["liver"]["missing"] == []
    assert "kidney.yaml" in rows["kidney"]["description"]
    assert "._liver" not in rows
    assert "ok" in call("data", "verify", "liver")
    with pytest.raises(ConfigError, match=r"kidney\.yaml"):
        call("data", "show", "kidney")
    (cards / "vnc.yaml").write_text((cards / "liver.yaml").read_text().replace("name: liver", "name: vnc"))
    assert "ok" in call("data", "verify", "liver")
    with pytest.raises(ConfigError, match="has the same name as a plugin's domain"):
        call("data", "verify", "vnc")


# -------------------------------------------------------------------------------------------- one meaning of values
@pytest.mark.parametrize(
    ("stack", "doubt", "values"),
    [
        (np.where(np.arange(40)[:, None] < 8, -1, LABELS.astype(np.int16)), "-1 may mean", "-1:255,0:0,1:1"),
        (np.where(np.arange(40)[:, None] < 8, 255, LABELS).astype(np.uint8), "255 may be", "0:0,1:1,255:255"),
        (LABELS + 1, "no 0", "1:0,2:1"),
        (LABELS + np.roll(LABELS, 15, 1) * np.uint8(2), "may be classes", "0:0,1:1,2:0"),
    ],
    ids=["-1", "255", "from 1", "boundary"],
)
def test_every_command_asks_the_same(stack, doubt, values):
    tiff("im.tif", IMAGES)
    tiff("true.tif", LABELS * 255)
    tiff("lab.tif", stack)
    commands = {
        "--label-values": [
            ("data", "add", "x", "--images", "im.tif", "--labels", "lab.tif", *VOXEL),
            ("evaluate", "--prediction", "true.tif", "--labels", "lab.tif"),
            ("view", "im.tif", "--labels", "lab.tif", "--no-open"),
            ("measure", "lab.tif", *VOXEL),
        ],
        "--predicted-values": [
            ("evaluate", "--prediction", "lab.tif", "--labels", "true.tif"),
            ("view", "lab.tif", "--images", "im.tif", "--no-open"),
        ],
    }
    questions = set()
    for flag, asked in commands.items():
        for command in asked:
            with pytest.raises(ConfigError, match=doubt) as caught:
                call(*command)
            questions.add(caught.value.message)
            assert f"{flag} " in caught.value.mend
            call(*command, flag, values)
    assert len(questions) == 1
    scored = json.loads(
        call("evaluate", "--prediction", "true.tif", "--labels", "lab.tif", "--json", *(("--label-values", values)))
    )
    assert scored["metrics"]["dice"] == 1
    measured = json.loads(call("measure", "lab.tif", *VOXEL, "--json", "--label-values", values))
    assert measured["objects"] == 1


def test_a_probability_in_bytes_is_no_mask():
    tiff("true.tif", LABELS)
    grey = np.where(LABELS, IMAGES // 4 + 180, IMAGES // 8).astype(np.uint8)
    for stack in (np.where(LABELS, 220, 20).astype(np.uint8), grey, grey * (np.arange(52) > 9)):
        tiff("p.tif", stack.astype(np.uint8))
        with pytest.raises(ConfigError) as caught:
            call("evaluate", "--prediction", "p.tif", "--labels", "true.tif")
        assert "for a probability  --threshold 128" in caught.value.mend
        with pytest.raises(ConfigError):
            call("measure", "p.tif", *VOXEL)
        found = json.loads(
            call("evaluate", "--prediction", "p.tif", "--labels", "true.tif", "--threshold", 128, "--json")
        )
        assert found["metrics"]["dice"] == 1


def test_what_counted_is_said_as_it_is():
    tiff("true.tif", LABELS)
    tiff("p.tif", LABELS + 1)
    said = call("evaluate", "--prediction", "p.tif", "--labels", "true.tif", "--predicted-values", "1:0,2:1")
    assert "Prediction: uint8, foreground where 2." in said
    assert "where not 0." in call("evaluate", "--prediction", "true.tif", "--labels", "true.tif")
    tiff("logits.tif", LABELS.astype(np.float32) * 20 - 10)
    with pytest.raises(DataError, match="slice 0: the prediction holds values from -10 to 10") as caught:
        call("evaluate", "--prediction", "logits.tif", "--labels", "true.tif")
    assert "--threshold" in caught.value.mend
    scored = call("evaluate", "--prediction", "logits.tif", "--labels", "true.tif", "--threshold", "0", "--json")
    assert json.loads(scored)["metrics"]["dice"] == 1


def test_masks_of_one_bit_are_masks():
    slices("bits", LABELS.astype(bool), numbered("{}.png", *range(6)))
    slices("im", IMAGES, numbered("{}.png", *range(6)))
    tiff("true.tif", LABELS)
    assert "semantic {0: 0, 1: 1}" in add("im", "--labels", "bits")
    assert "ok" in call("data", "verify", "x")
    for pair in (("bits", "true.tif"), ("true.tif", "bits"), ("bits", "bits")):
        found = json.loads(call("evaluate", "--prediction", pair[0], "--labels", pair[1], "--json"))
        assert found["metrics"]["dice"] == 1
        found = json.loads(
            call("evaluate", "--prediction", pair[0], "--labels", pair[1], "--json", "--protocol", "instances-2d@1")
        )
        assert found["metrics"]["pq"] == pytest.approx(1, abs=1e-5)
    assert json.loads(call("measure", "bits", *VOXEL, "--json"))["objects"] == 1
    call("view", "bits", "--images", "im", "--labels", "bits", "--no-open")


def test_a_missing_file_is_still_a_missing_file():
    with pytest.raises(MissingDataError):
        add("gone.tif")


def test_show_says_which_model_made_a_volume():
    with h5py.File("made.h5", "w") as file:
        note = {"dabench_version": "0.2.0", "model": "prefer-das\x1b[2J", "threshold": 0.5}
        file.create_dataset("probability", data=IMAGES).attrs["dabench"] = json.dumps(note)
    add("made.h5")
    assert "; made by dabench 0.2.0 with prefer-das\n" in call("data", "show", "x")
    assert json.loads(call("data", "show", "x", "--json"))["images"]["provenance"]["threshold"] == 0.5
