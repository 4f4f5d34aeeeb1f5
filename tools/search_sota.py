"""search_sota: rank what is known to work for this table, and take in what the agent found out by itself.

It ranks the shipped catalogue of technique cards and nothing else: no network, no model. Findings of the agent are untrusted
text: kept, labelled, quoted, and read only for names of components that exist.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from ..engine.errors import NotFound
from ..engine.inventory import exists
from ..engine.windows import add_entry, read_window
from ..knowledge.catalogue import load_cards
from ..knowledge.facts import facts_of
from ..knowledge.ranking import RankedCard, rank_cards, widen
from .contract import Detail, Report, RunRequest, Tool, call

if TYPE_CHECKING:
    from ..engine.run import RunFolder
    from .workspace import Workspace

Focus = Literal["clean", "features", "encode", "select", "target", "model", "post", "ensemble"]
ShortText = Annotated[str, Field(min_length=1, max_length=2_000)]
Word = Annotated[str, Field(min_length=1, max_length=40)]

_CARDS_PER_ROUND = 4
_SHOWN = 8
_ASIDE_SHOWN = 6
_EVIDENCE_CHARACTERS = 200
_FINDING_CHARACTERS = 160
_WINDOW = 3
_NAMED_BLOCK = re.compile(r"\b(clean|features|encode|select|target|model|post)\.([a-z][a-z0-9_]{0,59})\b")


class SearchRequest(RunRequest):
    """Arguments of `search_sota`."""

    query: Annotated[
        str, Field(max_length=400, description="What you want to know, e.g. high-cardinality encoding.")
    ] = ""
    findings: Annotated[
        tuple[ShortText, ...],
        Field(
            max_length=20,
            description="What you found elsewhere, with its source. Blocks named as slot.component are tried first.",
        ),
    ] = ()
    iterations: Annotated[
        int, Field(ge=1, le=5, description="Rounds of four cards: best matches first, then their neighbours.")
    ] = 2
    domains: Annotated[tuple[Word, ...], Field(max_length=10, description="Fields of use, e.g. churn, finance.")] = ()
    focus: Annotated[Focus | None, Field(description="Only techniques for this part of the pipeline.")] = None
    detail: Annotated[Detail, Field(description="brief: about 2,000 tokens at most; full: everything.")] = "brief"


class CardRow(BaseModel):
    """A technique, ranked for this table."""

    rank: int
    key: str
    title: str
    why: str
    evidence: str
    source: str
    blocks: list[str] = Field(description="Blocks to execute here, as slot.component(parameters).")
    how: str = Field(default="", description="With detail=full: what, why, when not, how to check.")


class FindingRow(BaseModel):
    """A finding of the agent, as recorded: untrusted text."""

    text: str
    blocks: list[str]


class SearchReport(Report):
    """What is worth trying on this table."""

    searched: str = ""
    cards: list[CardRow] = Field(default_factory=list)
    also_ranked: list[str] = Field(default_factory=list, description="Keys of further cards taken, in rank order.")
    not_applicable: list[str] = Field(default_factory=list)
    findings: list[FindingRow] = Field(default_factory=list)

    def digest(self) -> str:
        """Ranking for the window."""
        rows = [f"- {row.title} ({', '.join(row.blocks)}): {row.why}" for row in self.cards]
        return "\n".join([self.summary, *rows])


def answer(request: SearchRequest, workspace: Workspace) -> SearchReport:
    """Rank the catalogue for the run's table and record the outcome; raises `NotFound` before the run has a profile."""
    run = workspace.run(request.run_id)
    entry = run.journal.last("profile")
    if entry is None:
        raise NotFound(
            f"{run.run_id} has no profile yet, and cards are ranked by it; call profile_dataset(path, target) first"
        )
    cards = load_cards()
    ranked, aside = rank_cards(cards, facts_of(entry.body), request.query, request.focus, request.domains)
    taken = widen(ranked, request.iterations, _CARDS_PER_ROUND)
    findings = [FindingRow(text=text, blocks=_named_blocks(text)) for text in request.findings]
    shown = taken if request.detail == "full" else taken[:_SHOWN]
    report = SearchReport(
        run_id=run.run_id,
        searched=f"shipped catalogue of {len(cards)} cards; no web search",
        summary=_summary(taken, len(aside), findings),
        next=f"{call('build_baselines', run.run_id)}; refine tries the ranked blocks first",
        windows_changed=[_WINDOW],
        cards=[_row(item, number + 1, request.detail) for number, item in enumerate(shown)],
        also_ranked=[item.card.key for item in taken[len(shown) :]],
        not_applicable=_reasons([f"{item.card.key}: {item.reason}" for item in aside], request.detail),
        findings=[row if request.detail == "full" else _shortened(row) for row in findings],
    )
    run.journal.append(
        "research",
        {
            "blocks": _blocks(taken, [*findings, *_earlier_findings(run)]),
            "cards": [item.card.key for item in taken],
            "findings": [{**row.model_dump(), "author": "agent"} for row in findings],
        },
    )
    add_entry(run.journal, _WINDOW, report.digest(), 4, "tool", TOOL.name)
    _note(run, findings)
    return report


def _earlier_findings(run: RunFolder) -> list[FindingRow]:
    """What the agent found in earlier searches of this run: another search ranks the cards anew, but takes back no finding."""
    rows = [row for entry in run.journal.read("research") for row in entry.body["findings"]]
    return [FindingRow(text=row["text"], blocks=row["blocks"]) for row in rows]


def _summary(taken: Sequence[RankedCard], n_aside: int, findings: Sequence[FindingRow]) -> str:
    if not taken:
        return f"No technique of the catalogue applies here; {n_aside} were set aside."
    text = f"{len(taken)} techniques ranked for this table, first {taken[0].card.title}; {n_aside} do not apply."
    named = sum(bool(row.blocks) for row in findings)
    return text + (
        f" {len(findings)} findings recorded, {named} of them name blocks that exist here." if findings else ""
    )


def _row(item: RankedCard, rank: int, detail: Detail) -> CardRow:
    card = item.card
    return CardRow(
        rank=rank,
        key=card.key,
        title=card.title,
        why=item.why,
        evidence=card.evidence if detail == "full" else _cut(card.evidence, _EVIDENCE_CHARACTERS),
        source=card.source,
        blocks=[_text(block.name, block.params) for block in card.blocks],
        how=card.body if detail == "full" else "",
    )


def _blocks(taken: Sequence[RankedCard], findings: Sequence[FindingRow]) -> list[dict[str, Any]]:
    """Pipeline blocks to try, best first: what the agent named, then the cards'.

    Blocks for some learners only (named in `learners`) come after those for any, and learners last, since every learner is
    tried anyway: the first places belong to what would otherwise be missed.
    """
    named = [name.split(".", 1) for row in findings for name in row.blocks]
    blocks = [{"slot": slot, "component": component, "params": {}, "learners": []} for slot, component in named]
    blocks += [
        {**block.to_json(), "learners": list(item.card.learners)}
        for item in taken
        for block in item.card.blocks
        if block.slot != "ensemble"
    ]
    unique = [block for number, block in enumerate(blocks) if block not in blocks[:number]]
    return sorted(unique, key=lambda block: (block["slot"] == "model", bool(block["learners"])))


def _named_blocks(text: str) -> list[str]:
    """Blocks a finding names, where they exist. Parameters in untrusted text are not read; refine(plan=…) takes them."""
    names = [f"{slot}.{component}" for slot, component in _NAMED_BLOCK.findall(text) if exists(slot, component)]
    return list(dict.fromkeys(names))


def _note(run: RunFolder, findings: Sequence[FindingRow]) -> None:
    """Write findings into the window as notes of the agent, each once."""
    known = {shown.entry.content for shown in read_window(run.journal, _WINDOW).shown}
    for text in dict.fromkeys(row.text for row in findings if row.text.strip()):
        if text not in known:
            add_entry(run.journal, _WINDOW, text, 3, "agent", "finding")


def _reasons(reasons: list[str], detail: Detail) -> list[str]:
    if detail == "full" or len(reasons) <= _ASIDE_SHOWN:
        return reasons
    return [*reasons[:_ASIDE_SHOWN], f"{len(reasons) - _ASIDE_SHOWN} more; detail=full lists them"]


def _shortened(row: FindingRow) -> FindingRow:
    return FindingRow(text=_cut(row.text, _FINDING_CHARACTERS), blocks=row.blocks)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _text(name: str, params: Any) -> str:
    return f"{name}({', '.join(f'{key}={value}' for key, value in params.items())})" if params else name


TOOL = Tool(
    name="search_sota",
    title="Search known techniques",
    description=(
        "Ranks the shipped catalogue of techniques for this table (conditions, evidence, your query) with blocks that run here, "
        "and records your own findings. Never searches the web. Milliseconds. Next: build_baselines."
    ),
    request=SearchRequest,
    report=SearchReport,
    answer=answer,
    window=_WINDOW,
    idempotent=True,
)
