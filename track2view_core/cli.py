"""The command line: `track2view <verb>`. Parses, calls one function a verb, and turns errors into one sentence."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from .commands.parser import EXIT_MISTAKE, build_parser
from .errors import Track2ViewError

EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0 done, 2 something the user can mend, 130 interrupted."""
    options = vars(build_parser().parse_args(argv))
    verb = options.pop("verb")
    try:
        # Verbs are imported on use: --help and a mistyped option answer without loading torch.
        importlib.import_module(f".commands.{verb.replace('-', '_')}", package=__package__).run(**options)
    except Track2ViewError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(_said_by_the_system(error))
    except KeyboardInterrupt as stop:  # a verb that leaves something behind says what
        return _fail(str(stop) or "Interrupted; nothing was written.", EXIT_INTERRUPTED)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        return _fail("The memory did not suffice; lower --size, --frames or --points, or choose another --device.")
    return 0


def _fail(sentence: str, code: int = EXIT_MISTAKE) -> int:
    print(f"track2view: {sentence.rstrip('.')}.", file=sys.stderr)
    return code


def _said_by_the_system(error: OSError) -> str:
    where = f"{os.fspath(error.filename)}: " if isinstance(error.filename, str | os.PathLike) else ""
    return f"{where}{error.strerror or error}."


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def entry() -> NoReturn:
    """The console script: a termination request cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())


if __name__ == "__main__":
    entry()
