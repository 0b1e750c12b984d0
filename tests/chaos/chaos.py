"""The season under fire: parts are killed at random, and nothing may differ at its end.

    python tests/chaos/chaos.py [--on airflow dagster] [--ledger sqlite postgres] [--kills N]
                                [--seed S] [--nights DAY ...] [--folder DIR]

For each orchestrator and each database, a season of the nightly job is played while a seeded
sequence of SIGKILLs falls on the worker that holds a lease, the triggerer, the scheduler, the
daemon, MLflow's server and the ledger's database. The killed part is started again some seconds
later, as an operator's supervisor would. Then the season is held against an undisturbed one on the
same orchestrator: every decision and every score, no model version, alias move, message or file
twice, nothing half-written visible. The time that the kills have cost is told. A failure prints the
seed and the kills before it.

The undisturbed season is the demo's (`make demo`, `make demo-dagster`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from judge import Season, differences
from rich.console import Console
from rich.table import Table
from victims import Kill, Killer

from backbeat.ledger.migrations import migrate
from backbeat.ledger.postgres_database import PostgresDatabase
from flights.processes import Parts
from flights.services import mlflow_server, postgres

ROOT = Path(__file__).parents[2]
RETRIES = "40"
# a small Airflow notices within seconds what a large one may take minutes for; a machine that is
# busy starting killed parts again may leave Dagster's code server without an answer for a minute
QUICK = {
    "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}
console = Console(highlight=False)


@dataclass
class Game:
    """One season under fire.

    Args:
        orchestrator: `airflow` or `dagster`.
        ledger: `sqlite` or `postgres`.
        seed: Of the kills.
        kills: How many there shall be.
        nights: ISO days to play; all where empty.
        folder: Where it is played.
    """

    orchestrator: str
    ledger: str
    seed: int
    kills: int
    nights: list[str]
    folder: Path
    done: list[Kill] = field(default_factory=list)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.orchestrator} on {self.ledger}"

    @property
    def python(self) -> Path:
        """The orchestrator's own environment."""
        return ROOT / f".venv-{self.orchestrator}" / "bin" / "python"

    def play(self, reference: Season) -> None:
        """Play it, kill, and judge."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        services = Parts(self.folder / "services")
        try:
            settings = {"folder": str(self.folder / "platform")}
            if self.ledger == "postgres":
                settings["ledger"] = postgres(services).create("ledger")
                migrate(PostgresDatabase(settings["ledger"]))
            settings["tracking_uri"] = mlflow_server(
                services,
                f"sqlite:///{self.folder / 'services' / 'mlflow.db'}",
                program=self.python.with_name("mlflow"),
            )
            self._under_fire(services, settings)
            self.wrong += differences(Season.read(settings, self.nights), reference)
        finally:
            Parts(self.folder / "platform" / "home").stop()
            services.stop()

    def _under_fire(self, services: Parts, settings: dict[str, str]) -> None:
        command = [
            *(str(self.python), str(ROOT / "example_dags" / self.orchestrator / "play_season.py")),
            *(settings["folder"], "--tracking-uri", settings["tracking_uri"]),
            *("--keep", "--retries", RETRIES),
        ]
        if "ledger" in settings:
            command += ["--ledger", settings["ledger"]]
        if self.nights:
            command += ["--nights", *self.nights]
        log = self.folder / "player.log"
        with log.open("w") as output:
            player = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                start_new_session=True,
            )
        killer = Killer(
            parts=Parts(self.folder / "platform" / "home"),
            services=services,
            settings=settings,
            chance=random.Random(self.seed),  # noqa: S311 - a sequence that can be played again
            orchestrator=self.orchestrator,
            say=console.print,
        )
        began = time.monotonic()
        try:
            killer.wait_for_first_night(player)
            played = time.monotonic()
            while player.poll() is None and len(killer.done) < self.kills:
                killer.kill_one(player)
            code = player.wait(timeout=5400)
            self.seconds = time.monotonic() - played
        except subprocess.TimeoutExpired:
            self.wrong.append(f"the season did not end within {time.monotonic() - began:.0f} s")
            code = 0
        finally:
            killer.finish()
            with suppress(ProcessLookupError):
                player.kill()
            player.wait()
            self.done = killer.done
        # 1 is the player's own table: what it asks for (the demo's story) is judged below
        if code not in (0, 1):
            self.wrong.append(f"the player ended with {code}, see {log}")


def reference_of(orchestrator: str, nights: list[str]) -> Season:
    """The undisturbed season, as the demo left it; played here where it has not been."""
    from flights.played import is_current

    folder = ROOT / ".demo" / orchestrator
    if not is_current(folder):
        target = {"airflow": "demo", "dagster": "demo-dagster"}[orchestrator]
        console.print(f"playing the undisturbed season first (make {target})")
        subprocess.run(["make", target], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return Season.read({"folder": str(folder)}, nights)


def tell(games: list[Game], references: dict[str, Season]) -> None:
    """A table for people, then one JSON line a figure."""
    table = Table(
        "season", "seed", "kills", "of what", "seconds", "undisturbed", "differences",
        title="Seasons under fire", title_justify="left",
    )  # fmt: skip
    for game in games:
        counted: dict[str, int] = {}
        for kill in game.done:
            counted[kill.victim] = counted.get(kill.victim, 0) + 1
        table.add_row(
            game.name,
            str(game.seed),
            str(len(game.done)),
            ", ".join(f"{number} {victim}" for victim, number in sorted(counted.items())),
            f"{game.seconds:.0f}",
            f"{references[game.orchestrator].seconds:.0f}",
            str(len(game.wrong)),
        )
    console.print(table)
    for game in games:
        lost = game.seconds - references[game.orchestrator].seconds
        name = f"chaos.{game.orchestrator}.{game.ledger}"
        for figure, value, unit, target, ok in (
            ("differences", len(game.wrong), "count", 0, not game.wrong),
            ("kills", len(game.done), "count", game.kills, True),
            ("seconds_lost_a_kill", round(lost / max(1, len(game.done)), 1), "s", None, True),
        ):
            print(
                json.dumps(
                    {
                        "figure": f"{name}.{figure}",
                        "value": value,
                        "unit": unit,
                        "target": target,
                        "ok": ok,
                    }
                )
            )


def main() -> int:
    """Play; 0 where nothing differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--on", nargs="+", default=["airflow", "dagster"])
    parser.add_argument("--ledger", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--kills", type=int, default=26, help="in each season")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nights", nargs="*", default=[])
    parser.add_argument("--folder", type=Path, default=ROOT / ".chaos")
    given = parser.parse_args()
    os.environ.update(QUICK)  # of this process too: it is the one that starts killed parts again
    references = {name: reference_of(name, given.nights) for name in given.on}
    games = []
    for orchestrator in given.on:
        for ledger in given.ledger:
            folder = given.folder.absolute() / f"{orchestrator}-{ledger}"
            game = Game(orchestrator, ledger, given.seed, given.kills, given.nights, folder)
            console.print(f"\n[bold]{game.name}[/bold], seed {game.seed}")
            game.play(references[orchestrator])
            games.append(game)
            for sentence in game.wrong:
                console.print(f"[red]differs:[/red] {sentence}")
            if game.wrong:
                console.print(f"seed {game.seed}, the kills before it:")
                for kill in game.done:
                    console.print(f"  {kill}")
    tell(games, references)
    return 1 if any(game.wrong for game in games) else 0


if __name__ == "__main__":
    sys.exit(main())
