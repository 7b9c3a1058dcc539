"""A raters' report in words and as tables."""

from __future__ import annotations

from dabench.annotation.ceiling import Ceiling
from dabench.annotation.report import LEAST_REPEATS, RatersReport, RaterSummary
from dabench.files.tables import Cell, Column, Number, Table, percent
from dabench.statistics.choices import Share
from dabench.statistics.intervals import Interval

#: Krippendorff (2004): from .8 on answers are reliable, from .667 on good for tentative conclusions.
RELIABLE, TENTATIVE = 0.8, 0.667
#: Below this probability what was seen is not put down to chance.
RARE = 0.01
#: From this share of questions on it is said that no candidate was any good.
MANY_BAD = 0.2


def sentences(found: RatersReport) -> list[str]:
    """What the numbers can bear, one sentence a finding; too few cases are named instead of a finding."""
    said = [_of_agreement(found)]
    for rater in found.raters:
        of_rater = (_of_consistency(rater), _of_gold(rater), _of_place(rater, found.least), _of_bad(rater))
        said += [text for text in of_rater if text]
    return [*said, *(_of_ceiling(one) for one in found.ceilings if one.questions >= found.least)]


def _of_agreement(found: RatersReport) -> str:
    if len(found.raters) < 2:
        return "Only one rater: agreement between raters cannot be measured."
    if found.agreement is None:
        return (
            f"Two or more raters answered {found.shared} questions, too few to measure agreement "
            f"({found.least} are needed)."
        )
    raw, alpha = found.agreement.raw, found.agreement.alpha
    start = f"On {found.shared} questions {raw.mean:.0%} of any two answers are the same"
    if alpha is None:
        return f"{start}; all answers are of one kind, so agreement beyond chance is undefined."
    return f"{start}; beyond chance, Krippendorff's alpha is {_interval(alpha)}: {_verdict(alpha)}."


def _verdict(alpha: Interval) -> str:
    """By the lower end of the interval: what is not shown is not claimed."""
    if alpha.low >= RELIABLE:
        return "these raters can replace each other"
    if alpha.low >= TENTATIVE:
        return "good for tentative conclusions"
    if alpha.high < TENTATIVE:
        return "they answer too differently to replace each other"
    return "reliability is uncertain; more questions are needed"


def _of_consistency(rater: RaterSummary) -> str:
    again = rater.same_again
    if not again.of:
        return ""
    if again.of < LEAST_REPEATS:
        few = f"too few to measure consistency ({LEAST_REPEATS} are needed)"
        return f"{rater.rater} saw {again.of} repeated questions, {few}."
    return f"{rater.rater} answered {again.count} of {again.of} repeated questions as before ({_range(again)})."


def _of_gold(rater: RaterSummary) -> str:
    gold = rater.on_gold
    if not gold.of:
        return ""
    if gold.of < LEAST_REPEATS:
        few = f"too few to measure accuracy ({LEAST_REPEATS} are needed)"
        return f"{rater.rater} answered {gold.of} gold questions, {few}."
    return f"{rater.rater} answered {gold.count} of {gold.of} gold questions correctly ({_range(gold)})."


def _of_ceiling(found: Ceiling) -> str:
    start = (
        f"By labels, what {found.rater} chose has a mean Dice of {found.chosen.mean:.3f}; the best candidates have "
        f"{found.best.mean:.3f}, those at threshold .5 {found.usual.mean:.3f}"
    )
    if found.reached is None:
        return f"{start}: no answers could have been better."
    if found.reached < 0:
        return f"{start}: worse than without any answers."
    return f"{start}: {found.reached:.0%} of the gain that correct answers would give."


def _of_place(rater: RaterSummary, least: int) -> str:
    first = rater.first_place
    if first.of < least or first.chance >= RARE:
        return ""
    return (
        f"{rater.rater} chose the outline shown first in {first.taken} of {first.of} answers; {first.expected:.0f} "
        f"were expected (p = {first.chance:.1g}): the position influenced the answers."
    )


def _of_bad(rater: RaterSummary) -> str:
    if rater.bad.low < MANY_BAD or rater.bad.value is None:
        return ""
    return (
        f"{rater.rater} found all candidates bad in {rater.bad.value:.0%} of {rater.bad.of} questions; training "
        "cannot use these."
    )


def _interval(found: Interval) -> str:
    return f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


def _range(found: Share) -> str:
    return f"{found.count / found.of:.0%}, {found.low:.0%} to {found.high:.0%}"


def tables(found: RatersReport) -> list[Table]:
    """Raters; their agreement; strengths of the options. Those of which nothing is known are left out."""
    made = [_raters(found)]
    if found.agreement:
        made.append(_agreement(found))
    if found.strengths:
        made.append(_strengths(found))
    if found.ceilings:
        made.append(_ceilings(found))
    return made


def _raters(found: RatersReport) -> Table:
    columns = [
        Column("rater", "text"),
        Column("answered"),
        Column("skipped", spare=1),
        Column("all bad %"),
        Column("tied %", spare=2),
        Column("same again"),
        Column("first place %"),
        Column("expected %"),
        Column("s/answer"),
    ]
    gold = any(rater.on_gold.of for rater in found.raters)
    rows = [[*_row(r), *([_count(r.on_gold)] if gold else [])] for r in found.raters]
    return Table.of([*columns, *([Column("gold correct")] if gold else [])], rows, f"{found.questions} questions")


def _row(rater: RaterSummary) -> list[Cell]:
    first = rater.first_place
    place = [first.taken / first.of, first.expected / first.of] if first.of else [None, None]
    seconds = None if rater.median_seconds is None else Number(rater.median_seconds)
    shares = [percent(rater.bad.value, digits=0), percent(rater.tied.value, digits=0)]
    return [
        rater.rater,
        rater.questions,
        rater.skipped,
        *shares,
        _count(rater.same_again),
        *(percent(value, digits=0) for value in place),
        seconds,
    ]


def _count(found: Share) -> str | None:
    return f"{found.count} of {found.of}" if found.of else None


def _agreement(found: RatersReport) -> Table:
    assert found.agreement is not None
    of = found.agreement
    named = {"same answer": of.raw, "Krippendorff's alpha": of.alpha, "Gwet's AC1": of.ac1, "Fleiss' kappa": of.fleiss}
    rows: list[list[Cell]] = [[name, *_cells(interval)] for name, interval in named.items()]
    kappa = [
        [f"Cohen's kappa: {pair}", None if k is None else Number(k, digits=2), ""] for pair, k in found.cohen.items()
    ]
    columns = [Column("agreement", "text"), Column(""), Column("95 %")]
    return Table.of(columns, [*rows, *kappa], f"{of.raters} raters, {of.items} questions with two or more answers")


def _strengths(found: RatersReport) -> Table:
    columns = [Column("thresholds", "name"), Column("strength"), Column("95 %"), Column("chosen %")]
    rows = [[s.option, *_cells(s.strength), percent(s.chosen / s.compared, digits=0)] for s in found.strengths]
    return Table.of(
        columns, rows, "Strength of each threshold (Bradley-Terry: how often it is chosen if all are shown)"
    )


def _ceilings(found: RatersReport) -> Table:
    kinds = {"if every answer were correct": "best", "as chosen": "chosen", "at threshold .5": "usual"}
    columns = [
        Column("Dice to labels", "text"),
        Column("rater", "text"),
        Column("questions"),
        Column(""),
        Column("95 %"),
    ]
    rows: list[list[Cell]] = [
        [name, one.rater, one.questions, Number(getattr(one, kind).mean, digits=3), _range3(getattr(one, kind))]
        for one in found.ceilings
        for name, kind in kinds.items()
    ]
    return Table.of(columns, rows, "Gain of the answers, and largest possible gain")


def _range3(found: Interval) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"


def _cells(found: Interval | None) -> list[Cell]:
    if found is None:
        return [None, None]
    return [Number(found.mean, digits=2), f"{found.low:.2f} to {found.high:.2f}"]
