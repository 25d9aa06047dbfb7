"""The options of `track2view train`, apart from the verb itself: --help answers without loading torch."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the run's .toml; see configs/")
    parser.add_argument("--resume", action="store_true", help="go on with the run that the config's folder holds")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="replace a field, such as run.steps=100"
    )
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="only write what the newest checkpoint holds, without training"
    )
