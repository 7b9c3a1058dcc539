"""docs/air-gapped.md: its first half with an index that is a folder, its second half where no network device is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tutorials.following import Reader, steps

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "air-gapped.md"
#: A few updates: seconds, not results.
FEW = " --tracker none --set source-only.iterations=2"
LOOK = "import socket; socket.create_connection(('127.0.0.1', {port}), 2)"


class CutOff(Reader):
    """A reader whose commands run in a network namespace of their own, without a device that is up."""

    shell = ("unshare", "--net", "--map-root-user", "bash")


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    if shutil.which("unshare") is None or subprocess.run([*CutOff.shell, "-c", "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here (unshare --net)")
    return Reader.arrives(tmp_path)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with dabench's wheel, which pip takes for the index; what dabench needs is installed already."""
    source, folder = tmp_path / "source", tmp_path / "index"
    subprocess.run(["git", "clone", "--quiet", "--no-local", "--depth=1", ROOT.as_uri(), source], check=True)
    code = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, folder], cwd=source, check=True, capture_output=True)
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_IGNORE_INSTALLED", "1")  # so that it is not satisfied by the dabench that runs the tests
    return folder


@pytest.mark.slow
def test_the_page_works_where_the_network_is_cut(reader: Reader, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = PAGE.read_text().split("\n## On the machine without internet access\n")
    type_all(reader, before)
    (reader.home / "carry" / "data").mkdir()
    shutil.rmtree(reader.home / "workspace")
    monkeypatch.delenv("PIP_FIND_LINKS")
    shutil.rmtree(index)
    other = CutOff(reader.home, reader.environment)
    printed = type_all(other, after)
    assert (other.packages / "dabench" / "__init__.py").is_file(), "from the wheel that was carried over"
    assert "mito.zarr" in printed
    assert (other.home / "mito.zarr" / "zarr.json").is_file()
    assert "my-source" in printed


@pytest.mark.slow
def test_nothing_answers_there(reader: Reader) -> None:
    """The namespace is what the test above relies on: not even this machine's own address is reached."""
    import socketserver

    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        look = f'{sys.executable} -c "{LOOK.format(port=server.server_address[1])}"'
        reader.types(look)
        with pytest.raises(AssertionError, match="Network is unreachable"):
            CutOff(reader.home, reader.environment).types(look)


def type_all(reader: Reader, text: str) -> str:
    """The commands of a part of the page, in one shell: it keeps what is exported."""
    part = reader.home.parent / "part.md"
    part.write_text(text)
    typed = "".join(body for _, body in steps(part))
    return reader.types("\n".join(line + FEW * line.startswith("dabench run ") for line in typed.splitlines()))
