"""`pellucid`: one verb per job, errors in one line, and exit codes a script can trust.

0: done. 1: a check failed. 2: a mistake in what was given. 130 and 143: interrupted by SIGINT and SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys

from cyclopts import App, CycloptsError

from ..foundations.errors import UserError, unknown

VERBS = {
    "demo": (
        "pellucid.cli.demo:demo",
        "Train on real digits, sample every class, judge the samples, write the report.",
    ),
    "train": ("pellucid.cli.train:train", "Train a model on your data."),
    "resume": ("pellucid.cli.train:resume", "Go on with a run that was stopped, or give it more."),
    "sample": ("pellucid.cli.sample:sample", "Draw samples from a trained model."),
    "compose": (
        "pellucid.cli.compose:compose",
        "Draw samples of several models together: product, mixture or negation.",
    ),
    "restore": (
        "pellucid.cli.restore:restore",
        "Restore damaged pictures, signals or vectors with a trained model.",
    ),
    "likelihood": (
        "pellucid.cli.likelihood:likelihood",
        "Say how probable the model thinks data are, in bits for each value.",
    ),
    "evaluate": (
        "pellucid.cli.evaluate:evaluate",
        "Measure a trained model by data it has not seen, each number with its error bar.",
    ),
    "audit": (
        "pellucid.cli.audit:audit",
        "Say what a trained model memorised of its training items, and what would have been seen.",
    ),
    "compare": (
        "pellucid.cli.compare:compare",
        "Put trained models of any kind side by side: bounds, samples, costs.",
    ),
    "tune": ("pellucid.cli.tune:tune", "Fit solvers of very few steps to a trained model."),
    "verify": (
        "pellucid.cli.verify:verify",
        "Check every method against an exact law, or a trained model on its data.",
    ),
    "report": ("pellucid.cli.report:report", "Write a run's page anew."),
    "info": ("pellucid.cli.info:info", "Say what a run, a model or a sampled picture is."),
    "doctor": ("pellucid.cli.doctor:doctor", "Look at this machine: what is there, how fast it is, what is missing."),
}


def application() -> App:
    """The command-line application; verbs are imported when they are called or their help is asked for."""
    from .. import __version__

    app = App(
        name="pellucid",
        help="Diffusion models one can trust: train, sample and judge them on your own data.",
        version=f"pellucid {__version__}",
        help_format="plaintext",
    )
    for name, (where, summary) in VERBS.items():
        app.command(where, name=name, help=summary)
    data = App(name="data", help="Look at data before training.", help_format="plaintext")
    summary = "Show what a data set holds and what would be left out."
    data.command("pellucid.cli.data:inspect_data", name="inspect", help=summary)
    summary = "List the built-in data sets, or say what one holds and how to get it."
    data.command("pellucid.cli.data:builtin_data", name="builtin", help=summary)
    summary = "Write a data set without its near-duplicates: what is there often is memorised first."
    data.command("pellucid.cli.data:dedup_data", name="dedup", help=summary)
    app.command(data)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    # By default OpenMP's threads spin for milliseconds while they wait, and so starve one another where other work
    # shares the cores. Some microseconds of it are as fast on a quiet machine and more than twice as fast on a busy one
    # (measured on the digits' training step). It has to be said before torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    arguments = sys.argv[1:] if arguments is None else arguments
    app = application()
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in [*VERBS, "data"]:
            raise unknown("command", arguments[0], [*VERBS, "data"])
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _fail(f"{_one_line(error)} See: pellucid {_verb(arguments)}--help")
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has gone (| head): nothing is wrong, and Python must not complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    print(f"pellucid: {message}", file=sys.stderr)
    sys.exit(2)


def _one_line(error: CycloptsError) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _verb(arguments: list[str]) -> str:
    words = [word for word in arguments[:2] if not word.startswith("-")]
    return " ".join(words[: 2 if words[:1] == ["data"] else 1]) + (" " if words else "")
