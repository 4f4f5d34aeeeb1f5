"""The command line: `mle-star run`, `predict`, `serve`, `doctor`, `runs`.

Parses, starts what the other modules do, and turns every expected error into one line and an exit code. Loads no ML library
itself; only `predict` imports one, when it is called.

Exit codes: 0 done · 1 the work failed · 2 an argument or the data cannot be used · 3 cancelled or over `--timeout` · 130 Ctrl-C.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Group, Parameter, validators

from ..engine.errors import Cancelled, DeadlinePassed, InvalidInput, MleStarError, NotFound, Refused
from ..tools.profile_dataset import MetricName, TaskName

if TYPE_CHECKING:
    from .settings import Settings

OutputFormat = Literal["text", "json", "stream-json"]

STARTED = time.monotonic()
"""The clock of `--time-budget` and `--timeout` starts with the process."""

EXIT_FAILED, EXIT_BAD_INPUT, EXIT_CANCELLED, EXIT_INTERRUPTED = 1, 2, 3, 130

_DATA = Group("Data", sort_key=1)
_TIME = Group("Time and machine", sort_key=2)
_SEARCH = Group("Search", sort_key=3)
_SHOW = Group("What is shown", sort_key=4)
_POSITIVE = validators.Number(gt=0)
_LIMIT = validators.Number(gt=0, lte=1e6)
_BUDGET = validators.Number(gt=0, lte=86_400)
_LEAST_HOLDOUT, _MOST_HOLDOUT = 0.001, 0.5


def _version() -> str:
    try:
        return version("mle-star-mcp")
    except PackageNotFoundError:
        return "not installed"


app = App(
    name="mle-star",
    help="From a table to a validated model: search, ablation, refinement, ensemble and checks, with the evidence.",
    version=_version,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
    default_parameter=Parameter(negative_bool=(), negative_iterable=(), show_env_var=False),
)

HomeOption = Annotated[
    Path | None,
    Parameter(metavar="DIR", help="Folder for runs, models and the cache; default: MLE_STAR_HOME or ~/.mle-star."),
]


@app.command(sort_key=1)
def run(
    *,
    dataset: Annotated[Path, Parameter(group=_DATA)],
    target: Annotated[str, Parameter(group=_DATA)],
    task: Annotated[TaskName, Parameter(group=_DATA)] = "auto",
    metric: Annotated[MetricName, Parameter(group=_DATA)] = "auto",
    holdout: Annotated[str, Parameter(group=_DATA, metavar="auto|none|FRACTION")] = "auto",
    time_column: Annotated[str | None, Parameter(group=_DATA)] = None,
    group_column: Annotated[str | None, Parameter(group=_DATA)] = None,
    id_columns: Annotated[
        tuple[str, ...], Parameter(group=_DATA, metavar="A,B", consume_multiple=True, show_default=False)
    ] = (),
    max_latency_ms: Annotated[float | None, Parameter(group=_DATA, metavar="MS", validator=_LIMIT)] = None,
    max_model_mb: Annotated[float | None, Parameter(group=_DATA, metavar="MB", validator=_LIMIT)] = None,
    output: Annotated[Path | None, Parameter(group=_DATA)] = None,
    name: Annotated[str | None, Parameter(group=_DATA)] = None,
    time_budget: Annotated[float | None, Parameter(group=_TIME, metavar="SECONDS", validator=_BUDGET)] = None,
    timeout: Annotated[float | None, Parameter(group=_TIME, metavar="SECONDS", validator=_POSITIVE)] = None,
    max_agents: Annotated[int | None, Parameter(group=_TIME, validator=validators.Number(gte=1, lte=1024))] = None,
    home: Annotated[Path | None, Parameter(group=_TIME, metavar="DIR")] = None,
    search_iterations: Annotated[
        int | None, Parameter(group=_SEARCH, validator=validators.Number(gte=0, lte=5))
    ] = None,
    refinement_iterations: Annotated[
        int | None, Parameter(group=_SEARCH, validator=validators.Number(gte=0, lte=32))
    ] = None,
    seed: Annotated[int, Parameter(group=_SEARCH, validator=validators.Number(gte=0, lte=2**31 - 1))] = 0,
    interactive: Annotated[bool, Parameter(group=_SHOW, negative="--non-interactive", show_default=False)] = False,
    output_format: Annotated[OutputFormat, Parameter(group=_SHOW)] = "text",
    verbose: Annotated[bool, Parameter(group=_SHOW, show_default=False)] = False,
    quiet: Annotated[bool, Parameter(group=_SHOW, show_default=False)] = False,
) -> int:
    """Find, validate and save the best model for one table.

    Parameters
    ----------
    dataset
        The table: CSV (any separator or encoding, compressed or not), Parquet, Arrow, Feather, or Excel with the excel extra.
    target
        The column to predict.
    task
        What kind of target it is; auto decides from its values and says why.
    metric
        What is optimised; auto takes ROC AUC, log loss or RMSE by task.
    holdout
        Rows sealed until the end: auto (on from 2,000 rows), none, or a fraction such as 0.2, below 0.5.
    time_column
        Split in the order of this column: train on the past, score on the future. `none` never splits by time.
    group_column
        Rows that share a value here stay on one side of every split. `none` never does so: the same ones will come again.
    id_columns
        Columns that only identify rows; repeat the option or separate names by commas.
    max_latency_ms
        Choose the best model that predicts one row in so many milliseconds.
    max_model_mb
        Choose the best model whose files take up no more than this.
    output
        Folder for report.html, report.json, leaderboard.csv and model/; default: they stay in the run's folder.
    name
        Name of the run; default: the file's name.
    time_budget
        Seconds for everything, counted from the start of this command; default: 120 or MLE_STAR_TIME_BUDGET_S.
    timeout
        Hard limit in seconds: the work is stopped there, without a result, with exit code 3.
    max_agents
        Parallel workers, as threads in all; default: the machine's cores.
    home
        Folder for runs, models and the cache; default: MLE_STAR_HOME or ~/.mle-star.
    search_iterations
        Rounds of four technique cards, 0 to 5; 0 leaves the search out. Default: 2.
    refinement_iterations
        Blocks to refine per solution in a round, 0 to 32; there are further rounds as long as time is left. 0 leaves
        ablation and refinement out. Default: 4.
    seed
        The same seed, data and versions give the same result where the clock did not cut the work.
    interactive
        Ask before each phase; --non-interactive is the default.
    output_format
        text for people, json for one document at the end, stream-json for one event a line.
    verbose
        Also show every evaluation.
    quiet
        Show only the result.
    """
    from .console import make_display
    from .headless import Order, execute

    if quiet and verbose:
        raise InvalidInput("expected --quiet or --verbose, got both; leave one out")
    settings = _settings(home=home, threads=max_agents, near=(dataset.parent, output))
    options = {
        "task": task,
        "metric": metric,
        "holdout": _holdout(holdout),
        "time_column": time_column,
        "group_column": group_column,
        "id_columns": _names(id_columns),
        "max_latency_ms": max_latency_ms,
        "max_model_mb": max_model_mb,
        "name": name,
        "seed": seed,
        "search_iterations": search_iterations,
        "refinement_iterations": refinement_iterations,
    }
    order = Order(
        path=dataset,
        target=target,
        options={option: value for option, value in options.items() if value is not None},
        time_budget_s=settings.time_budget_s if time_budget is None else time_budget,
        timeout_s=timeout,
        output=output,
        interactive=interactive,
    )
    execute(order, settings, make_display(output_format, quiet=quiet, verbose=verbose), STARTED)
    return 0


@app.command(sort_key=2)
def predict(*, model: Path, data: Path, output: Path) -> int:
    """Predict new rows with a saved model.

    Parameters
    ----------
    model
        The folder model/ of a finished run.
    data
        Rows to predict, with the columns the model was trained on; the target may be absent.
    output
        CSV to write: prediction, and proba_<label> for each class; rows in the order of the input. Where F1 or balanced accuracy
        was asked for, prediction is the class that scores best by it, not always the likeliest.
    """
    from .paths import resolve_data_path
    from .prediction import predict_file

    settings = _settings(near=(data.parent, output.parent))
    rows, lost = predict_file(model, resolve_data_path(str(data), settings), output)
    for message in lost:
        sys.stderr.write(f"warning: {message}\n")
    sys.stderr.write(f"{rows:,} predictions in {output}\n")
    return 0


@app.command(sort_key=3)
def serve(
    *,
    allow: Annotated[tuple[Path, ...], Parameter(metavar="DIR", consume_multiple=True, show_default=False)] = (),
    home: HomeOption = None,
    http: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65_535))] = 8000,
    token_env: Annotated[str | None, Parameter(metavar="NAME")] = None,
    allow_host: Annotated[tuple[str, ...], Parameter(metavar="NAME", show_default=False)] = (),
) -> int:
    """Serve the tools to an agent over MCP: on standard input and output, or over HTTP.

    Parameters
    ----------
    allow
        Folder that data may be read from, symbolic links resolved; repeat the option for several. Default: the working directory.
    http
        Serve many clients over streamable HTTP at /mcp instead of one over standard input and output.
    host
        Address to listen on; any but a loopback address needs --token-env and --allow-host.
    port
        Port to listen on; 0 takes a free one and says which.
    token_env
        Environment variable with the token that callers must send as Authorization: Bearer.
    allow_host
        Host name, with its port, by which callers address the server; repeat the option for several.
    """
    # What is loaded here lives as long as the process; looking for garbage meanwhile takes a tenth of the start.
    gc.disable()
    from .app import serve_stdio

    gc.freeze()
    gc.enable()
    settings = _settings(home=home, allowed_dirs=allow)
    if http:
        from .web import address_of, serve_http

        serve_http(settings, address_of(host, port, token_env, allow_host))
    else:
        serve_stdio(settings)
    return 0


@app.command(sort_key=4)
def runs(*, home: HomeOption = None) -> int:
    """List all runs, newest first."""
    from .console import text_console
    from .summary import print_runs

    print_runs(text_console(), _settings(home=home).home)
    return 0


@app.command(sort_key=5)
def doctor(*, home: HomeOption = None) -> int:
    """Check this installation: versions, optional parts, folders, disk, and a tiny real job.

    Exits with 1 if something that is needed is broken, and says what to do.
    """
    from .doctor import examine

    broken = False
    for line in examine(_settings(home=home)):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        broken = broken or line.state == "broken"
    return EXIT_FAILED if broken else 0


def main() -> None:
    """Entry point of the `mle-star` command."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        code = app(sys.argv[1:], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        code = _complain(EXIT_BAD_INPUT, f"{error} (mle-star --help)")
    except MleStarError as error:
        code = _complain(_exit_code(error), str(error))
    except OSError as error:
        code = _complain(EXIT_FAILED, f"{error.strerror or error}: {error.filename or 'no file name'}")
    except KeyboardInterrupt:
        code = _complain(EXIT_INTERRUPTED, "interrupted")
    sys.exit(code)


def _exit_code(error: MleStarError) -> int:
    if isinstance(error, (InvalidInput, NotFound, Refused)):
        return EXIT_BAD_INPUT
    return EXIT_CANCELLED if isinstance(error, (Cancelled, DeadlinePassed)) else EXIT_FAILED


def _complain(code: int, text: str) -> int:
    """Print an error as one line and return the exit code."""
    sys.stderr.write(f"mle-star: {' '.join(text.split())}\n")
    return code


def _settings(near: tuple[Path | None, ...] = (), **flags: object) -> Settings:
    """Settings from flags and environment. Folders the user typed (`near`) count as allowed unless the environment names some."""
    from pydantic import ValidationError

    from .errors import argument_message
    from .settings import Settings

    given: dict[str, Any] = {name: value for name, value in flags.items() if value not in (None, ())}
    typed = tuple(folder for folder in near if folder is not None)
    try:
        if typed and not os.environ.get("MLE_STAR_ALLOWED_DIRS"):
            given["allowed_dirs"] = (*Settings(**given).allowed_folders, *typed)
        return Settings(**given)
    except ValidationError as error:
        raise InvalidInput(argument_message(error, "mle-star", Settings)) from error


def _holdout(text: str) -> str:
    """`auto`, `none`, or a fraction in plain decimals."""
    if text in {"auto", "none"}:
        return text
    try:
        fraction = float(text)
    except ValueError:
        fraction = math.nan
    if not _LEAST_HOLDOUT <= fraction < _MOST_HOLDOUT:
        raise InvalidInput(
            f"expected --holdout auto, none or a fraction from {_LEAST_HOLDOUT:g} to below {_MOST_HOLDOUT:g}, got {text!r}"
        )
    return f"{fraction:.6f}".rstrip("0")


def _names(values: tuple[str, ...]) -> tuple[str, ...]:
    """Column names, given one by one or separated by commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


if __name__ == "__main__":
    main()
