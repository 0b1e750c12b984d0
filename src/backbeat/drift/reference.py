"""Which profile a batch is compared with: the pinned one, or one made of the batches before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import reduce

import numpy as np

from backbeat.drift._arrays import Floats
from backbeat.drift.past import PastBatch
from backbeat.drift.profile import Profile
from backbeat.drift.rules import Rules
from backbeat.errors import InvalidData, InvalidStep

__all__ = ["reference_of", "refuse_itself", "replay", "weekday"]

_BACKFILL = "backfill past partitions with `backbeat profile backfill`, or compare with `pinned`"
_DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


def reference_of(
    rules: Rules, pinned: Profile, history: Sequence[PastBatch], partition: str
) -> tuple[Profile, str]:
    """The reference that `rules.against` asks for, and its title for people.

    Only ordinary batches take part: a fault of yesterday is no measure for today.

    Args:
        rules: Says which reference, of how many batches.
        pinned: The profile that the model was trained on.
        history: The batches before this one, the oldest first.
        partition: The batch to be judged.

    Raises:
        InvalidStep: `weekday` is asked for, and the partition is no ISO day.
        InvalidData: There is no past batch to make it of, or the batch itself is among them.
    """
    refuse_itself(pinned, history, partition)
    if rules.against == "pinned":
        return pinned, "the pinned profile"
    day = weekday(partition)
    if rules.against == "weekday" and day is None:
        raise InvalidStep(
            f"The partition {partition!r} is no ISO day, so that it has no weekday.",
            hint="name partitions such as 2013-07-01, or compare with `rolling`",
        )
    ordinary = [batch for batch in history if batch.ordinary and batch.profile.rows]
    days = [weekday(batch.partition) for batch in ordinary]
    chosen = _chosen(rules, days, day, range(len(ordinary) - 1, -1, -1))
    if not chosen:
        what = f"of the {_DAYS[day]} " if rules.against == "weekday" and day is not None else ""
        raise InvalidData(
            f"There is no ordinary batch {what}before {partition or 'this one'} to compare with.",
            hint=_BACKFILL,
        )
    merged = reduce(Profile.merge, (ordinary[at].profile for at in reversed(chosen)))
    if rules.against == "last_good":
        return merged, f"the last good batch, {ordinary[chosen[0]].partition}"
    kind = _DAYS[day] if rules.against == "weekday" and day is not None else "batches"
    return merged, f"the last {len(chosen)} {kind}" if len(chosen) > 1 else f"the last of {kind}"


def refuse_itself(reference: Profile, history: Sequence[PastBatch], partition: str) -> None:
    """Refuse to compare a batch with itself; raises InvalidData."""
    own = getattr(reference, "partition", "")
    if partition and (own == partition or any(past.partition == partition for past in history)):
        raise InvalidData(
            f"The reference contains the batch {partition} itself: it would always look alike.",
            hint="compare it with a profile of other rows, and pass only the batches before it",
        )


def replay(rules: Rules, partitions: Sequence[str]) -> Floats | None:
    """Which batches were the reference of each past batch; None where it is the pinned one.

    The first batches have too few before them and take the next ones after them, so that every
    past batch is compared with as much as the new one is, and never with itself.

    Returns:
        Shape (batches, batches): 1 where the column's batch belongs to the row's reference.
    """
    if rules.against == "pinned":
        return None
    days = [weekday(partition) for partition in partitions]
    found = np.zeros((len(days), len(days)))
    for at, day in enumerate(days):
        nearest = [*range(at - 1, -1, -1), *range(at + 1, len(days))]
        found[at, _chosen(rules, days, day, nearest)] = 1
    return found


def weekday(partition: str) -> int | None:
    """0 for Monday to 6 for Sunday; None where the partition is no ISO day."""
    try:
        return date.fromisoformat(partition).weekday()
    except ValueError:
        return None


def _chosen(
    rules: Rules, days: Sequence[int | None], day: int | None, nearest: Sequence[int]
) -> list[int]:
    if rules.against == "weekday":
        return [at for at in nearest if days[at] == day][: rules.weekdays]
    return list(nearest[: rules.window if rules.against == "rolling" else 1])
