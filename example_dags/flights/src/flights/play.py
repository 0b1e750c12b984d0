"""What the players of the season share, whichever orchestrator plays it."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.console import Console

from backbeat import Platform
from backbeat.errors import RetryableError
from backbeat.runner import tick
from backbeat.wiring import from_settings
from flights.landing import land_night
from flights.options import add_platform_options, platform_settings
from flights.patience import patiently
from flights.season import SEASON, STORY, Night
from flights.table import ledger_rows, print_table, unexpected
from flights.worker_fault import kill_while_scoring

__all__ = ["NIGHT_SECONDS", "Player", "console"]

NIGHT_SECONDS = 1800
console = Console(highlight=False)


@dataclass(frozen=True)
class Player:
    """One game: where it is played, on what, and which nights of the season.

    Args:
        orchestrator: Its name for people.
        folder: The platform's folder.
        settings: The platform's settings beside the folder.
        database: The orchestrator's own database, empty for its default.
        retries: How often a task or a run is tried again.
        nights: The nights to play.
        began: When the game began, on the monotonic clock.
    """

    orchestrator: str
    folder: Path
    settings: Mapping[str, str]
    database: str
    retries: int
    nights: Sequence[Night]
    began: float

    @classmethod
    def from_arguments(cls, orchestrator: str) -> Player:
        """Read the command line, and wipe the folder unless it is to be kept."""
        name = orchestrator.lower()
        parser = argparse.ArgumentParser(description=f"Play the flights' season on {orchestrator}.")
        parser.add_argument("folder", nargs="?", type=Path, default=Path(f".demo/{name}"))
        parser.add_argument("--keep", action="store_true", help="go on in the folder as it is")
        add_platform_options(parser)
        parser.add_argument(
            "--nights",
            nargs="+",
            metavar="DAY",
            choices=[night.day.isoformat() for night in SEASON],
            help="play only these nights",
        )
        given = parser.parse_args()
        folder: Path = given.folder.absolute()
        if folder.exists() and not given.keep:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # a polite kill must stop the orchestrator's parts too
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return cls(
            orchestrator=orchestrator,
            folder=folder,
            settings=platform_settings(given),
            database=given.database,
            retries=given.retries,
            nights=[
                night
                for night in SEASON
                if given.nights is None or night.day.isoformat() in given.nights
            ],
            began=time.monotonic(),
        )

    def platform(self) -> Platform:
        """The platform that the steps run on."""
        return from_settings({"folder": str(self.folder), **self.settings})

    def seconds(self) -> float:
        """Since the game began."""
        return time.monotonic() - self.began

    def play(self, platform: Platform, run: Callable[[Night], None]) -> dict[str, float]:
        """Play the nights and tell about them.

        Args:
            platform: Where each night's data lands.
            run: Starts a night's run and follows it to its end.

        Returns:
            The seconds of each night, by its ISO day.
        """
        seconds = {}
        for night in self.nights:
            console.print(f"\n[bold]{night.day}[/bold]  {STORY[night.story]}. {night.note}")
            if night.fault is not None:
                console.print(f"  [yellow]{night.fault.label}[/yellow]")
            land_night(platform.store, night)
            started = time.monotonic()
            if night.kills_worker:
                threading.Thread(target=_kill, args=(platform, night.day), daemon=True).start()
            run(night)
            patiently(lambda: tick(platform), on=RetryableError)
            seconds[night.day.isoformat()] = time.monotonic() - started
        return seconds

    def tell(self, platform: Platform, seconds: Mapping[str, float], *, program: Path) -> int:
        """Print the table and where to look next; 0 where every night ended as it should.

        Args:
            platform: Read for the table.
            seconds: Of each night.
            program: What starts the orchestrator again.
        """
        days = {night.day.isoformat() for night in self.nights}
        rows = [row for row in ledger_rows(platform, seconds=seconds) if row.night in days]
        console.print()
        print_table(rows, title=f"The season on {self.orchestrator}, {self.seconds():.0f} s")
        mlflow = self.settings.get("tracking_uri") or (
            f"mlflow server --backend-store-uri sqlite:///{self.folder / 'mlflow.db'}"
        )
        lines = {
            "ledger": f"backbeat runs list --folder {self.folder}",
            "sign-offs": f"backbeat signoff list --folder {self.folder}",
            "MLflow": mlflow,
            "reports": platform.store.address("reports"),
            self.orchestrator: f"python {program} up {self.folder}",
        }
        console.print("\nWhere to look next:")
        for name, where in lines.items():
            console.print(f"  {name:<9} {where}", soft_wrap=True)
        wrong = unexpected(rows)
        for sentence in wrong:
            console.print(f"[red]not as expected:[/red] {sentence}")
        return 1 if wrong else 0


def _kill(platform: Platform, night: date) -> None:
    pid = kill_while_scoring(platform, night, timeout=NIGHT_SECONDS)
    console.print(f"  [red]the worker (process {pid}) was killed in the middle of scoring[/red]")
