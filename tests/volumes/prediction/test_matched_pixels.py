"""A scan seen at the model's pixel size: chunked or not, killed or not, the bytes on the stored pixels are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dabench.data.resampled import ResampledVolume
from dabench.data.volumes import ArrayVolume
from dabench.errors import ConfigError
from dabench.inference import Tiling, predict_slices, profile_named
from dabench.ops.resampling import Resampling
from dabench.volumes.prediction.chunking import WORKING_SET, Chunking, choose_chunk
from dabench.volumes.prediction.plan import make_prediction_plan
from dabench.volumes.prediction.precision import deviation
from tests.volumes.prediction.fakes import Deterministic, Finishing, arrays, fake_model, request_of, run, scan

#: 40 x 56 pixels of 5 x 6.4 nm are seen as 25 x 45 of about 8 nm.
VOXEL, SEEN = (30.0, 5.0, 6.4), (25, 45)
CLICKS = {0: [[0, 0]], 1: [[31.5, 15.5]], 4: [[55.4, 39.4]]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("scan")
    scan(made / "scan.tif")
    rows = [f"{z},{y},{x}" for z, points in CLICKS.items() for x, y in points]
    (made / "clicks.csv").write_text("\n".join(["z,y,x", *rows]))
    return made


def request(folder, **changes):
    return request_of(folder, **{"voxel": VOXEL, "points": folder / "clicks.csv", **changes})


@pytest.fixture(scope="module")
def whole(folder, registry):
    run(registry, request(folder))
    return arrays(folder / "out.zarr")


def expected(folder, predictor):
    """Resampled, predicted and returned slice by slice: probability and mask."""
    there = Resampling((40, 56), SEEN)
    images = ArrayVolume(tifffile.imread(folder / "scan.tif").astype(np.float32) * np.float32(1 / 255))
    points = {z: there.points(np.array(xy)) for z, xy in CLICKS.items()}
    slices = predict_slices(predictor, ResampledVolume(images, there), 16, "fast", points=points)
    seen = [p.probability for _, p in slices]
    finished = [there.inverse.apply(predictor.finish(p >= 0.5)) >= 0.5 for p in seen]
    return np.stack([there.inverse.apply(p) for p in seen]), np.stack(finished)


def test_it_is_what_inference_gives_brought_back(folder, whole):
    probability, _ = expected(folder, Deterministic())
    np.testing.assert_array_equal(whole["0"], np.minimum(probability * 256, 255).astype(np.uint8))
    np.testing.assert_array_equal(whole["labels/mask/0"], probability >= 0.5)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunk=st.tuples(st.integers(1, 5), st.integers(7, 40), st.integers(7, 56)))
def test_any_chunks_give_the_same_volume(chunk, folder, whole, registry):
    run(registry, request(folder, output=folder / "chunked.zarr", chunk=chunk, overwrite=True))
    found = arrays(folder / "chunked.zarr")
    for key in whole:
        np.testing.assert_array_equal(found[key], whole[key])


def test_it_continues_after_a_stop_and_another_pixel_size_is_refused(folder, whole, registry, tmp_path):
    def stop(phase, done, count):
        if done == 2:
            raise KeyboardInterrupt

    asked = request(folder, output=tmp_path / "o.zarr", chunk=(1, 40, 56))
    with pytest.raises(KeyboardInterrupt):
        run(registry, asked, notify=stop)
    with pytest.raises(ConfigError, match=r"resampled_to: \[25, 45\] before, null now"):
        run(registry, replace(asked, pixel_size="native"))
    assert run(registry, asked).continued == 2
    np.testing.assert_array_equal(arrays(asked.output)["0"], whole["0"])


def test_a_methods_last_step_is_taken_on_the_models_pixels(folder, registry, tmp_path):
    run(registry, request(folder, output=tmp_path / "o.zarr"), fake_model(Finishing()))
    _, finished = expected(folder, Finishing())
    np.testing.assert_array_equal(arrays(tmp_path / "o.zarr")["labels/mask/0"], finished)


def test_equal_sizes_are_native_to_the_byte(folder, registry, tmp_path):
    for name, asked in (("m", "match"), ("n", "native")):
        same = request(folder, output=tmp_path / f"{name}.zarr", voxel=(30.0, 8.0, 8.0), pixel_size=asked)
        plan = make_prediction_plan(same, fake_model(), registry)
        assert plan.images.resampling is None
        assert not any("pixels of" in note for note in plan.notes)
        run(registry, same)
    matched, native = arrays(tmp_path / "m.zarr"), arrays(tmp_path / "n.zarr")
    for key in native:
        np.testing.assert_array_equal(matched[key], native[key])


def test_the_smallest_object_is_one_of_the_models_pixels_unless_it_is_asked_for(folder, registry):
    model = fake_model()
    plan = make_prediction_plan(request(folder, min_size=None), model, registry)
    assert plan.min_voxels == 32  # 16 x (40 x 56) / (25 x 45) = 31.9
    assert make_prediction_plan(request(folder, min_size="16px"), model, registry).min_voxels == 16
    assert make_prediction_plan(request(folder, min_size=None, pixel_size="native"), model, registry).min_voxels == 16


def test_cards_and_scans_without_a_size_are_not_matched_and_told_how_to_give_it(folder, registry):
    plan = make_prediction_plan(request(folder, voxel=None), fake_model(), registry)
    assert plan.images.resampling is None
    assert any(
        "the pixel size of the images is unknown" in note and "--voxel z,y,x (nm)" in note for note in plan.notes
    )
    plan = make_prediction_plan(request(folder), fake_model(voxel=None), registry)
    assert plan.images.resampling is None
    assert any("the model's card does not state its pixel size" in note for note in plan.notes)
    far = make_prediction_plan(request(folder, voxel=(30, 40, 40)), fake_model(), registry)
    assert any("5.0 times apart" in note for note in far.notes)


def test_auto_precision_looks_at_tiles_of_the_models_pixels(folder, registry):
    plan = make_prediction_plan(request(folder), fake_model(), registry)
    assert plan.chunking.plane == SEEN
    assert 0 <= deviation(plan, registry) < 0.1


@pytest.mark.parametrize("factor", [0.25, 0.6, 1.5, 4.0])
def test_the_working_set_is_bounded_whatever_the_factor(factor):
    tiling, shape = Tiling(256, profile_named("fast")), (100, 30000, 20000)
    there = Resampling(shape[1:], (round(30000 * factor), round(20000 * factor)))
    chunk = choose_chunk(shape, tiling, 0, there)
    large = Chunking(shape, chunk, tiling, 0, there)
    assert large.memory < WORKING_SET * 1.6
    assert all(side % 256 == 0 for side in chunk[1:])
    assert large.count == len(list(large.blocks()))
