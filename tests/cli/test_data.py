"""``dabench data``: list, add, verify, show; messages and exit codes."""

import errno
import json
from pathlib import Path

import dabench_domains
import dabench_readers
import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from typer.testing import CliRunner

from dabench.annotation.preference_set import Manifest, PreferenceSet, Question
from dabench.cli.data import app
from dabench.components.registry import PluginStatus, Registry
from dabench.data.blocks import voxel_of
from dabench.data.volumes import read_all
from dabench.errors import ConfigError, DataError, MissingDataError, UnknownNameError
from dabench.files.workspace import Workspace
from dabench.ops.choice import candidate_digests
from dabench.runs.domains import known_domain, opener
from dabench.types import Window

IMAGES = np.random.default_rng(0).integers(0, 255, (4, 40, 60), np.uint8)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch) -> Path:
    """An empty workspace, and a registry of the two data plugins alone."""
    registry = Registry()
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    registry.add(dabench_domains, PluginStatus("domains", "dabench"))
    monkeypatch.setattr("dabench.components.registry.Registry.load", lambda: registry)
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("DABENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "workspace"


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    labels = np.zeros_like(IMAGES)
    labels[:, 5:20, 10:30] = 255
    tifffile.imwrite(tmp_path / "im.tif", IMAGES, photometric="minisblack")
    tifffile.imwrite(tmp_path / "lab.tif", labels, photometric="minisblack")
    return tmp_path / "im.tif", tmp_path / "lab.tif"


def test_ls():
    rows = {row["name"]: row for row in json.loads(call("ls", "--json"))}
    assert rows["phantom-human"]["missing"] == []
    assert len(rows["vnc"]["missing"]) == 3
    text = call("ls")
    assert "phantom-human     ready" in text
    assert "DABENCH_DATA" in text


def test_add_verify_show(files, workspace: Path):
    images, labels = files
    voxel = ("--voxel", "50,8,8")
    out = call("add", "liver", "--images", images, "--labels", labels, *voxel, "--slices", "0:3")
    assert "semantic {0: 0, 255: 1}" in out
    call("add", "liver", "--images", images, *voxel, "--split", "unlabelled")
    assert "liver" in call("ls")
    assert "ok" in call("verify", "liver")
    report = json.loads(call("verify", "liver", "--json"))
    assert [r["shape"] for r in report] == [[3, 40, 60], [4, 40, 60]]
    out = call("show", "liver", "--slice", 1, "--slice", 2)
    picture = workspace / "pictures" / "liver-train.png"
    assert str(picture) in out
    with Image.open(picture) as drawn:
        pixels = np.array(drawn)
    assert (pixels == [255, 215, 0]).all(-1).sum() == 2 * (2 * 20 + 2 * 13)


def test_a_picture_that_cannot_be_written_hides_no_fact(tmp_path: Path, monkeypatch):
    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system", "pictures")

    monkeypatch.setattr("dabench.data.picture.draw", read_only)
    told = call("show", "phantom-human", "--split", "test")
    assert "warning: no picture: Read-only file system" in told
    assert "picture      none" in told
    with pytest.raises(OSError, match="Read-only"):
        call("show", "phantom-human", "--split", "test", "--output", tmp_path / "p.png")


def test_show_a_phantom(tmp_path: Path):
    out = json.loads(call("show", "phantom-human", "--split", "test", "--output", tmp_path / "p.png", "--json"))
    assert out["picture"] == str(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_missing_data_say_where_to_get_them():
    with pytest.raises(MissingDataError, match=r"(?s)missing .*stack1_images.*figshare") as caught:
        call("show", "vnc")
    assert caught.value.exit_code == 3


def test_verify_fails_on_damage(files):
    images, labels = files
    call("add", "liver", "--images", images, "--labels", labels, "--voxel", "50,8,8")
    images.write_bytes(images.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"liver: 1 problem.*\n.*im\.tif") as caught:
        call("verify", "liver")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["verify", "lucci"], UnknownNameError, "Did you mean 'lucchi'"),
        (["show", "phantom-rat", "--slice", "99"], ConfigError, "has slices 0 to 11"),
        (["show", "phantom-rat", "--split", "tests"], UnknownNameError, "Did you mean 'test'"),
        (["add", "vnc", "--images", "x.tif", "--voxel", "1,1,1"], ConfigError, "already registered"),
        (["add", "liver", "--images", "x.tif", "--voxel", "8"], ConfigError, "--voxel 30,8,8"),
        (["add", "liver", "--images", "x.tif", "--voxel", "nan,8,8"], ConfigError, "finite numbers"),
        (
            ["add", "liver", "--images", "x.tif", "--voxel", "1,1,1", "--intensity", "0,inf"],
            ConfigError,
            "finite numbers",
        ),
        (["add", "liver", "--images", "x.tif", "--voxel", "1,1,1"], MissingDataError, "no such file"),
        (["add", "liver", "--images", "x.tif", "--voxel", "1,1,1", "--slices", "3"], ConfigError, "--slices 0:12"),
        (["add", "liver", "--images", "x.tif", "--labelled", "3"], ConfigError, "--labelled 0:12"),
        (
            ["add", "liver", "--images", "x.tif", "--voxel", "1,1,1", "--value", "3=9"],
            ConfigError,
            "must be 0, 1 or 255",
        ),
        (
            ["add", "liver", "--images", "x.tif", "--voxel", "1,1,1", "--label-kind", "dense"],
            UnknownNameError,
            "instance",
        ),
    ],
)
def test_usage_errors_show_an_example(arguments, error, words):
    with pytest.raises(error, match=words) as caught:
        call(*arguments)
    assert caught.value.exit_code in (2, 3)


@pytest.fixture
def choices(tmp_path: Path) -> PreferenceSet:
    """One question with an image, answered by ``anna``."""
    window = Window(0, 0, 8, 8)
    masks = np.random.default_rng(0).random((2, 8, 8)) > 0.5
    question = Question(id="q0", z=0, window=window, context=window, tile=window, digests=candidate_digests(masks))
    items = [(question, masks, {0: IMAGES[0, :8, :8]})]
    made = PreferenceSet.write(tmp_path / "choices", Manifest(domain="liver", licence="Ask us."), items)
    record = {"question": "q0", "shown": [1, 0], "answer": "choose", "chosen": [0], "seconds": 3}
    made.append("anna", record)
    return made


def test_a_preference_set_is_verified(choices):
    assert "ok: 1 questions on liver, with images" in call("verify", choices.path)
    assert "anna: 1 questions answered (100%)" in call("verify", choices.path)
    report = json.loads(call("verify", choices.path, "--json"))
    assert (report["answered"], report["problems"]) == ({"anna": 1}, [])
    (choices.path / "masks.zip").unlink()
    with pytest.raises(DataError, match=r"2 problem.*\n.*masks\.zip"):
        call("verify", choices.path)
    (choices.path / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"no manifest\.json"):
        call("verify", choices.path)


def test_a_preference_set_is_handed_on(choices, tmp_path: Path):
    assert "1 questions, without images" in call("export", choices.path, "--output", tmp_path / "out.zip")
    assert PreferenceSet.open(tmp_path / "out.zip").answers("anna") == choices.answers("anna")
    told = call("export", choices.path, "--output", tmp_path / "all.zip", "--with-images")
    assert "may not allow" in told
    assert "Ask us." in told
    assert "ok: 1 questions on liver, with images" in call("verify", tmp_path / "all.zip")
    with pytest.raises(ConfigError, match="is there already"):
        call("export", choices.path, "--output", tmp_path / "out.zip")


@pytest.mark.parametrize("end", ["zarr", "tif", "h5", "nii.gz"])
def test_a_domain_is_exported_and_added_as_ones_own(end, tmp_path: Path):
    scan, truth = tmp_path / f"scan.{end}", tmp_path / f"truth.{end}"
    told = call("export", "phantom-stem", "--split", "test", "--output", scan, "--labels", truth)
    assert "phantom-stem test, 8 slices of 256 x 256 (rows x columns), voxel 30,8,8 nm" in told
    assert "warning" not in told
    command = told.strip().splitlines()[-1].partition("dabench data ")[2].split()
    call(*command, "--split", "test")
    open_volume = opener(Registry.load())
    there = known_domain(Registry.load(), Workspace.find(), "phantom-stem").open("test", open_volume)
    copied = known_domain(Registry.load(), Workspace.find(), "phantom-stem-copy").open("test", open_volume)
    np.testing.assert_array_equal(read_all(copied.images), read_all(there.images))
    np.testing.assert_array_equal(read_all(copied.labels), read_all(there.labels))
    assert voxel_of(open_volume(scan)) == voxel_of(open_volume(truth)) == pytest.approx(there.voxel)
    assert copied.voxel == pytest.approx(there.voxel)


def test_a_domain_of_floats_with_labels_of_a_part_is_exported(files, tmp_path: Path):
    images, labels = tmp_path / "im.h5", files[1]
    with h5py.File(images, "w") as file:
        file["raw"] = IMAGES.astype(np.float32) / 255
    part = ("--labelled", "1:3", "--label-slices", "1:3")
    call("add", "mine", "--images", images / "raw", "--labels", labels, "--voxel", "50,8,8", *part)
    told = call("export", "mine", "--output", tmp_path / "o.zarr", "--labels", tmp_path / "t.tif")
    assert "may not allow you to share them (licence: not on the card)" in told
    stored = zarr.open_group(str(tmp_path / "o.zarr"), mode="r")
    np.testing.assert_array_equal(stored["0"][:], IMAGES.astype(np.float32) / 255)
    truth = tifffile.imread(tmp_path / "t.tif")
    assert (truth[[0, 3]] == 255).all()
    np.testing.assert_array_equal(truth[1:3], tifffile.imread(labels)[1:3] // 255)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["phantom-ste", "--output", "new.tif"], UnknownNameError, "phantom-stem"),
        (["phantom-stem", "--output", "old.tif"], ConfigError, "--output old.tif: exists"),
        (["phantom-stem", "--output", "new.tif", "--labels", "old.tif"], ConfigError, "--labels old.tif: exists"),
        (["phantom-stem", "--output", "new.tif", "--labels", "new.tif"], ConfigError, "--output is the same file"),
        (["phantom-stem", "--output", "new.png"], ConfigError, "--output new.png: no format"),
        (["phantom-stem", "--output", "new.tif", "--labels", "a.png"], ConfigError, "--labels a.png: no format"),
        (["phantom-stem", "--output", "new.tif", "--split", "unlabelled"], UnknownNameError, "train"),
        (["phantom-stem", "--output", "new.tif", "--with-images"], ConfigError, "preference data sets"),
        (["bare", "--output", "new.tif", "--labels", "truth.tif"], ConfigError, "has no labels"),
    ],
)
def test_what_cannot_be_exported_writes_nothing(arguments, error, said, files, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("old.tif").write_bytes(b"kept")
    call("add", "bare", "--images", files[0], "--voxel", "50,8,8", "--split", "test")
    with pytest.raises(error, match=said) as raised:
        call("export", *arguments)
    assert said in str(raised.value)
    assert Path("old.tif").read_bytes() == b"kept"
    assert not Path("new.tif").exists()
    assert not Path("truth.tif").exists()


def test_a_preference_set_has_no_labels_to_export(choices, tmp_path: Path):
    with pytest.raises(ConfigError, match="no splits and no labels"):
        call("export", choices.path, "--output", tmp_path / "out.zip", "--labels", tmp_path / "t.tif")


@pytest.mark.parametrize("command", ["ls", "add", "verify", "export", "show"])
def test_help_has_an_example(command):
    assert f"Example:  dabench data {command}" in call(command, "--help")


def zarr_with_voxel(path: Path, array: np.ndarray = IMAGES) -> Path:
    """An OME-Zarr of 30 x 8 x 8 nm."""
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [30, 8, 8]}]}
    multiscale = {"axes": axes, "datasets": [level]}
    group = zarr.open_group(str(path), mode="w", attributes={"ome": {"version": "0.5", "multiscales": [multiscale]}})
    group.create_array("0", data=array, chunks=(2, 16, 16))
    return path


def card_of(name: str) -> dict:
    return json.loads(call("show", name, "--json"))


def test_show_names_the_array_that_was_chosen_of_several(tmp_path: Path):
    labels = np.repeat(np.where(IMAGES > 128, 1, 0).astype(np.uint8)[:1], 4, 0)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["about/names"], file["volumes/raw"] = np.arange(3), IMAGES  # of which one is a volume
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["mito"], file["cells"] = labels, labels
    with tifffile.TiffWriter(tmp_path / "both.ome.tif", ome=True) as tif:
        for series in (IMAGES[:, ::2], IMAGES):
            tif.write(series, photometric="minisblack", metadata={"axes": "ZYX"})
    level = [[{"path": name}] for name in ("left", "right")]
    several = [{"axes": [{"name": n, "type": "space"} for n in "zyx"], "datasets": one} for one in level]
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", attributes={"ome": {"multiscales": several}})
    for name in ("left", "right"):
        group.create_array(name, data=IMAGES)
    stored = {
        "scan.h5": "scan.h5/volumes/raw",
        "both.ome.tif/series=1": "both.ome.tif/series=1",
        "a.zarr": "a.zarr/left",
        "a.zarr/series=1": "a.zarr/right/series=1",
        "a.zarr/right": "a.zarr/right",
    }
    for number, (said, place) in enumerate(stored.items()):
        given = ("--images", tmp_path / said, "--labels", tmp_path / "labels.h5" / "mito", "--voxel", "30,8,8")
        call("add", f"own{number}", *given)
        shown = card_of(f"own{number}")
        assert Path(shown["images"]["stored"]).is_relative_to(tmp_path)
        assert shown["images"]["stored"].removeprefix(f"{tmp_path}/") == place
        assert shown["labels"]["stored"].removeprefix(f"{tmp_path}/") == "labels.h5/mito"
    assert f"images       {tmp_path}/a.zarr/right: 4 slices of 40 x 60" in call("show", "own4")


def test_add_takes_the_voxel_size_that_the_file_says(tmp_path: Path):
    scan = zarr_with_voxel(tmp_path / "scan.zarr")
    assert "voxel 30,8,8 nm; no labels" in call("add", "mine", "--images", scan)
    assert card_of("mine")["voxel"] == [30, 8, 8]
    assert "ok" in call("verify", "mine")
    assert "warning" not in call("add", "near", "--images", scan, "--voxel", "30.1,8,8")
    out = call("add", "far", "--images", scan, "--voxel", "40,8,8")
    assert f"warning: {scan} states a voxel size of 30,8,8 nm, but --voxel 40,8,8 nm is used." in out
    assert card_of("far")["voxel"] == [40, 8, 8]


def test_add_asks_for_a_voxel_size_that_nobody_says(files):
    with pytest.raises(ConfigError, match="does not state the voxel size") as caught:
        call("add", "liver", "--images", files[0])
    assert "--voxel 30,8,8" in caught.value.mend


def test_add_labels_from_other_formats_and_for_some_slices(tmp_path: Path):
    scan = zarr_with_voxel(tmp_path / "scan.zarr")
    labels = np.zeros((2, 40, 60), np.uint8)
    labels[:, 5:20, 10:30] = 1
    image = nibabel.Nifti1Image(labels.transpose(2, 1, 0), np.eye(4))
    nibabel.save(image, tmp_path / "lab.nii.gz")
    said = call("add", "mine", "--images", scan, "--labels", tmp_path / "lab.nii.gz", "--labelled", "1:3")
    assert "4 slices of 40 x 60" in said
    assert "Points" not in said
    assert "12.50% foreground of the labelled pixels (50%)" in call("verify", "mine")
    report = json.loads(call("verify", "mine", "--json"))[0]
    assert report["ignored"] == 0.5
    assert report["foreground"] == pytest.approx(300 / 2400), "of the labelled pixels"
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        file["a/mito"], file["a/cells"] = np.repeat(labels, 3, 0), np.repeat(labels, 3, 0)
    inner = tmp_path / "lab.h5" / "a" / "mito"
    said = call("add", "two", "--images", scan, "--labels", inner, "--slices", "2:4", "--label-slices", "4:6")
    assert f"0 is slice 2 of {scan}" in said
    assert "ok" in call("verify", "two")


def test_add_asks_for_the_range_of_floats(tmp_path: Path):
    scan = zarr_with_voxel(tmp_path / "f.zarr", IMAGES.astype(np.float32) * 16)
    with pytest.raises(DataError, match="floating-point pixels from 0 to 4064") as caught:
        call("add", "mine", "--images", scan)
    assert "--intensity 0,4064" in caught.value.mend
    call("add", "mine", "--images", scan, "--intensity", "0,4064")
    assert "float32" in call("verify", "mine")
    nan = zarr_with_voxel(tmp_path / "n.zarr", np.where(IMAGES > 250, np.nan, 0.5))
    with pytest.raises(DataError, match="slice 0 holds NaN"):
        call("add", "other", "--images", nan)


def test_a_channel_is_chosen_and_shown(tmp_path):
    """By an option, kept at the end of the card's path; the error of the file without a choice says both ways."""
    both = np.stack([IMAGES, 255 - IMAGES], 1)
    tifffile.imwrite(tmp_path / "two.tif", both, photometric="minisblack", metadata={"axes": "ZCYX"})
    with pytest.raises(DataError, match="holds 2 along 'channel'") as caught:
        call("add", "two", "--images", tmp_path / "two.tif", "--voxel", "30,8,8")
    assert "two.tif/channel=0  or by  --channel 0" in caught.value.mend
    call("add", "two", "--images", tmp_path / "two.tif", "--channel", 1, "--voxel", "30,8,8")
    text = call("show", "two", "--output", tmp_path / "two.png")
    low, high = 255 - int(IMAGES.max()), 255 - int(IMAGES.min())
    assert f"images       {tmp_path}/two.tif/channel=1: 4 slices of 40 x 60, " in text
    assert f"uint8 {low} to {high}; axes z, channel 1 (of 0 to 1), y, x; " in text
    images = json.loads(call("show", "two", "--output", tmp_path / "two.png", "--json"))["images"]
    assert images["values"] == [low, high]


def test_what_was_understood_is_shown(tmp_path, files):
    zarr.create_array(
        str(tmp_path / "a.zarr"), data=IMAGES.transpose(2, 0, 1).copy(), dimension_names=["x", "z", "y"]
    ).attrs["resolution"] = [4, 30, 8]
    call("add", "own", "--images", tmp_path / "a.zarr", "--labels", files[1], "--slices", "1:3")
    shown = json.loads(call("show", "own", "--output", tmp_path / "own.png", "--json"))
    assert shown["images"] == {
        "slices": 2, "of": 4, "rows": 40, "columns": 60, "type": "uint8", "axes": "x, z, y",
        "stored": str(tmp_path / "a.zarr"), "voxel_nm": [30.0, 8.0, 4.0],
        "values": [int(IMAGES[1:3].min()), int(IMAGES[1:3].max())],
    }  # fmt: skip
    assert shown["labels"]["values"] == [0, 1]
    assert "2 (of 4) slices of 40 x 60" in call("show", "own", "--output", tmp_path / "own.png")


@pytest.mark.parametrize("flipped", [(0,), (1, 2), (0, 1, 2)])
def test_labels_in_another_orientation_are_brought_to_their_images(tmp_path, files, flipped):
    labels = tifffile.imread(files[1]).copy()
    labels[2:] = 0
    steps = np.array([0.008, 0.008, 0.03])
    affine, turned = np.diag([*steps, 1]), np.diag([*steps, 1])
    for axis in flipped:
        turned[2 - axis, 3] = steps[2 - axis] * (IMAGES.shape[axis] - 1)
        turned[2 - axis, 2 - axis] *= -1
    nibabel.save(nibabel.Nifti1Image(IMAGES.transpose(2, 1, 0), affine), tmp_path / "im.NII.GZ")
    nibabel.save(nibabel.Nifti1Image(np.flip(labels, flipped).transpose(2, 1, 0), turned), tmp_path / "lab.nii")
    call("add", "own", "--images", tmp_path / "im.NII.GZ", "--labels", tmp_path / "lab.nii", "--voxel", "30,8,8")
    registry = Registry.load()
    split = known_domain(registry, Workspace.find(), "own").open("train", opener(registry))
    np.testing.assert_array_equal([split.labels.read(z) for z in range(4)], labels // 255)
    assert "turned to the images" in call("show", "own", "--output", tmp_path / "own.png")
