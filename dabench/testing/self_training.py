"""Checks of self-training schemes: legal pseudo-targets from any student, with and without points, always the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dabench.annotation.desk import AnnotationDesk
from dabench.components.registry import Registered
from dabench.data.volumes import ArrayVolume
from dabench.interfaces import Budget, PseudoTargets, SelfTraining
from dabench.testing.fixtures import Fixtures, PlainStudent, discs, noise
from dabench.testing.outcomes import Check, expect, expect_same, expect_tensor
from dabench.testing.trial_run import Truth
from dabench.training.stage_data import StageData
from dabench.types import CropId, TargetCrops, Window

_SIDE = 48
#: Everything background, undecided, everything foreground.
_BIASES = (-30.0, 0.0, 30.0)


def _crops(points: Sequence[Tensor] | None = None) -> TargetCrops:
    given = points or [torch.zeros(0, 2), torch.zeros(0, 2)]
    origins = [CropId(z, Window(0, 0, _SIDE, _SIDE)) for z in range(2)]
    return TargetCrops(noise((2, 1, _SIDE, _SIDE)), list(given), origins)


def _some_points() -> list[Tensor]:
    return [torch.tensor([[10.0, 12.0], [0.0, 47.0]]), torch.zeros(0, 2)]


def _data(fixtures: Fixtures, crops: TargetCrops) -> StageData:
    """Two slices of a stage that are these crops, half of whose centres are given."""
    images, truth = ArrayVolume(crops.images[:, 0].numpy()), Truth(discs(0, side=_SIDE)[1])
    desk = AnnotationDesk(truth, images.shape, Budget(points=0.5), fixtures.assembly.weak_labels())
    return StageData(images, desk, torch.device("cpu"), 0, "conformance", None, fixtures.new_folder("kept"))


def _started(fixtures: Fixtures, item: Registered, student: nn.Module, data: StageData) -> SelfTraining:
    """A scheme after `start`, `attach` and, where it works in rounds, the first `refresh`."""
    scheme: SelfTraining = fixtures.assembly.self_training(item.name)
    scheme.start(student)
    scheme.attach(data)
    if scheme.rounds:
        with torch.no_grad():
            scheme.refresh(student, data)
    return scheme


def _targets(fixtures: Fixtures, item: Registered, crops: TargetCrops, bias: float = 0.0) -> PseudoTargets:
    torch.manual_seed(0)
    scheme = _started(fixtures, item, PlainStudent(bias), _data(fixtures, crops))
    with torch.no_grad():
        return scheme.targets(crops, torch.Generator().manual_seed(3))


def _check(where: str, targets: PseudoTargets) -> None:
    shape = (2, _SIDE, _SIDE)
    expect(
        targets.labels.dtype == torch.uint8, f"{where}: labels have type {targets.labels.dtype}, expected torch.uint8"
    )
    expect(
        tuple(targets.labels.shape) == shape,
        f"{where}: labels have shape {tuple(targets.labels.shape)}, expected {shape}",
    )
    values = set(torch.unique(targets.labels).tolist())
    expect(values <= {0, 1, 255}, f"{where}: labels hold {sorted(values - {0, 1, 255})[:4]}; legal are 0, 1 and 255")
    expect_tensor(f"{where}: weights", targets.weights, shape, 0.0)
    expect_tensor(f"{where}: confidence", targets.confidence, shape, 0.0, 1.0)
    if targets.density is not None:
        expect_tensor(f"{where}: density", targets.density, shape, 0.0, 1.0)
    expect(len(targets.points) == 2, f"{where}: points of {len(targets.points)} crops, expected 2")
    for points in targets.points:
        expect_tensor(f"{where}: points of a crop", points, (len(points), 2))


def legal_targets(fixtures: Fixtures, item: Registered) -> None:
    """Shapes, types and ranges, with given points; these stay among the points."""
    given = _some_points()
    targets = _targets(fixtures, item, _crops(given))
    _check("with points", targets)
    distance = torch.cdist(given[0], targets.points[0])
    expect(
        (distance.min(dim=1).values < 0.5).all(), f"given points {given[0].tolist()} are not among the targets' points"
    )


def nothing_to_find(fixtures: Fixtures, item: Registered) -> None:
    """No foreground, no background, no point: still legal, never NaN."""
    for bias in _BIASES:
        where = "a student that sees foreground " + {-30.0: "nowhere", 0.0: "here and there", 30.0: "everywhere"}[bias]
        _check(f"{where}, no points", _targets(fixtures, item, _crops(), bias))
        _check(f"{where}, some points", _targets(fixtures, item, _crops(_some_points()), bias))


def repeatable(fixtures: Fixtures, item: Registered) -> None:
    """The same generator state gives the same targets."""
    first, second = (_targets(fixtures, item, _crops(_some_points())) for _ in range(2))
    for name in ("labels", "weights", "confidence"):
        same = torch.equal(getattr(first, name), getattr(second, name))
        expect(same, f"{name} differ between two calls with equal generators: draw from the generator alone")
    same = all(torch.equal(a, b) for a, b in zip(first.points, second.points, strict=True))
    expect(same, "points differ between two calls with equal generators")


def student_untouched(fixtures: Fixtures, item: Registered) -> None:
    """Neither start, refresh, targets nor after_update changes the student."""
    student = PlainStudent().train()
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    scheme = _started(fixtures, item, student, _data(fixtures, _crops()))
    with torch.no_grad():
        scheme.targets(_crops(), torch.Generator().manual_seed(0))
    scheme.after_update(student, 0)
    expect_same("the student's weights and statistics changed", before, student.state_dict())
    expect(student.training, "the student was left in evaluation mode")
    expect(all(p.requires_grad for p in student.parameters()), "the student's parameters no longer require gradients")


def threshold_moves_one_way(fixtures: Fixtures, item: Registered) -> None:
    """A lower threshold labels no less foreground."""
    scheme = _started(fixtures, item, PlainStudent(), _data(fixtures, _crops()))
    counts = []
    for threshold in (0.5, 0.2):
        scheme.set_threshold(threshold)
        with torch.no_grad():
            counts.append(int((scheme.targets(_crops(), torch.Generator().manual_seed(0)).labels == 1).sum()))
    expect(counts[1] >= counts[0], f"at a threshold of .2 there are {counts[1]} foreground pixels, at .5 {counts[0]}")


def resumable(fixtures: Fixtures, item: Registered) -> None:
    """A scheme that takes over another's modules and state, and sees what it kept, gives the same targets."""
    torch.manual_seed(1)
    students, data = [PlainStudent(), PlainStudent()], _data(fixtures, _crops())
    first = _started(fixtures, item, students[0], data)
    first.after_update(students[1], 0)
    second: SelfTraining = fixtures.assembly.self_training(item.name)
    second.start(students[1])
    second.attach(data)
    for name, module in second.modules().items():
        module.load_state_dict(first.modules()[name].state_dict())
    second.load_state(first.state())
    with torch.no_grad():
        targets = [scheme.targets(_crops(), torch.Generator().manual_seed(3)) for scheme in (first, second)]
    same = all(torch.equal(getattr(targets[0], n), getattr(targets[1], n)) for n in ("confidence", "labels"))
    expect(same, "after taking over another scheme's modules and state its targets still differ: they leave state out")


CHECKS = (
    Check("legal targets", legal_targets),
    Check("nothing to find", nothing_to_find),
    Check("repeatable", repeatable),
    Check("student untouched", student_untouched),
    Check("threshold moves one way", threshold_moves_one_way),
    Check("resumable", resumable),
)
