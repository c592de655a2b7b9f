"""`hefu`: one command line for whoever runs the system, looks around in it, or proves its books."""

import os
import sys

import stamina
import typer

from libs.cli import advice, audit, breaks, events, nav
from libs.cli.day import day
from libs.cli.fund_day import fund_day
from libs.cli.fund_status import funds
from libs.cli.replay import replay
from libs.cli.statement import statement
from libs.cli.system import down, status, up
from libs.cli.trace import trace
from libs.failure import StartFailed

app = typer.Typer(
    help="Hefu: wallets, and settlement with banks by two halves that must match.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command()(up)
app.command()(down)
app.command()(status)
app.command()(day)
app.command()(fund_day)
app.command()(funds)
app.command()(trace)
app.command()(replay)
app.command()(statement)
app.add_typer(events.app, name="events")
app.add_typer(audit.app, name="audit")
app.add_typer(breaks.app, name="breaks")
app.add_typer(nav.app, name="nav")
app.add_typer(advice.app, name="advice")


def main() -> None:
    """Run the command; what cannot start says so in one line."""
    # gRPC's own lines are of no use to a person at a terminal.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # What is tried again is told once it has failed for good.
    stamina.instrumentation.set_on_retry_hooks([])
    try:
        app()
    except StartFailed as error:
        sys.stderr.write(f"hefu: {error}\n")
        raise SystemExit(1) from None
