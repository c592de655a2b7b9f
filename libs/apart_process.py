"""The process that works on databases for its owner: see `libs.apart`."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe

from libs import telemetry
from libs.apart import Answer
from libs.read_model import Database, DatabaseUnavailable

_EXIT_CRASHED = 1

log = telemetry.get_logger()


def main() -> None:
    """Serve each lane on a thread, until our owner is gone."""
    service, log_level, *descriptors = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM):  # our owner is told, and ends us
        signal.signal(number, signal.SIG_IGN)
    telemetry.setup(service, log_level=log_level)
    lanes = [threading.Thread(target=_serve, args=(Pipe(int(each)),)) for each in descriptors]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()


def _serve(pipe: Pipe) -> None:
    try:
        database = Database.open(pipe.recv())
        while True:
            work, args = pipe.recv()
            pipe.send(_done(database, work, args))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:  # the end of a lane is the end of all
        log.critical("process_crashed", exc_info=error)
        os._exit(_EXIT_CRASHED)


def _done(database: Database, work: Callable[..., object], args: tuple[object, ...]) -> Answer:
    try:
        return Answer(database.write_here(lambda connection: work(connection, *args)))
    except DatabaseUnavailable as error:
        return Answer(None, str(error) or "no answer", is_unavailable=True)
    except Exception as error:
        log.exception("work_apart_failed")
        return Answer(None, f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
