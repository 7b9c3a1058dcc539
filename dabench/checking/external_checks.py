"""Checks against what this machine knows: data, labels and protocol."""

from __future__ import annotations

from collections.abc import Mapping

from dabench.checking.references import References, first_line
from dabench.checking.report import OTHER_DATA, TOO_GOOD, Findings
from dabench.checking.run_files import RunFiles
from dabench.checking.slices import averages, compare_report, compare_rows, compare_table, is_truth, rescore
from dabench.errors import DabenchError
from dabench.files.digests import digest_of
from dabench.tracking.events import Scored
from dabench.tracking.scores import RANKED_SPLIT, SCORES, csv_name, read_csv


def check_inputs(run: RunFiles, here: References, found: Findings) -> None:
    """The data that the run read are the data of the same name on this machine."""
    config = run.config
    try:
        splits = {f"{s.domain}/{s.name}": digest_of([s.digest, s.label_digest]) for s in here.splits(config)}
    except DabenchError as error:
        found.skip(f"the data are not on this machine: {first_line(error)}")
        return
    for entry in run.receipt.inputs:
        if entry.name not in splits:
            found.skip(f"{entry.name} is not on this machine")
        elif entry.digest != splits[entry.name]:
            found.mark(
                OTHER_DATA,
                f"{entry.name}: the run recorded other data ({entry.digest[:12]}) "
                f"than this machine has ({splits[entry.name][:12]})",
            )
        else:
            found.note(f"{entry.name} matches the data on this machine")


def check_slices(run: RunFiles, here: References, found: Findings) -> None:
    """Every score on the test split has its rows, is their mean where the protocol takes means, and is in the table."""
    known = {csv_name(s, run.path) for s in run.events if isinstance(s, Scored)}
    for path in sorted((run.path / "per_slice").glob("[!.]*.csv")):
        if f"per_slice/{path.name}" not in known:
            found.problem(f"per_slice/{path.name}: the journal has no score for this file")
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
    found.note(f"{len(scores)} scores agree with their values per slice" if scores else "nothing was scored")


def _check_table(run: RunFiles, found: Findings) -> None:
    """The table of scores says what the journal and the rows say; runs of before there was one have none."""
    if (run.path / SCORES).is_file():
        problems = list(compare_table(run.path, run.cell_id, run.record.scores))
        for problem in problems[:5]:
            found.problem(problem)
        if problems[5:]:
            found.problem(f"{SCORES}: {len(problems) - 5} more values differ")
    elif SCORES in run.receipt.outputs:
        found.problem(f"{SCORES} is missing, but the receipt lists it")


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
                found.skip(f"{name} does not average over slices; earlier stages and other shares cannot be recomputed")
        except DabenchError as error:
            found.skip(f"cannot compute the means of {name}: {first_line(error)}")
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
        found.problem(
            "the score of the last stage or predictions/target_test.tif is missing; runs have both or neither"
        )
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
        found.skip("this machine has other test labels than the run: only digests and per-slice means were checked")
        return
    prediction = run.path / "predictions" / "target_test.tif"
    report = rescore(prediction, split, protocol, config.protocol)
    if is_truth(prediction, split):
        found.mark(
            TOO_GOOD,
            "the prediction equals the test labels in every pixel; dabench rerun shows whether training gives it",
        )
    if len(run.record.scores) > 1:
        found.skip("scores of earlier stages and other shares of test points: no stored prediction (see dabench rerun)")
    name = csv_name(scored, run.path)
    rows = read_csv(run.path / name) if (run.path / name).is_file() else None
    for problem in compare_report(scored, rows, report, name):
        found.problem(problem)
    shown = ", ".join(f"{metric} {value:.4f}" for metric, value in report.metrics.items())
    found.note(f"computed again from the prediction and the labels: {shown} ({report.n} slices)")


def _other_data(run: RunFiles, name: str, digest: str) -> bool:
    return any(entry.name == name and entry.digest != digest for entry in run.receipt.inputs)
