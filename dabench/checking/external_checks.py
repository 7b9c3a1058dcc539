"""Checks against what this machine knows: data, labels, protocol, prices, the stage cache and the code."""

from __future__ import annotations

from collections.abc import Mapping

from dabench.checking.references import References, first_line
from dabench.checking.report import Findings
from dabench.checking.run_files import RunFiles
from dabench.checking.slices import averages, compare_report, compare_rows, compare_table, rescore
from dabench.errors import DabenchError
from dabench.files.digests import digest_file, digest_of
from dabench.runs import events
from dabench.runs.plan import Plan
from dabench.tracking.events import Cost, Scored
from dabench.tracking.scores import RANKED_SPLIT, SCORES, csv_name, read_csv

#: Tags that say where, by which version and of which data a run was made, which is not what this machine would say.
#: The tag of the data is held against the receipt, whose inputs are held against the data here.
_ELSEWHERE = (
    "data_digest", "device", "trained_in", "plugin_versions", "dabench_version", "status", "suite", "git_commit",
    "env_digest", "scoring_digest",
)  # fmt: skip


def check_inputs(run: RunFiles, here: References, found: Findings) -> None:
    """The data that the run read are the data of the same name on this machine."""
    config = run.config
    try:
        splits = {f"{s.domain}/{s.name}": digest_of([s.digest, s.label_digest]) for s in here.splits(config)}
    except DabenchError as error:
        found.skip(f"data not here: {first_line(error)}")
        return
    for entry in run.receipt.inputs:
        if entry.name not in splits:
            found.skip(f"{entry.name} is not here")
        elif entry.digest != splits[entry.name]:
            found.other_data(
                f"{entry.name}: the run says that it read other data ({entry.digest[:12]}) "
                f"than there are here ({splits[entry.name][:12]})"
            )
        else:
            found.note(f"{entry.name} is what lies here")


def check_stages(run: RunFiles, here: References, found: Findings) -> None:
    """Weights in the stage cache are those of the receipt; the settings give the same keys and tags here."""
    for name, stage in run.receipt.stages.items():
        weights = here.weights(run.path, stage.key)
        if weights is None:
            found.skip(f"weights of stage {name!r} are not here")
        elif digest_file(weights) != stage.weights:
            found.problem(f"stage {name!r}: the weights in the cache are not those of the receipt")
        else:
            found.note(f"weights of stage {name!r} are those of the cache")
    try:
        plan = here.plan(run.config)
    except DabenchError as error:
        found.skip(f"tags computed anew: {first_line(error)}")
        return
    _check_plan(run, plan, here, found)


def _check_plan(run: RunFiles, plan: Plan, here: References, found: Findings) -> None:
    """Only where the keys are the same did the same source make them; then every tag has to be the same."""
    keys = {s.spec.name: s.key for s in plan.stages}
    if keys != {name: stage.key for name, stage in run.receipt.stages.items()}:
        found.skip("tags computed anew: other source, torch or device than here, so stages have other keys")
        return
    tags = run.record.tags
    expected = events.started(plan, here.registry, run.environment, tags.get("device", "")).tags
    for name in sorted((expected.keys() & tags.keys()) - set(_ELSEWHERE)):
        if tags[name] != str(expected[name]):
            found.problem(f"tag {name!r} is {tags[name]!r}; the settings give {str(expected[name])!r}")
    found.note("the settings give the same keys and tags here")


def check_costs(run: RunFiles, here: References, found: Findings) -> None:
    """Nothing was handed out by the annotation desk that the journal does not charge."""
    counts: dict[str, int] = {}
    seconds = 0.0
    try:
        weak_labels = here.weak_labels(run.config)
    except DabenchError as error:
        found.skip(f"annotation: {first_line(error)}")
        return
    for path in sorted((run.path / "annotation").glob("[!.]*")):
        if path.stem not in weak_labels:
            found.skip(f"annotation/{path.name}: no weak label of that name is registered here")
            continue
        label = weak_labels[path.stem]
        answers = label.read(path)
        counts[path.stem] = label.units(answers)
        seconds += label.price(answers)
    said = run.record.annotation or Cost(0.0)
    charges = {**said.others, "points": said.points, "preferences": said.patches}
    for kind, count in counts.items():
        charged = charges.get(kind, 0)
        if not count <= charged:
            found.problem(f"annotation/ has {count} {kind}, the journal charges {charged}")
    total = said.annotation_seconds
    if not seconds <= total * (1 + 1e-6) + 1e-6:
        found.problem(f"annotation/ is worth {seconds:.1f} s of a person, the journal charges {total:.1f} s")
    shown = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing handed out"
    found.note(f"{shown}; {total:.1f} s charged")


def check_slices(run: RunFiles, here: References, found: Findings) -> None:
    """Every score on the test split has its rows, is their mean where the protocol takes means, and is in the table."""
    known = {csv_name(s, run.path) for s in run.events if isinstance(s, Scored)}
    for path in sorted((run.path / "per_slice").glob("[!.]*.csv")):
        if f"per_slice/{path.name}" not in known:
            found.problem(f"per_slice/{path.name}: no score in the journal belongs to it")
    scores = [s for s in run.record.scores if s.split == RANKED_SPLIT]
    means = _means(run, here, scores, found)
    _check_shares(run, scores, found)
    for scored in scores:
        name = csv_name(scored, run.path)
        try:
            rows = read_csv(run.path / name)
        except FileNotFoundError:
            found.problem(f"{name} is missing: the journal has a score of stage {scored.stage!r}")
            continue
        for problem in compare_rows(scored, rows, means[scored.protocol], name):
            found.problem(problem)
    _check_table(run, found)
    found.note(f"{len(scores)} scores agree with their rows" if scores else "nothing was scored")


def _check_table(run: RunFiles, found: Findings) -> None:
    """The table of scores says what the journal and the rows say; runs of before there was one have none."""
    if (run.path / SCORES).is_file():
        problems = list(compare_table(run.path, run.cell_id, run.record.scores))
        for problem in problems[:5]:
            found.problem(problem)
        if problems[5:]:
            found.problem(f"{SCORES}: {len(problems) - 5} more values differ")
    elif SCORES in run.receipt.outputs:
        found.problem(f"{SCORES} is missing, which the receipt names")


def _check_shares(run: RunFiles, scores: list[Scored], found: Findings) -> None:
    """The stage that predicts is scored at every share of test points that is asked for, and nothing at another."""
    wanted, last = set(run.config.test_points), run.record.final
    scored = {s.test_points for s in scores if s.stage == last}
    for share in sorted(wanted - scored) if scores else ():
        found.problem(f"stage {last!r} has no score at {share:.0%} of test points, which config.json asks for")
    for share in sorted({s.test_points for s in scores} - wanted):
        found.problem(f"there is a score at {share:.0%} of test points, which config.json does not ask for")


def _means(run: RunFiles, here: References, scores: list[Scored], found: Findings) -> Mapping[str, bool]:
    """Which protocols of these scores take means over slices; those that are not registered here are said."""
    result = {}
    for name in sorted({s.protocol for s in scores}):
        try:
            result[name] = averages(here.protocol(run.config, name))
            if not result[name]:
                found.skip(f"{name} is no mean over slices, so numbers of earlier stages and other shares stand alone")
        except DabenchError as error:
            found.skip(f"means of {name}: {first_line(error)}")
            result[name] = False
    return result


def check_scores(run: RunFiles, here: References, found: Findings) -> None:
    """The headline scores of the last stage, computed again from the stored prediction and the labels."""
    record, config = run.record, run.config
    headline = [
        s
        for s in record.scores
        if s.split == RANKED_SPLIT and s.stage == record.final and s.test_points == config.test_points[0]
    ]
    path = run.path / "predictions" / "target_test.tif"
    if not headline and not path.exists():
        found.skip("nothing was scored: the target has no test labels")
        return
    if not headline or not path.is_file():
        found.problem("a score of the last stage and predictions/target_test.tif go together; one of them is missing")
        return
    _rescore(run, headline[0], here, found)


def _rescore(run: RunFiles, scored: Scored, here: References, found: Findings) -> None:
    config = run.config
    for name, said, wanted in (
        ("protocol", scored.protocol, config.protocol),
        ("inference profile", scored.inference, config.inference),
    ):
        if said != wanted:
            found.problem(f"the score's {name} is {said!r}, config.json says {wanted!r}")
    try:
        split, protocol = here.test_split(config), here.protocol(config, config.protocol)
    except DabenchError as error:
        found.skip(f"{first_line(error)}: only digests and per-slice means were checked")
        return
    if split is None or _other_data(run, f"{split.domain}/{split.name}", digest_of([split.digest, split.label_digest])):
        found.skip("other test labels here than the run's: only digests and per-slice means were checked")
        return
    report = rescore(run.path / "predictions" / "target_test.tif", split, protocol, config.protocol)
    name = csv_name(scored, run.path)
    rows = read_csv(run.path / name) if (run.path / name).is_file() else None
    for problem in compare_report(scored, rows, report, name):
        found.problem(problem)
    shown = ", ".join(f"{metric} {value:.4f}" for metric, value in report.metrics.items())
    found.note(f"computed again from the prediction and the labels: {shown} ({report.n} slices)")


def _other_data(run: RunFiles, name: str, digest: str) -> bool:
    return any(entry.name == name and entry.digest != digest for entry in run.receipt.inputs)
