"""Whole volumes: chunked or not, killed or not, by one process or several, the bytes are the same."""

from __future__ import annotations

import os
import signal
import traceback
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dabench.errors import ConfigError, PredictionError
from dabench.execution import ray_executor
from dabench.execution.jobs import Resources, Site
from dabench.execution.local import LocalExecutor
from dabench.inference import predict_slices
from dabench.volumes.prediction.chunk_log import ChunkLog
from dabench.volumes.prediction.plan import make_prediction_plan
from dabench.volumes.prediction.processes import ByJobs
from tests.volumes.prediction.fakes import (
    Broken,
    Deterministic,
    FakeSource,
    Finishing,
    arrays,
    fake_model,
    request_of,
    run,
    scan,
)

same = np.testing.assert_array_equal


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("scan")
    scan(made / "scan.tif")
    rows = ["z,y,x", "0,0,0", "1,15.5,31.5", "1,16,32", "2,39,55", "4,23.4,24.6"]
    (made / "clicks.csv").write_text("\n".join(rows))
    return made


@pytest.fixture(scope="module")
def whole(folder, registry):
    run(registry, request_of(folder, points=folder / "clicks.csv"))
    return arrays(folder / "out.zarr")


def expected_probability(folder, points, profile="fast", gap=0):
    """What `predict_slices` gives, quantised."""
    from dabench.data.volumes import ArrayVolume

    images = ArrayVolume(tifffile.imread(folder / "scan.tif").astype(np.float32) * np.float32(1 / 255))
    found = predict_slices(Deterministic(), images, 16, profile, points, gap=gap)
    return np.stack([np.minimum(p.probability * 256, 255).astype(np.uint8) for _, p in found])


def test_it_is_what_inference_gives(folder, whole):
    points = {0: [[0, 0]], 1: [[31.5, 15.5], [32, 16]], 2: [[55, 39]], 4: [[24.6, 23.4]]}
    probability = expected_probability(folder, points)
    same(whole["0"], probability)
    same(whole["labels/mask/0"], probability >= 128)
    assert not (probability == expected_probability(folder, None)).all()


def test_instances_are_components_of_the_mask(whole):
    import cc3d

    ids, count = cc3d.connected_components(whole["labels/mask/0"], connectivity=26, return_N=True)
    found = whole["labels/instances/0"]
    assert found.max() == count
    assert len({(a, b) for a, b in zip(found.ravel(), ids.ravel(), strict=True)}) == count + 1


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunk=st.tuples(st.integers(1, 5), st.integers(7, 40), st.integers(7, 56)))
def test_any_chunks_give_the_same_volume(chunk, folder, whole, registry):
    output = folder / "chunked.zarr"
    request = request_of(folder, output=output, chunk=chunk, points=folder / "clicks.csv", overwrite=True)
    summary = run(registry, request)
    found = arrays(output)
    assert found.keys() == whole.keys()
    for key in whole:
        same(found[key], whole[key])
    assert summary.foreground == (whole["labels/mask/0"] > 0).mean()


@pytest.mark.parametrize("chunk", [(1, 40, 56), (2, 17, 33), (5, 40, 56)])
def test_pairs_and_turns_survive_chunks(chunk, folder, registry, tmp_path):
    model = fake_model(Deterministic(neighbour=60.0))
    run(registry, request_of(folder, output=tmp_path / "o.zarr", chunk=chunk, profile="paper", batch=8), model)
    expected = expected_probability(folder, None, "paper", gap=2)
    assert np.array_equal(arrays(tmp_path / "o.zarr")["0"], expected)


def test_a_range_of_slices_looks_at_its_neighbours_and_says_where_it_lies(folder, registry, tmp_path):
    import zarr

    model = fake_model(Deterministic(neighbour=30.0))
    run(registry, request_of(folder, output=tmp_path / "o.zarr", slices=(1, 3)), model)
    same(arrays(tmp_path / "o.zarr")["0"], expected_probability(folder, None, gap=1)[1:3])
    multiscale = zarr.open_group(tmp_path / "o.zarr").attrs["ome"]["multiscales"][0]
    assert multiscale["datasets"][0]["coordinateTransformations"][1]["translation"] == [30, 0, 0]


def test_a_last_step_on_whole_slices_is_done_on_whole_slices(folder, registry, tmp_path):
    run(registry, request_of(folder, output=tmp_path / "o.zarr", chunk=(2, 40, 56)), fake_model(Finishing()))
    found = arrays(tmp_path / "o.zarr")
    mask = found["0"] >= 128
    same(found["labels/mask/0"], mask & np.roll(mask, 1, 1))
    with pytest.raises(ConfigError, match=r"--chunk 2,20,56.*whole slices(.|\n)*--chunk 2,40,56"):
        run(registry, request_of(folder, output=tmp_path / "p.zarr", chunk=(2, 20, 56)), fake_model(Finishing()))


@pytest.mark.parametrize(("suffix", "what"), [(".tif", "mask"), (".tiff", "instances"), (".h5", "probability")])
def test_one_array_goes_to_a_file(suffix, what, folder, whole, registry, tmp_path):
    output = tmp_path / f"o{suffix}"
    run(registry, request_of(folder, output=output, what=what, points=folder / "clicks.csv", chunk=(2, 40, 56)))
    found = h5py.File(output)[what][:] if suffix == ".h5" else tifffile.imread(output)
    expected = whole["0" if what == "probability" else f"labels/{what}/0"]
    same(found, expected * np.float32({"mask": 255, "probability": 1 / 256, "instances": 1}[what]))
    assert [p.name for p in tmp_path.iterdir()] == [output.name]


# ---------------------------------------------------------------- interrupted
def killed_after(steps, work):
    """Run in a child that is killed (SIGKILL) at its ``steps``-th step; whether it came to its end before."""
    child = os.fork()
    if child == 0:
        left = [steps]

        def counting(function):
            def counted(*args, **named):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **named)

            return counted

        import dabench.volumes.prediction.volume as volume
        from dabench.volumes.output import ZarrBlocks

        ZarrBlocks.write_block = counting(ZarrBlocks.write_block)
        ChunkLog._append = counting(ChunkLog._append)
        volume._publish = counting(volume._publish)
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFEXITED(status)


@pytest.mark.parametrize(("steps", "suffix"), [(2, ".zarr"), pytest.param(5, ".tif", marks=pytest.mark.slow)])
def test_killed_at_every_few_steps_it_ends_as_if_it_had_not_been(steps, suffix, folder, whole, registry, tmp_path):
    output = tmp_path / f"o{suffix}"
    request = request_of(folder, output=output, chunk=(2, 40, 30), points=folder / "clicks.csv", what="instances")
    kills = 0
    # A step that is begun again counts again: the budget grows until every step fits into one life.
    while not killed_after(steps + 2 * kills, lambda: run(registry, request)):
        kills += 1
        if output.exists():
            break
        assert kills < 60
    assert kills >= 3
    if (tmp_path / f"{output.name}.partial").exists():
        with pytest.raises(ConfigError, match="exists"):
            run(registry, request)
    assert [p.name for p in tmp_path.iterdir()] == [output.name]
    if suffix == ".tif":
        same(tifffile.imread(output), whole["labels/instances/0"])
        return
    found = arrays(output)
    for key in whole:
        same(found[key], whole[key])
    assert not list(output.rglob("*.partial"))


def stopped(folder, registry, tmp_path, chunks=2):
    """A prediction that stops after a few chunks; its request and what lies there."""

    def stop(phase, done, count):
        if done == chunks:
            raise KeyboardInterrupt

    request = request_of(folder, output=tmp_path / "o.zarr", chunk=(1, 40, 56))
    with pytest.raises(KeyboardInterrupt):
        run(registry, request, notify=stop)
    return request, tmp_path / "o.zarr.partial"


def test_done_chunks_are_not_done_again_and_another_configuration_is_refused(folder, registry, tmp_path):
    request, partial = stopped(folder, registry, tmp_path)
    assert not request.output.exists()
    assert not (partial / "zarr.json").exists(), "what is half done cannot be opened by its name"
    with pytest.raises(ConfigError, match=r"threshold: 0\.5 before, 0\.4 now(.|\n)*rm -r"):
        run(registry, replace(request, threshold=0.4))
    with pytest.raises(ConfigError, match=r"points: null before(.|\n)*profile: \"fast\" before, \"paper\" now"):
        run(registry, replace(request, profile="paper", points=folder / "clicks.csv"))
    with pytest.raises(ConfigError, match="model: "):
        run(registry, request, fake_model(digest="1" * 64))
    told = []
    summary = run(registry, request, notify=lambda *what: told.append(what))
    assert summary.continued == 2
    assert told[0] == ("predict", 3, 5)
    assert not partial.exists()


def test_changed_images_are_refused(folder, registry, tmp_path):
    scan(tmp_path / "scan.tif")
    request, _ = stopped(tmp_path, registry, tmp_path)
    scan(tmp_path / "scan.tif", seed=1)
    with pytest.raises(ConfigError, match="images: "):
        run(registry, request)


def test_a_half_written_line_of_the_chunk_log_is_not_written(folder, registry, tmp_path):
    request, partial = stopped(folder, registry, tmp_path)
    with (partial / "manifest.jsonl").open("ab") as file:
        file.write(b'{"chunk": 4, "fore')
    assert run(registry, request).continued == 2


@pytest.mark.parametrize("way", ["{}", "o/../{}", "linked/{}", "alias-{}"], ids=["plain", "dots", "folder", "link"])
@pytest.mark.parametrize("target", ["scan.tif", "made.zarr", "made.zarr/more.zarr", "model.tif"])
def test_what_is_read_is_never_replaced_however_its_path_is_written(way, target, registry, tmp_path):
    scan(tmp_path / "scan.tif")
    (tmp_path / "model.tif").write_bytes(b"a model")
    run(registry, request_of(tmp_path, output=tmp_path / "made.zarr"))
    (tmp_path / "o").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path)
    for name in ("scan.tif", "made.zarr", "model.tif"):
        (tmp_path / f"alias-{name}").symlink_to(tmp_path / name)
    images = tmp_path / ("made.zarr" if "made" in target else "scan.tif")
    request = request_of(tmp_path, images=images, output=tmp_path / way.format(target), overwrite=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"the images have the same path|folder of the images|an input"):
        run(registry, replace(request, run=str(tmp_path / "model.tif")))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_clicks_inside_an_output_that_is_replaced_are_kept(registry, tmp_path):
    scan(tmp_path / "scan.tif")
    request = request_of(tmp_path, output=tmp_path / "o.zarr")
    run(registry, request)
    (request.output / "clicks.csv").write_text("z,y,x\n1,4,4\n")
    with pytest.raises(ConfigError, match="is, or contains, an input"):
        run(registry, replace(request, points=request.output / "clicks.csv", overwrite=True))
    assert (request.output / "clicks.csv").is_file()


def test_an_output_is_replaced_only_when_asked_and_only_when_the_new_one_is_there(folder, registry, tmp_path):
    request = request_of(folder, output=tmp_path / "o.zarr")
    run(registry, request)
    with pytest.raises(ConfigError, match=r"exists(.|\n)*--overwrite"):
        run(registry, request)
    old = arrays(request.output)["labels/mask/0"]

    def look(phase, done, count):
        same(arrays(request.output)["labels/mask/0"], old)

    run(registry, replace(request, threshold=0.3, overwrite=True), notify=look)
    assert arrays(request.output)["labels/mask/0"].sum() > old.sum()
    assert [p.name for p in tmp_path.iterdir()] == ["o.zarr"]
    with pytest.raises(ConfigError, match="the images have the same path"):
        run(registry, replace(request, images=request.output, overwrite=True))
    with pytest.raises(ConfigError, match="lies in the folder of the images"):
        run(registry, replace(request, images=request.output, output=request.output / "again.zarr"))
    assert [p.name for p in tmp_path.iterdir()] == ["o.zarr"]


# ---------------------------------------------------------------- several processes, broken models
@pytest.mark.slow
def test_several_processes_give_the_same_bytes(folder, whole, registry, tmp_path):
    request = request_of(folder, output=tmp_path / "o.zarr", chunk=(1, 40, 56), points=folder / "clicks.csv")
    with LocalExecutor(Site(tmp_path / "o.zarr.partial", tmp_path / "jobs"), jobs=2) as executor:
        run(registry, request, predicts=ByJobs(executor, Resources(), shares=3))
    assert sorted(state.status for state in executor.site.states()) == ["ok"] * 3
    assert np.array_equal(arrays(tmp_path / "o.zarr")["0"], whole["0"])


def test_a_model_that_gives_no_numbers_is_stopped(folder, registry, tmp_path):
    with pytest.raises(PredictionError, match=r"slice 0: .*NaN(.|\n)*--precision float32"):
        run(registry, request_of(folder, output=tmp_path / "o.zarr"), fake_model(Broken()))


def test_the_name_of_an_assignment_is_its_configuration(folder, registry):
    plan = make_prediction_plan(request_of(folder), fake_model(), registry)
    again = make_prediction_plan(request_of(folder), fake_model(), registry)
    other = make_prediction_plan(request_of(folder, threshold=0.4), fake_model(), registry)
    names = [p.assignment(FakeSource()).name for p in (plan, again, other)]
    assert names[0] == names[1] != names[2]


class ShrinkingCluster:
    """Stands in for Ray: tasks are done when they are asked for; after the third, three of four cores are gone."""

    exceptions = SimpleNamespace(RayTaskError=RuntimeError, RayError=OSError)

    def __init__(self):
        self.asked, self.most = 0, 0

    def cluster_resources(self):
        return {"CPU": 4 if self.asked < 3 else 1}

    def remote(self, function):
        def submit(*values):
            self.asked += 1
            return lambda: function(*values)

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=submit))

    def put(self, value):
        return value

    def wait(self, running, num_returns):
        self.most = max(self.most, len(running))
        return running[:1], running[1:]

    def get(self, reference):
        return reference()

    def cancel(self, reference, force):
        raise AssertionError("all were waited for")


def test_a_cluster_that_shrinks_is_waited_for(folder, whole, registry, tmp_path, monkeypatch):
    cluster = ShrinkingCluster()
    monkeypatch.setattr(ray_executor, "connect", lambda address: cluster)
    request = request_of(folder, output=tmp_path / "o.zarr", chunk=(1, 20, 56), points=folder / "clicks.csv")
    executor = ray_executor.RayExecutor(Site(tmp_path / "o.zarr.partial", tmp_path / "jobs"))
    run(registry, request, predicts=ByJobs(executor, Resources()))
    assert (cluster.asked, cluster.most) == (10, 8)
    same(arrays(tmp_path / "o.zarr")["0"], whole["0"])
