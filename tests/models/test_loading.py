"""Runs and files as models: the same numbers as the training had, without data, and every reason not to load."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from dabench.errors import ConfigError, DataError, PluginError, UnknownNameError, WeightsError
from dabench.models import ModelWarning, load_model
from dabench.runs.plan import make_plan
from dabench.runs.task import TaskData
from dabench.tracking import read_run
from dabench.training.store import StageFolder
from dabench.training.train_stage import build_stage
from tests.models.forged_runs import forge, journal_without, rewrite, seen, settings, tile


@pytest.fixture
def no_data(monkeypatch):
    """Whatever opens a domain fails."""

    def refuse(*_, **__):
        raise AssertionError("data were asked for")

    monkeypatch.setattr(TaskData, "__init__", refuse)


# ---------------------------------------------------------------- the same numbers
def test_a_run_loads_as_it_was_trained(trained, registry):
    plan = make_plan(trained.config, registry, trained.workspace)
    stage = None
    for planned in plan.stages:
        stage = build_stage(planned.spec, stage, 0)
        planned.folder.load(stage)
    images = tile(side=64)
    with torch.inference_mode():
        expected = stage.predictor().predict(images).probability
    assert torch.equal(seen(trained.model, images), expected)


def test_a_run_says_what_rebuilds_it(trained):
    card, made = trained.model.card, trained.record.model
    assert (card.tile, card.threshold, card.update, card.stage) == (64, 0.5, 6, "prompt-das")
    assert card.voxel == tuple(made.voxel) == (30, 8, 8)
    assert card.budget.points == 0.15
    assert card.task.neighbours
    assert card.simulated
    assert card.notes == ()
    assert {p.key for p in card.parts} == set(made.sources)
    assert all(p.distribution == "dabench" and p.licence for p in card.parts)
    assert [s.protocol for s in card.scores] == ["das-2d@1"]
    assert card.scores[0].metrics["dice"] == trained.record.metrics["target_test/dice"]


def test_a_file_is_the_run(trained, registry, tmp_path, empty, no_data):
    trained.model.save(tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors", registry, empty)
    images, points = tile(side=64), [torch.tensor([[10.0, 20.0]]), torch.zeros(0, 2)]
    assert loaded.card == trained.model.card
    assert torch.equal(seen(loaded, images), seen(trained.model, images))
    assert torch.equal(seen(loaded, images, points), seen(trained.model, images, points))
    assert not torch.equal(seen(loaded, images, points)[0], seen(loaded, images)[0])
    assert loaded.takes_points


def test_a_file_leaves_the_teacher_behind(trained, registry, tmp_path):
    trained.model.save(tmp_path / "m.safetensors")
    stage = StageFolder(trained.workspace.stages, trained.record.stages[-1].key)
    assert trained.model.card.modules == ("network",)
    assert (tmp_path / "m.safetensors").stat().st_size < 0.7 * stage.weights.stat().st_size


def test_loading_leaves_the_random_state_alone(trained, registry):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    load_model(trained.record.path, registry, trained.workspace)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_of_pairs(registry, empty, no_data, tmp_path):
    model = load_model(forge(settings("source-pairs"), registry, empty), registry, empty)
    model.save(tmp_path / "pairs.safetensors")
    again = load_model(tmp_path / "pairs.safetensors", registry, empty)
    assert (again.card.neighbour, again.channels) == (40.0, 2)
    assert torch.equal(seen(again, tile(2)), seen(model, tile(2)))
    assert not again.takes_points


def test_pretrained_weights_need_not_be_here(registry, empty, no_data):
    options = {"source-only": {"network": "residual-unet", "backbone": "none"}, "residual-unet": {"pretrained": "mine"}}
    model = load_model(forge(settings(options=options), registry, empty), registry, empty)
    assert model.card.config.options["residual-unet"] == {"pretrained": "mine"}
    assert seen(model, tile()).shape == (2, 32, 32)


def test_a_source_model_that_was_brought_along_need_not_be_here(registry, empty, no_data):
    path = forge(settings(source_checkpoint="theirs"), registry, empty)
    assert load_model(path, registry, empty).card.config.source_checkpoint == "theirs"


# ---------------------------------------------------------------- where things lie
def test_a_run_is_found_by_id_folder_and_file_name(trained, registry, tmp_path, monkeypatch):
    place, name = trained.workspace, trained.config.cell_id
    trained.model.save(place.root / "models" / "mine.safetensors")
    for reference in (name, trained.record.path, "mine", "mine.safetensors"):
        assert load_model(reference, registry, place).card.cell_id == name
    (run,) = (p.name for p in trained.workspace.runs.iterdir() if p.is_dir())
    assert load_model(run[:12], registry, trained.workspace).card.cell_id == run, "the beginning of an id will do"
    with pytest.raises(UnknownNameError, match="Did you mean 'mine'"):
        load_model("mein", registry, place)
    with pytest.raises(ConfigError, match="not a run"):
        load_model(tmp_path, registry, place)


def test_a_run_folder_brings_its_own_workspace_or_stages(trained, registry, empty):
    assert load_model(trained.record.path, registry, empty).card == trained.model.card
    key = trained.record.stages[-1].key
    moved = empty.runs / trained.config.cell_id
    shutil.copytree(trained.record.path, moved)
    shutil.copytree(trained.workspace.stages / key, moved / "stages" / key)
    assert load_model(moved, registry, empty).card.digest == trained.model.card.digest


def test_the_chosen_snapshot_predicts(registry, empty):
    config = settings(thresholds=(0.5, 0.3), selector="entropy", snapshots=2)
    path = forge(config, registry, empty, update=200, threshold=0.3)
    with pytest.raises(WeightsError, match=r"200\.safetensors is missing"):
        load_model(path, registry, empty)
    folder = StageFolder(empty.stages, read_run(path).stages[-1].key)
    folder.snapshot(200).parent.mkdir()
    shutil.copy(folder.weights, folder.snapshot(200))
    card = load_model(path, registry, empty).card
    assert (card.update, card.threshold) == (200, 0.3)


# ---------------------------------------------------------------- older runs
def test_an_older_run_loads_and_says_what_is_not_known(trained, registry, empty):
    path = empty.runs / trained.config.cell_id
    shutil.copytree(trained.record.path, path)
    journal_without(path, "model")
    model = load_model(path, registry, trained.workspace)
    assert torch.equal(seen(model, tile(side=64)), seen(trained.model, tile(side=64)))
    assert (model.card.tile, model.card.update) == (64, 6)
    assert "not known" in model.card.notes[0]
    assert all(part.source == "" for part in model.card.parts)


def test_an_older_run_takes_its_voxels_from_the_card_of_the_domain(registry, empty):
    path = forge(settings(), registry, empty, described=False)
    from_card = load_model(path, registry, empty).card
    assert from_card.voxel == (30, 8, 8)
    assert len(from_card.notes) == 1


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize("status", ["failed", "skipped", "oom"])
def test_only_a_run_that_ended_well_is_a_model(registry, empty, status):
    with pytest.raises(WeightsError, match=f"status is {status} \\(made up\\)"):
        load_model(forge(settings(), registry, empty, status=status), registry, empty)


def test_weights_that_are_gone_or_changed(registry, empty):
    path = forge(settings(), registry, empty)
    folder = StageFolder(empty.stages, read_run(path).stages[-1].key)
    content = bytearray(folder.weights.read_bytes())
    content[-1] ^= 1
    folder.weights.write_bytes(content)
    with pytest.raises(WeightsError, match="changed since the run ended"):
        load_model(path, registry, empty)
    shutil.rmtree(folder.path)
    with pytest.raises(WeightsError, match="not on this machine"):
        load_model(path, registry, empty)


def test_a_damaged_journal(registry, empty):
    path = forge(settings(), registry, empty)
    (path / "journal.jsonl").write_text("{]\n{}\n")
    with pytest.raises(DataError, match="journal"):
        load_model(path, registry, empty)


def test_a_device_that_is_not_there(trained, registry):
    with pytest.raises(ConfigError, match="device 'abacus'"):
        load_model(trained.record.path, registry, trained.workspace, "abacus")


@pytest.fixture
def file(registry, empty):
    path = empty.root / "models" / "made.safetensors"
    load_model(forge(settings(), registry, empty), registry, empty).save(path)
    return path


def changed_part(path, **changes):
    """The card's parts, the last one changed."""
    from dabench.models import read_model_card

    parts = json.loads(read_model_card(path).model_dump_json())["parts"]
    return [*parts[:-1], {**parts[-1], **changes}]


def test_a_plugin_that_is_not_installed_is_named(registry, empty, file):
    rewrite(file, parts=changed_part(file, name="their-net", kind="network", distribution="labs-nets", version="2.1"))
    with pytest.raises(PluginError, match=r"needs network 'their-net'.*\n.*Install labs-nets 2\.1"):
        load_model("made", registry, empty)
    rewrite(file, parts=changed_part(file, name="their-net", kind="network", distribution="file nets.py"))
    with pytest.raises(PluginError, match=r"--plugin nets\.py"):
        load_model("made", registry, empty)


def test_another_source_of_a_plugin_is_a_warning(registry, empty, file):
    rewrite(file, parts=changed_part(file, source="0" * 64))
    with pytest.warns(ModelWarning, match=r"the source of backbone 'conv-tiny' of dabench has changed"):
        model = load_model(file, registry, empty)
    assert "predictions may differ" in model.warnings[0]


def test_a_method_that_is_not_installed(registry, empty, file):
    from dabench.files.digests import digest_of
    from dabench.models import read_model_card

    card = read_model_card(file)
    config = card.config.model_copy(update={"method": "nobody-s", "options": {}}).model_dump(mode="json")
    digests = {"weights": card.digests.weights, "config": digest_of(config)}
    rewrite(file, config=config, digests=digests)
    with pytest.raises(PluginError, match="unknown method 'nobody-s'"):
        load_model(file, registry, empty)


def test_weights_of_another_network(registry, empty, file):
    from dabench.models.model_file import read_model, write_model
    from dabench.models.tensors import digest_tensors

    card, tensors = read_model(file)
    tensors.pop(sorted(tensors)[0])
    digests = card.digests.model_copy(update={"weights": digest_tensors(tensors)})
    write_model(file, card.model_copy(update={"digests": digests}), tensors)
    with pytest.raises(WeightsError, match=r"module 'network' does not fit: .*Missing key"):
        load_model(file, registry, empty)
    write_model(file, card.model_copy(update={"modules": ("discriminator",), "digests": digests}), tensors)
    with pytest.raises(WeightsError, match="another model"):
        load_model(file, registry, empty)


def test_a_stage_that_the_method_has_no_more(registry, empty, file):
    rewrite(file, stage="first-try")
    with pytest.raises(WeightsError, match=r"'first-try'.*last stage is now 'supervised'"):
        load_model(file, registry, empty)
