"""Wheels of plugins in bundles: made of what is installed, checked on import, handed out, never installed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dabench.checking import wheels
from dabench.checking.bundle import BundleError, export_runs
from dabench.checking.bundle_import import import_bundle
from dabench.checking.located import located
from dabench.checking.verify import Verifier
from dabench.checking.wheels import is_wheel_name, is_wheel_of, make_wheels
from dabench.errors import ConfigError, DataError
from dabench.files.workspace import Workspace
from tests.checking.conftest import Made
from tests.checking.forging import Zip, edit_journal, reseal
from tests.checking.test_bundles import call, names
from tests.checking.test_plugins_by_name import THEIRS

Elsewhere = Callable[[], Verifier]
Install = Callable[..., Path]
NAME, WHEEL = "dabench-their-method", "dabench_their_method-1.2-py3-none-any.whl"
CODE = "VALUE = 7\n"
ABOUT = {
    "METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.2\n",
    "WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "entry_points.txt": "[console_scripts]\ntheirs = their_method:main\n",
    "INSTALLER": "pip\n",
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lays a distribution out as pip does, and makes this process see it."""

    def laid_out(code: str = CODE, more: tuple[str, ...] = (), **about: str) -> Path:
        site = tmp_path / "lib" / "site-packages"
        inside = {
            f"dabench_their_method-1.2.dist-info/{k.replace('__', '.')}": v for k, v in {**ABOUT, **about}.items()
        }
        files = {"their_method.py": code, "__pycache__/their_method.pyc": "x", "../../bin/theirs": "#!", **inside}
        files |= dict.fromkeys(more, "x")
        for name, text in files.items():
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        listed = "".join(f"{name},,\n" for name in files)
        (site / "dabench_their_method-1.2.dist-info" / "RECORD").write_text(listed)
        monkeypatch.syspath_prepend(str(site))
        return site

    return laid_out


def opened(data: bytes, path: Path) -> dict[str, bytes]:
    path.write_bytes(data)
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


# ------------------------------------------------------------------------------------------------------------- making
def test_installed_files_become_a_wheel_that_pip_installs(install: Install, tmp_path: Path) -> None:
    install()
    made = make_wheels([NAME, NAME, "dabench"])
    assert list(made) == [WHEEL]
    assert make_wheels([NAME]) == made  # equal files, equal bytes
    inside = opened(made[WHEEL], tmp_path / WHEEL)
    about = "dabench_their_method-1.2.dist-info"
    kept = {f"{about}/{name}" for name in ("METADATA", "WHEEL", "entry_points.txt", "RECORD")}
    assert inside.keys() == {"their_method.py", *kept}
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", "--target", "there", WHEEL]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    assert (tmp_path / "there" / "their_method.py").read_text() == CODE
    assert (tmp_path / "there" / "bin" / "theirs").is_file()  # made by pip


def test_a_wheel_is_built_of_a_copy_of_an_editable_source(install: Install, tmp_path: Path) -> None:
    source = tmp_path / "source of theirs"
    (source / "build/lib").mkdir(parents=True)
    (source / "build/lib/left_over.py").write_text("OLD = 1\n")
    (source / "their_method.py").write_text(CODE)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{NAME}"\nversion = "1.2"\n[tool.setuptools]\npy-modules = ["their_method"]\n'
    )
    before = sorted(source.rglob("*"))
    install(direct_url__json=json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}}))
    (made,) = make_wheels([NAME]).items()
    assert made[0] == WHEEL
    inside = opened(made[1], tmp_path / WHEEL)
    assert inside["their_method.py"].decode() == CODE
    assert "left_over.py" not in inside
    assert sorted(source.rglob("*")) == before


def test_a_source_that_cannot_be_built_says_why(install: Install, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    install(direct_url__json=json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}}))
    with pytest.raises(DataError, match=r"no wheel of dabench-their-method can be built from its source:\n.*setup.py"):
        make_wheels([NAME])


def test_what_is_no_distribution_has_no_wheel(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("file mine.py", "no-such-distribution", ""):
        with pytest.raises(ConfigError, match="is installed here, so its wheel cannot be built"):
            make_wheels([name])
    install(more=("../../etc/theirs.conf",))
    with pytest.raises(DataError, match=r"installed \.\./\.\./etc/theirs.conf outside its packages"):
        make_wheels([NAME])
    install(WHEEL="")
    with pytest.raises(DataError, match="was not installed from a wheel"):
        make_wheels([NAME])
    install()
    monkeypatch.setattr(wheels, "LIMIT", 100)
    with pytest.raises(DataError, match=r"the limit for a bundle is 0\.0 MB"):
        make_wheels([NAME])


@pytest.mark.parametrize("text", [WHEEL, "x-1-2-cp311.cp312-abi3-any.whl"])
def test_names_of_wheels(text: str) -> None:
    assert is_wheel_name(text)


@pytest.mark.parametrize(
    "text", ["../x-1-py3-none-any.whl", "x.whl", "a/x-1-py3-none-any.whl", "-r-1-py3-none-any.whl"]
)
def test_names_that_are_none(text: str) -> None:
    assert not is_wheel_name(text)
    assert not is_wheel_name("x" * 200 + WHEEL)


def test_a_wheel_belongs_to_a_distribution_however_that_is_spelt() -> None:
    assert is_wheel_of(WHEEL, "Dabench.their_method")
    assert not is_wheel_of(WHEEL, "dabench-their")


# ---------------------------------------------------------------------------------------------------------- in bundles
@pytest.fixture
def theirs(made: Made, run: Path, install: Install, tmp_path: Path) -> Path:
    """A bundle of a run that was made with a plugin, and the plugin's wheel."""
    install()
    edit_journal(run, "cell_started", lambda event: event["plugins"].append(THEIRS))
    reseal(run)
    done = export_runs([run], tmp_path / "theirs.zip", made.verifier, "em-lab", with_plugins=True)
    assert [name for name, _ in done.wheels] == [WHEEL]
    return done.path


def test_only_a_bundle_with_wheels_needs_a_new_dabench(made: Made, theirs: Path, tmp_path: Path) -> None:
    def manifest(path: Path) -> dict[str, Any]:
        with zipfile.ZipFile(path) as opened:
            return dict(json.loads(opened.read("manifest.json")))

    data = zipfile.ZipFile(theirs).read(f"wheels/{WHEEL}")
    assert manifest(theirs)["wheels"] == {WHEEL: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}
    assert manifest(theirs)["version"] == 3
    without = export_runs([made.run], tmp_path / "own.zip", made.verifier, with_plugins=True)
    assert (without.wheels, manifest(without.path)["version"]) == ((), 2)
    assert "wheels" not in manifest(without.path)


def test_an_import_says_what_the_bundle_has_and_hands_it_out(theirs: Path, empty: Workspace, tmp_path: Path) -> None:
    code, output = call(empty, "results", "import", str(theirs), "--quick")
    assert code == 0
    assert f"results import {theirs} --wheels plugins; pip install plugins/{WHEEL}\n" in output
    assert f"wheel {WHEEL} (in the bundle, not installed)  sha256 " in output
    assert not list(empty.root.rglob("*.whl"))
    target = tmp_path / "plugins"
    code, _ = call(empty, "results", "import", str(theirs), "--quick", "--dry-run", "--wheels", str(target))
    assert (code, target.exists()) == (0, False)
    code, output = call(empty, "results", "import", str(theirs), "--quick", "--wheels", str(target))
    data = (target / WHEEL).read_bytes()
    assert (code, data) == (0, zipfile.ZipFile(theirs).read(f"wheels/{WHEEL}"))
    assert f"sha256 {hashlib.sha256(data).hexdigest()}" in output
    (target / WHEEL).write_bytes(b"another")
    code, output = call(empty, "results", "import", str(theirs), "--quick", "--wheels", str(target))
    assert (code, "a different file of that name exists" in output) == (2, True)
    assert (target / WHEEL).read_bytes() == b"another"


def test_a_bundle_without_wheels_has_none_to_hand_out(single: Path, empty: Workspace, tmp_path: Path) -> None:
    code, output = call(empty, "results", "import", str(single), "--quick", "--wheels", str(tmp_path / "x"))
    assert (code, names(empty)) == (2, [])
    assert "contains no wheels of plugins" in output


def test_a_rerun_of_a_bundle_says_that_it_has_the_wheel(theirs: Path, made: Made, empty: Workspace) -> None:
    with (
        pytest.raises(ConfigError, match=rf"(?s)not installed here.*--wheels plugins; pip install plugins/{WHEEL}"),
        located(str(theirs), "", empty, made.registry),
    ):
        pass


def renamed(name: str) -> Callable[[Zip], Any]:
    """The wheel under another name, in the bundle and in its manifest."""

    def change(zipped: Zip) -> None:
        zipped.members[zipped.find(WHEEL)][0].filename = f"wheels/{name}"
        zipped.manifest(lambda m: m["wheels"].update({name: m["wheels"].pop(WHEEL)}))

    return change


FORGED: list[tuple[str, Callable[[Zip], Any], str]] = [
    ("other bytes", lambda z: z.replace(WHEEL, z.members[z.find(WHEEL)][1][:-1] + b"!"), f"{WHEEL}' was edited"),
    ("of nobody's", renamed("evil-1.2-py3-none-any.whl"), "does not belong to a plugin that its runs used"),
    ("no wheel", renamed("setup.py"), "'setup.py' is not a valid wheel name"),
    ("a path", lambda z: z.manifest(lambda m: m["wheels"].update({"../x": m["wheels"].pop(WHEEL)})), "is not a valid "),
    ("not listed", lambda z: z.manifest(lambda m: m.pop("wheels")), f"{WHEEL}' is not listed in manifest.json"),
    ("not there", lambda z: z.members.pop(z.find(WHEEL)), "is listed in manifest.json but missing from the bundle"),
    ("huge", lambda z: z.manifest(lambda m: m["wheels"][WHEEL].update(size=1 << 30)), "more than the limit of 33.6 MB"),
]


@pytest.mark.parametrize(("change", "message"), [pytest.param(*row[1:], id=row[0]) for row in FORGED])
def test_a_forged_wheel_is_refused(
    theirs: Path, empty: Workspace, elsewhere: Elsewhere, tmp_path: Path, change: Callable[[Zip], Any], message: str
) -> None:
    zipped = Zip(theirs)
    change(zipped)
    path = zipped.write(tmp_path / "forged.zip")
    with pytest.raises(BundleError, match=message):
        import_bundle(path, empty, elsewhere(), quick=True, wheels=tmp_path / "plugins")
    assert (names(empty), (tmp_path / "plugins").exists()) == ([], False)
