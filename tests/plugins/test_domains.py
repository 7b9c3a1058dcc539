"""First-party domains: every card loads, official layouts open from tiny files, real data match their cards."""

import hashlib
import json
import os
from pathlib import Path

import dabench_domains
import dabench_readers
import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from dabench.components.registry import PluginStatus, Registry
from dabench.data.card_domain import CardDomain
from dabench.data.phantom_domain import PhantomDomain
from dabench.data.volumes import open_volume, read_all
from dabench.errors import DataError, MissingDataError, UnknownNameError

REAL = Path(os.environ.get("DABENCH_DATA") or Path(__file__).parents[3] / "shared" / "data")
REAL_DOMAINS = ["cdeep3m", "lucchi", "rat-crop", "vnc"]
MITO = np.zeros((24, 32), np.uint8)
MITO[4:12, 5:15] = 1


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry()
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    registry.add(dabench_domains, PluginStatus("domains", "dabench"))
    assert registry.failures() == []
    return registry


@pytest.fixture(scope="module")
def opener(registry):
    readers = [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]
    return lambda path: open_volume(path, readers)


@pytest.fixture(autouse=True)
def own_workspace(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path_factory.getbasetemp() / "workspace"))


def make(registry, name, **settings):
    component = registry.get("domain", name).component
    return component.factory(component.config(**settings))


def write_png(folder: Path, names: list[str], scale: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for z, name in enumerate(names):
        Image.fromarray(MITO * scale + np.uint8(z % 256 if scale == 1 else 0)).save(folder / name)


def test_all_domains_of_the_design_are_registered(registry):
    names = registry.names("domain")
    real = ["human", "rat", "lucchi", "lucchi++", "stem", "vnc", "cdeep3m"]
    phantoms = {f"phantom-{n}" for n in ("human", "rat", "lucchi++", "stem", "lucchi", "muscle", "fine")}
    assert set(real) | {"rat-crop"} | phantoms == set(names)
    for name in real:
        card = dabench_domains.layouts(name)["official"]
        assert card.name == name
        assert card.licence
        assert card.citation
        assert card.source
        assert registry.get("domain", name).component.summary


def test_missing_domains_say_so_before_anything_runs(registry, opener, tmp_path):
    human = make(registry, "human", folder=tmp_path)
    assert str(tmp_path / "im") in human.missing()
    with pytest.raises(MissingDataError, match="EM30-H-mito-train-val-v2"):
        human.open("train", opener)


@pytest.mark.parametrize("name", ["human", "rat"])
def test_mitoem_official_layout(registry, opener, tmp_path, monkeypatch, name):
    """500 images and labels, as tiny files: im/im0000.png, mito-train-v2/seg0000.tif, mito-val-v2/seg0400.tif."""
    write_png(tmp_path / "im", [f"im{z:04d}.png" for z in range(500)])
    for part, numbers in (("mito-train-v2", range(400)), ("mito-val-v2", range(400, 500))):
        (tmp_path / part).mkdir()
        for z in numbers:
            tifffile.imwrite(tmp_path / part / f"seg{z:04d}.tif", MITO.astype(np.uint16) * (z + 1))
    domain = make(registry, name, folder=tmp_path)
    train, test = domain.open("train", opener), domain.open("test", opener)
    assert (train.images.shape, test.images.shape) == ((400, 24, 32), (100, 24, 32))
    assert test.instances.read(7)[5, 6] == 408
    np.testing.assert_array_equal(test.labels.read(7), MITO)
    assert test.images.read(7)[0, 0] == 407 % 256
    assert train.voxel == (30, 8, 8)


def test_mitoem_tiles_of_the_authors(registry, opener, tmp_path):
    for part in ("train", "test"):
        write_png(tmp_path / part / "img", ["im0000_0.png", "im0000_1.png"])
        (tmp_path / part / "lab").mkdir()
        label = np.where(MITO, 255, 128).astype(np.uint8)
        label[0] = 0
        for name in ("im0000_0.png", "im0000_1.png"):
            Image.fromarray(label).save(tmp_path / part / "lab" / name)
    domain = make(registry, "human", folder=tmp_path)
    assert domain.missing() == []
    split = domain.open("train", opener)
    assert not split.neighbours
    assert set(np.unique(split.labels.read(0))) == {0, 1, 255}
    assert (split.labels.read(1)[0] == 255).all()
    assert isinstance(make(registry, "human", folder=tmp_path, layout="tiles"), CardDomain)
    with pytest.raises(UnknownNameError, match="Did you mean 'tiles'"):
        make(registry, "human", layout="tile")


def test_lucchi_plus_plus_png_folders(registry, opener, tmp_path):
    for part in ("Train", "Test"):
        write_png(tmp_path / f"{part}_In", [f"mask{z:04d}.png" for z in range(12)])
        write_png(tmp_path / f"{part}_Out", [f"{z}.png" for z in range(12)], scale=255)
    split = make(registry, "lucchi++", folder=tmp_path).open("test", opener)
    assert split.images.shape == (12, 24, 32)
    assert [int(split.images.read(z)[0, 0]) for z in (1, 2, 10)] == [1, 2, 10]
    np.testing.assert_array_equal(split.labels.read(10), MITO)


def test_lucchi_official_epfl_stacks(registry, opener, tmp_path):
    for part in ("training", "testing"):
        tifffile.imwrite(tmp_path / f"{part}.tif", np.stack([MITO] * 3) * 9, photometric="minisblack")
        tifffile.imwrite(tmp_path / f"{part}_groundtruth.tif", np.stack([MITO] * 3) * 255, photometric="minisblack")
    split = make(registry, "lucchi", folder=tmp_path).open("train", opener)
    assert split.voxel == (5, 5, 5)
    assert split.neighbours
    np.testing.assert_array_equal(read_all(split.labels), np.stack([MITO] * 3))


@pytest.fixture
def stem_files(tmp_path) -> Path:
    """Dataset008_ME2-Stem as it is handed out, as tiny files: (x, y, z), three classes, 8 x 8 x 30."""
    label = np.stack([MITO] * 3)
    label[:, 3, 5:15] = 2  # between neighbours
    for side, cases in (("Tr", ["me2-stem_train01", "me2-stem_train02"]), ("Ts", ["me2-stem_test01"])):
        for kind, array in (("images", np.stack([MITO * 9 + z for z in range(3)])), ("labels", label)):
            (tmp_path / f"{kind}{side}").mkdir()
            for number, case in enumerate(cases):
                name = f"{case}_0000.nii.gz" if kind == "images" else f"{case}.nii.gz"
                content = array + np.uint8(100 * number) if kind == "images" else array
                image = nibabel.Nifti1Image(content.transpose(2, 1, 0), np.diag([8, 8, 30, 1]))
                nibabel.save(image, tmp_path / f"{kind}{side}" / name)
    labels = {"background": 0, "mitochondria": 1, "boundary": 2}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    return tmp_path


def test_stem_official_layout(registry, opener, stem_files):
    domain = make(registry, "stem", folder=stem_files)
    train, test = domain.open("train", opener), domain.open("test", opener)
    assert train.images.shape == test.images.shape == (3, 24, 32)
    assert train.voxel == (30, 8, 8)
    assert [int(train.images.read(z)[0, 0]) for z in range(3)] == [0, 1, 2]
    np.testing.assert_array_equal(train.labels.read(1), MITO)
    assert domain.open("unlabelled", opener).images.read(0)[0, 0] == 100
    assert test.instances is None


@pytest.mark.parametrize("file", ["split.json", "splits.json", "splits_final.json"])
@pytest.mark.parametrize("key", ["val", "valid"])
def test_stem_reads_every_spelling_of_the_split_file(registry, opener, stem_files, file, key):
    content = {"train": ["me2-stem_train02"], key: ["me2-stem_train01"], "test": ["me2-stem_test01"]}
    (stem_files / file).write_text(json.dumps([content] if key == "val" else content))
    domain = make(registry, "stem", folder=stem_files)
    assert domain.open("train", opener).images.read(0)[0, 0] == 100
    assert domain.open("unlabelled", opener).images.read(0)[0, 0] == 0


def test_stem_takes_the_meaning_of_values_from_dataset_json_and_true_instances(registry, opener, stem_files):
    (stem_files / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "boundary", "2": "mito"}}))
    (stem_files / "instancesTs").mkdir()
    ids = nibabel.Nifti1Image(np.full((32, 24, 3), 7, np.uint16), np.eye(4))
    nibabel.save(ids, stem_files / "instancesTs" / "me2-stem_test01.nii.gz")
    split = make(registry, "stem", folder=stem_files).open("test", opener)
    assert split.labels.read(0).sum() == 10
    assert split.instances.read(2)[0, 0] == 7


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("dataset.json", "{", "not JSON"),
        ("dataset.json", '{"labels": {"background": 0, "nucleus": 1}}', "label 'nucleus': 1 is none of"),
        ("dataset.json", '{"labels": {"background": 0}}', "name no mitochondrion"),
        ("dataset.json", '{"name": "x"}', "expected names and values, got None"),
        ("split.json", '[{"train": 3}]', "'train' = 3 is not a list of cases"),
        ("splits.json", "[]", r"expected names and values, got \[\]"),
    ],
)
def test_stem_says_what_is_wrong_beside_the_volumes(registry, opener, stem_files, file, content, words):
    (stem_files / file).write_text(content)
    domain = make(registry, "stem", folder=stem_files)
    with pytest.raises(DataError, match=words) as caught:
        domain.open("train", opener)
    assert file in str(caught.value)


def test_stem_that_is_not_there(registry, opener, tmp_path):
    with pytest.raises(MissingDataError, match=r"me2-stem_train01_0000.*\n.*pytc/MitoEM2"):
        make(registry, "stem", folder=tmp_path / "nowhere").open("train", opener)


def test_phantom_settings(registry, opener):
    domain = make(registry, "phantom-rat", size=64, train_slices=1, test_slices=2, seed=4)
    assert isinstance(domain, PhantomDomain)
    assert domain.open("test", opener).images.shape == (2, 64, 64)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"real data not at {REAL} (set DABENCH_DATA)")
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_halves_of_lucchi_bear_the_official_names(registry, opener, split):
    """Slice 0 is slice 0 of the official training (testing) volume; its first 16 rows tell the halves apart."""
    rows = {
        "train": "a89cd3d9326ad8d9c3644c698bfb0d45bf8821a1b7bdd0b17350bb1a19a6294e",
        "test": "8b0f50800a69aee9c06d86c40fa46bd5e2d3d63b9450fe4996ed308ac489b576",
    }
    domain = make(registry, "lucchi", folder=REAL / "lucchi")
    if domain.missing():
        pytest.skip(f"not there: {domain.missing()}")
    first = domain.open(split, opener).images.read(0)[:16]
    assert hashlib.sha256(np.ascontiguousarray(first).tobytes()).hexdigest() == rows[split]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"real data not at {REAL} (set DABENCH_DATA)")
@pytest.mark.parametrize("name", REAL_DOMAINS)
def test_real_data_match_their_cards(registry, opener, name):
    card = dabench_domains.layouts(name)["official"]
    domain = make(registry, name, folder=REAL / card.place)
    if domain.missing():
        pytest.skip(f"not there: {domain.missing()}")
    shapes = {
        "cdeep3m": {"train": (20, 1024, 1024), "test": (10, 1024, 1024), "unlabelled": (11, 1024, 1024)},
        "lucchi": {"train": (33, 768, 1024), "test": (33, 768, 1024)},
        "rat-crop": {"test": (16, 320, 320)},
        "vnc": {"train": (12, 1024, 1024), "test": (8, 1024, 1024), "unlabelled": (20, 1024, 1024)},
    }[name]
    assert set(domain.splits()) == set(shapes)
    for split_name, shape in shapes.items():
        split = domain.open(split_name, opener)
        assert split.images.shape == shape
        if split.labels is not None:
            label = split.labels.read(shape[0] // 2)
            assert set(np.unique(label)) <= {0, 1}
        if split.instances is not None:
            ids = read_all(split.instances)
            assert ((ids > 0) == (read_all(split.labels) == 1)).all()
            assert len(np.unique(ids)) == 3
