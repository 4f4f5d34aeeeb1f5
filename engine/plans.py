"""Plans for a block: what the inner loop of refinement tries, in order, as a function of the run so far.

First what the coordinator asked for, then what research ranked, then components not tried yet, then parameters proposed by
Optuna's TPE, seeded with every solution of the run that differs in this block's parameters only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import optuna

from . import registry
from .defaults import additions, alternatives, place, usable, with_model
from .evaluation import Evaluation
from .experiment import Experiment
from .leaderboard import TRIALS, leaderboard
from .pipeline import model_params
from .plugins import Component, Model
from .solution import Block, Params, ParamValue, Solution, Suggestion

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class Plan:
    """One proposal for a block: where it comes from, and the solution it leads to."""

    source: str
    text: str
    solution: Solution


def plans_for(
    experiment: Experiment,
    solution: Solution,
    target: Block,
    asked: Sequence[Block],
    research: Sequence[Suggestion],
    inner: int,
) -> Iterator[Plan]:
    """Yield plans for a block without repeating a solution: asked for, from research, untried components, then parameters; last
    those that there was no time for before.

    Parameters are proposed half of the time once components were tried, so that four plans cover both.
    """
    seen = {solution.key} | _tried(experiment)
    count = 0
    for plan in _components(experiment, solution, target, asked, research):
        forced = plan.source == "asked"
        if plan.solution.key in seen and not forced:
            continue
        if count >= max(1, inner // 2) and not forced and _has_space(experiment, target):
            break
        seen.add(plan.solution.key)
        count += 1
        yield plan
    yield from _parameters(experiment, solution, target, seen, inner)
    for plan in _components(experiment, solution, target, (), research):
        if plan.solution.key not in seen:
            seen.add(plan.solution.key)
            yield plan
    yield from _not_started(experiment, target)


def _tried(experiment: Experiment) -> set[str]:
    """Keys of solutions that had their chance: initial ones, and plans of finished steps. What an ablation or an interrupted step
    scored was never decided on; proposed again, it costs nothing."""
    initial = {ranked.evaluation.key for ranked in leaderboard(experiment) if ranked.origin not in TRIALS}
    steps = experiment.run.journal.read("refinement")
    return initial | {plan["key"] for entry in steps for plan in entry.body["plans"]}


def _not_started(experiment: Experiment, target: Block) -> Iterator[Plan]:
    """Plans of earlier steps on blocks of this slot that there was no time for; a later round may have it."""
    evaluations = [entry.body for entry in experiment.run.journal.read("evaluation")]
    done = {body["key"] for body in evaluations if body["failure"] is None}
    solutions = {body["key"]: body["solution"] for body in evaluations}
    for entry in experiment.run.journal.read("refinement"):
        for plan in entry.body["plans"] if entry.body["block"].split(".")[0] == target.slot else ():
            key, is_late = plan["key"], (plan["failure"] or "").startswith("timeout") and plan["seconds"] == 0.0
            if is_late and key in solutions and key not in done:
                done.add(key)
                yield Plan(plan["source"], plan["text"], Solution.from_json(solutions[key]))


def _components(
    experiment: Experiment, solution: Solution, target: Block, asked: Sequence[Block], research: Sequence[Suggestion]
) -> Iterator[Plan]:
    shape = experiment.shape
    for block in asked:
        yield Plan("asked", _text(block), _put(experiment, solution, block))
    suggested = [item.block for item in research if item.block.slot == target.slot and item.suits(solution)]
    for block in suggested:
        if block.slot == "model" or usable(block.slot, block.component, shape):
            yield Plan("research", _text(block), _put(experiment, solution, block))
    if target.component:
        # An initial solution's learner was tried, also where it failed; what is left of it is its parameters.
        tried = {
            Solution.from_json(entry.body["solution"]).model.component
            for entry in experiment.run.journal.read("evaluation")
            if entry.body["origin"] not in TRIALS and entry.body["seconds"] > 0.0
        }
        for block in alternatives(solution, target, shape):
            if block.slot == "model" and block.component in tried:
                continue
            yield Plan("component", _text(block), _put(experiment, solution, block))
    for block in additions(solution, shape):
        if block.slot == target.slot:
            yield Plan("component", f"add {_text(block)}", _put(experiment, solution, block))


def _put(experiment: Experiment, solution: Solution, block: Block) -> Solution:
    block = _plain(experiment, block)
    if block.slot == "model" and block.component != solution.model.component:
        return with_model(solution, block.component, experiment.shape, dict(block.params))
    return place(solution, block)


def _plain(experiment: Experiment, block: Block) -> Block:
    """The block without parameters that its defaults on this table have anyway: the same solution is not tried under two names."""
    usual: Params
    if block.slot == "model":
        usual = registry.model(block.component).defaults(experiment.shape)
    else:
        usual = registry.component(block.slot, block.component).defaults
    return Block.of(
        block.slot, block.component, {name: value for name, value in block.params if usual.get(name) != value}
    )


def _text(block: Block) -> str:
    params = ", ".join(f"{name}={value}" for name, value in block.params)
    return f"{block.component}({params})" if params else block.component


def _current_params(experiment: Experiment, target: Block) -> Params:
    if target.slot == "model":
        return model_params(registry.model(target.component), target, experiment.shape)
    return {**registry.component(target.slot, target.component).defaults, **dict(target.params)}


def _descriptor(target: Block) -> Model | Component:
    if target.slot == "model":
        return registry.model(target.component)
    return registry.component(target.slot, target.component)


def _has_space(experiment: Experiment, target: Block) -> bool:
    if not target.component:
        return False
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return bool(_descriptor(target).space(study.ask(), experiment.shape))


def _parameters(
    experiment: Experiment, solution: Solution, target: Block, seen: set[str], inner: int
) -> Iterator[Plan]:
    """Propose parameters by TPE, told about every solution of this run that differs in this block's parameters only.

    Ends where other parameters gave exactly the same predictions: on this table they change nothing.
    """
    if not _has_space(experiment, target):
        return
    present = experiment.evaluator.recall(solution)
    descriptor = _descriptor(target)
    direction = "maximize" if experiment.task.metric.greater_is_better else "minimize"
    sampler = optuna.samplers.TPESampler(seed=experiment.seed, n_startup_trials=4)
    study = optuna.create_study(sampler=sampler, direction=direction)
    _tell_known(experiment, study, solution, target)
    for _ in range(4 * inner):
        trial = study.ask()
        params = descriptor.space(trial, experiment.shape)
        proposal = solution.replace(target, target.with_params(params))
        if proposal.key not in seen:
            seen.add(proposal.key)
            yield Plan("parameters", _changed(experiment, target, params), proposal)
        scored = experiment.evaluator.recall(proposal)
        if scored is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, scored.mean)
            if present is not None and proposal.key != solution.key and _same_predictions(scored, present):
                return


def _same_predictions(one: Evaluation, other: Evaluation) -> bool:
    return one.oof is not None and other.oof is not None and np.array_equal(one.oof, other.oof, equal_nan=True)


def _tell_known(experiment: Experiment, study: optuna.Study, solution: Solution, target: Block) -> None:
    """Seed the search with the solutions of this run that are the same but for this block's parameters."""
    probe = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    _descriptor(target).space(probe, experiment.shape)
    rest = set(solution.blocks) - {target}
    for ranked in leaderboard(experiment):
        own = set(ranked.evaluation.solution.blocks) - rest
        if len(own) != 1 or not rest <= set(ranked.evaluation.solution.blocks):
            continue
        block = own.pop()
        if (block.slot, block.component) != (target.slot, target.component):
            continue
        values = _current_params(experiment, block)
        known = {
            name: distribution
            for name, distribution in probe.distributions.items()
            if _allows(distribution, values.get(name))
        }
        study.add_trial(
            optuna.trial.create_trial(
                params={name: values[name] for name in known}, distributions=known, value=ranked.evaluation.mean
            )
        )


def _allows(distribution: optuna.distributions.BaseDistribution, value: ParamValue) -> bool:
    """Whether a search may be told this value; defaults can lie outside of a space or between its steps, or be None."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return value in distribution.choices
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(distribution, optuna.distributions.IntDistribution | optuna.distributions.FloatDistribution):
        on_step = distribution.step is None or math.isclose(
            (value - distribution.low) % distribution.step, 0.0, abs_tol=1e-9
        )
        return bool(distribution.low <= value <= distribution.high and on_step)
    return False


def _changed(experiment: Experiment, target: Block, params: Params) -> str:
    current = _current_params(experiment, target)
    changes = [
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in params.items()
        if current.get(name) != value
    ]
    return f"{target.component}({', '.join(changes)})"
