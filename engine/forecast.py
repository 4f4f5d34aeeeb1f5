"""What the rest of a run will need: the time for the final fits of what is chosen, or of an ensemble that does not exist yet."""

from __future__ import annotations

from .ensembling import MOST_MEMBERS
from .evaluation import fit_seconds
from .experiment import Experiment
from .final import chosen
from .leaderboard import best_single, leaderboard
from .pool import member_pool

_AT_MOST = 1.3


def chosen_fit_seconds(experiment: Experiment) -> float:
    """Seconds for the final fits of what is chosen now: of the fits that there must be at most, going by what fits beyond
    the foreseen have taken; of those that the clock may cut short, without loss of what is there, what is foreseen."""
    members = chosen(experiment).members
    more_s = (_AT_MOST - 1.0) * fit_seconds(members, experiment.fewest_final_fits)
    return fit_seconds(members, experiment.final_fits) + more_s


def expected_fit_seconds(experiment: Experiment) -> float:
    """Seconds that all final fits of the best solutions together would take, as many as an ensemble has members at most. The one to
    come may need less; once it is known, what it leaves over goes to another round."""
    pool = member_pool(experiment)
    if not pool and leaderboard(experiment):
        pool = [best_single(experiment).evaluation]
    return fit_seconds(pool[:MOST_MEMBERS], experiment.final_fits)
