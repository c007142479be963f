"""The command line: what can be asked for, and the only place where an error becomes an exit code."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from rackstart import __version__, errors
from rackstart.paths import ROOT, Project
from rackstart.stages import STAGES, Stage

# Imports of what a command needs stand in the command: `--help` answers at once.

_PLAIN_WIDTH = 160  # columns of a table in a log
EXIT_CODES = {
    errors.StageFailed: 1,
    errors.ConfigurationError: 2,
    errors.PreflightRefused: 3,
    errors.VerificationRed: 4,
    errors.Locked: 5,
    errors.Interrupted: 130,
}


@dataclass(frozen=True)
class Setup:
    """What is run: a checkout and its stage table."""

    root: Path
    table: Sequence[Stage]


class Commands(click.Group):
    """A group in which options may come before the command, and no command means `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {text for command in self.commands.values() for option in command.params if _takes_value(option) for text in option.opts}
        place = 0
        while place < len(args) and args[place].startswith("-"):
            place += 2 if args[place] in valued else 1
        if place < len(args):
            args = [args[place], *args[:place], *args[place + 1 :]]
        elif args and args[0] not in ("--help", "--version"):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # as one meets them, not by the alphabet

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "--inventory NAME [COMMAND] [OPTIONS]")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        run = self.commands["run"]
        with formatter.section("Options of run"):
            formatter.write_dl([record for option in run.params if (record := option.get_help_record(ctx))])
        with formatter.section("Exit codes"):
            formatter.write_text(
                "0 done, 1 a stage failed, 2 wrong usage or configuration, 3 preflight refused, "
                "4 verification red, 5 locked, 130 interrupted"
            )


def _takes_value(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and not option.is_flag and not option.count


def options(*names: str) -> Callable[[Any], Any]:
    """Decorate a command with the shared options of these names."""
    known = {
        "inventory": click.option("--inventory", "-i", metavar="NAME", default="", help="A folder under inventories/, or a path."),
        "only": click.option("--only", metavar="STAGE", multiple=True, help="Only this stage; may be given again."),
        "from": click.option("--from", "start", metavar="STAGE", help="This stage and those after it."),
        "limit": click.option(
            "--limit", "-l", metavar="PATTERN", help="Only these hosts (Ansible's patterns); cluster-wide stages run whole."
        ),
        "resume": click.option("--resume", is_flag=True, help="Skip what passed with the same inputs."),
        "extra": click.option(
            "-e", "extra_vars", metavar="VARS", multiple=True, help="Extra variables for Ansible: key=value, YAML, JSON or @file."
        ),
        "json": click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."),
        "verbose": click.option(
            "-v", "--verbose", "verbosity", count=True, help="Show Ansible's output too; more v's make Ansible say more."
        ),
    }

    def decorate(function: Any) -> Any:
        for name in reversed(names):
            function = known[name](function)
        return function

    return decorate


@click.group(cls=Commands, help="Takes the bare-metal GPU hosts of an inventory to a private, verified LLM endpoint, and keeps it there.")
@click.version_option(__version__, prog_name="rackstart")
def commands() -> None:
    pass


@commands.command(help="Run every stage and take the verdict (the default).")
@options("inventory", "only", "from", "limit", "resume", "extra", "json", "verbose")
@click.pass_obj
def run(setup: Setup, /, inventory: str, as_json: bool, **asked: Any) -> None:
    _perform(setup, inventory, as_json, command="run", **asked)


@commands.command(help="Show stages, hosts and why each would run, touching no host.")
@options("inventory", "only", "from", "limit", "resume", "extra", "json")
@click.pass_obj
def plan(setup: Setup, /, inventory: str, as_json: bool, **asked: Any) -> None:
    from rackstart import digest, graph, plan, resume, session
    from rackstart.inventory import load

    project, request = Project.open(inventory, setup.root), session.Request("plan", **asked)
    stages, hosts = session.choose(setup.table, request), load(project, request.limit)
    order = graph.order(setup.table, [stage.name for stage in stages], {stage.name: hosts.of(stage) for stage in stages})
    decisions = resume.decide(stages, hosts, digest.of(project, request.extra_vars), session.history(project))
    rows = plan.rows(stages, hosts, decisions, order, request.resume)
    if as_json:
        _print_json({"inventory": project.name, "stages": rows, "out_of_service": hosts.out_of_service})
    else:
        plan.show(_console(), rows, hosts)


@commands.command(help="Say what a run would change on the hosts; change nothing.")
@options("inventory", "only", "from", "limit", "extra", "json", "verbose")
@click.pass_obj
def check(setup: Setup, /, inventory: str, as_json: bool, **asked: Any) -> None:
    _perform(setup, inventory, as_json, command="check", **asked)


@commands.command(help="Take the verdict alone: is the endpoint good?")
@options("inventory", "extra", "json", "verbose")
@click.pass_obj
def verify(setup: Setup, /, inventory: str, as_json: bool, **asked: Any) -> None:
    _perform(setup, inventory, as_json, command="verify", **asked)


@commands.command(help="Show the last run and the last verdict.")
@options("inventory", "json")
@click.pass_obj
def status(setup: Setup, /, inventory: str, as_json: bool) -> None:
    from rackstart import status

    project = Project.open(inventory, setup.root)
    found = status.collect(project)
    if as_json:
        _print_json(found)
    else:
        status.show(_console(), project, found)


@commands.command(help="Run preflight's checks alone and show them all.")
@options("inventory", "extra", "json", "verbose")
@click.pass_obj
def doctor(setup: Setup, /, inventory: str, as_json: bool, **asked: Any) -> None:
    _perform(setup, inventory, as_json, command="doctor", **asked)


@commands.command(help="Record the digest of every outside thing in artifacts.lock.yml.")
@options("inventory")
@click.pass_obj
def lock(setup: Setup, /, inventory: str) -> None:
    from rackstart import lock

    lock.write(Project.open(inventory, setup.root), click.echo)


@commands.command(help="List, add, stage, promote, roll back or remove a model; gc removes weights that nothing uses. docs/models.md")
@click.argument("action", type=click.Choice(["list", "add", "stage", "promote", "rollback", "remove", "gc"]))
@click.argument("name", default="")
@click.option("--revision", metavar="COMMIT", default="", help="Of add, stage and promote: all 40 digits.")
@click.option("--check", is_flag=True, help="Of gc: only show what would be removed.")
@click.option("--repository", metavar="ORG/NAME", help="Of add, as are those below: on the hub.")
@click.option("--context", metavar="TOKENS", type=click.IntRange(min=1), help="Prompt and answer together.")
@click.option("--prompt", metavar="TEXT", help="A question with one right answer.")
@click.option("--expect", metavar="TEXT", help="What the answer has to hold.")
@click.option("--engine", metavar="NAME", help="vllm (the default), or ollama with --file.")
@click.option("--file", metavar="NAME", help="Ollama's GGUF file in the repository.")
@click.option("--served-name", metavar="NAME", help='What clients put into "model"; NAME when left out.')
@click.option("--replicas", metavar="N", type=click.IntRange(min=0), help="1 when left out.")
@click.option("--gpus", metavar="N", type=click.IntRange(min=0), help="Of each replica; 1 when left out.")
@click.option("--memory", metavar="SIZE", help="Of each replica; 32Gi when left out.")
@options("inventory", "json", "verbose")
@click.pass_obj
def model(setup: Setup, /, action: str, inventory: str, as_json: bool, verbosity: int, **given: Any) -> None:
    from rackstart import model_command

    project = Project.open(inventory, setup.root)
    answer = model_command.perform(project, setup.table, action, given, _console(stderr=True), verbosity)
    if as_json:
        _print_json(answer.json)
    else:
        answer.show(_console())
    if answer.error:
        raise answer.error


@commands.command(
    help="Give a client a key for the gateway, list them, end or rotate one; a rotated key is as the one before, but for what is given."
)
@click.argument("action", type=click.Choice(["add", "list", "revoke", "rotate"]))
@click.argument("client", default="")
@click.option("--model", "models", metavar="NAME", multiple=True, help="Only this served model; may be given again.")
@click.option("--expires", metavar="WHEN", default="", help="Until then: 90d from now, or a day such as 2027-01-31.")
@click.option("--rate", metavar="N", type=click.IntRange(min=1), help="Requests a minute, for each replica of the gateway.")
@click.option("--overlap", metavar="TIME", default="24h", show_default=True, help="How long a rotated key goes on.")
@options("inventory", "json")
@click.pass_obj
def key(setup: Setup, /, inventory: str, as_json: bool, action: str, client: str, **asked: Any) -> None:
    from rackstart import key

    told, new = key.request(action, client, **asked)
    answer = key.perform(Project.open(inventory, setup.root), told, new, _console(stderr=True))
    if as_json:
        _print_json(vars(answer))
    else:
        key.show(_console(), action, client, answer)


@commands.command(help="Measure the endpoint at rising concurrency: waiting times, tokens a second, and what of it is within an SLO.")
@click.option("--model", metavar="NAME", default="", help="The model; may be left out where there is one.")
@click.option("--concurrency", metavar="LIST", default="1,2,4,8,16,32,64", show_default=True, help="Requests at once, level by level.")
@click.option("--slo", metavar="TTFT/ITL", default="500/50", show_default=True, help="Milliseconds to the first token / between tokens.")
@click.option("--tokens", metavar="IN/OUT", default="", help="Tokens of a prompt / an answer on the mean; 1024/256 in a long context.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="A new folder for the result, not one in the state directory.")
@options("inventory", "json")
@click.pass_obj
def bench(setup: Setup, /, inventory: str, as_json: bool, model: str, concurrency: str, slo: str, tokens: str, out: Path | None) -> None:
    from rackstart import bench, bench_report

    project, levels, wanted = Project.open(inventory, setup.root), bench.levels(concurrency), bench.slo(slo)
    result, folder = bench.perform(project, model, levels, wanted, tokens, out, _console(stderr=True))
    if as_json:
        _print_json(result)
    else:
        bench_report.show(_console(), result, project.shown(folder))


@commands.command(help="Say what tokens cost on machines of one's own, and from which volume on an API costs more.")
@click.option("--prices", metavar="FILE", type=click.Path(path_type=Path), required=True, help="Prices and traffic, as docs/cost.md says.")
@click.option("--bench", metavar="FILE", type=click.Path(path_type=Path), help="A result of bench, for the throughput.")
@options("json")
def cost(prices: Path, bench: Path | None, as_json: bool) -> None:
    from rackstart import cost_files, cost_report

    read, throughput = cost_files.prices(prices, bench)
    if as_json:
        _print_json(cost_report.as_json(read, throughput))
    else:
        cost_report.show(_console(), read, throughput)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, table: Sequence[Stage] = STAGES) -> int:
    """Run a command line and return the exit code."""
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        commands.main(given, prog_name="bootstrap.py", standalone_mode=False, obj=Setup(root, table))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except errors.RackstartError as error:
        click.echo(f"bootstrap.py: {error}", err=True)
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
    except (KeyboardInterrupt, click.Abort):
        click.echo("bootstrap.py: interrupted", err=True)
        return EXIT_CODES[errors.Interrupted]
    return 0


def _perform(setup: Setup, inventory: str, as_json: bool, **asked: Any) -> None:
    from rackstart import report, session

    project, request = Project.open(inventory, setup.root), session.Request(**asked)
    console = _console(stderr=True)
    outcome = session.perform(project, setup.table, request, console)
    if request.command == "run" and not as_json and outcome.verdict and outcome.verdict.green:
        outcome.key = _first_key(project, outcome.verdict.clients, console)
    if as_json:
        _print_json(report.as_json(outcome))
    else:
        report.show(console, _console(), project, request, outcome)
    if outcome.error:
        raise outcome.error


def _first_key(project: Project, clients: Sequence[str], console: Any) -> str:
    """The first client's key; nothing when any client has one, or was given one that has ended."""
    from rackstart import key

    return "" if set(clients) - {key.OWN} else key.first(project, console)


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    console = Console(stderr=stderr, markup=False, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2))
