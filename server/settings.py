"""Settings of the server and the command line: flags win over `MLE_STAR_…` environment variables, those over the defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ..engine.errors import InvalidInput

MEMORY_SHARE = 0.8
"""Part of the machine's memory one job may fill before it is stopped."""


def usable_cpus() -> int:
    """Processors this process may use: its affinity, cut by the control group's quota in a container."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        count = min(count, max(1, int(quota) // int(period)))
    return count


def machine_memory_mb() -> int:
    """Memory of the machine in MB, or of the container where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read("/sys/fs/cgroup/memory.max")
    if limit.isdigit():
        total = min(total, int(limit))
    return int(total // 2**20)


def memory_share_mb() -> int:
    """The part of the machine's memory that one job may fill, in MB."""
    return int(MEMORY_SHARE * machine_memory_mb())


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Settings(BaseSettings):
    """Where runs are kept, which folders may be read, and what one job may use.

    `allowed_dirs` is what the user named; `allowed_folders` is what follows from it.
    """

    model_config = SettingsConfigDict(env_prefix="MLE_STAR_", extra="forbid", frozen=True)

    home: Annotated[Path, Field(description="Folder for runs, models and the cache.")] = Path("~/.mle-star")
    allowed_dirs: Annotated[
        tuple[Path, ...],
        NoDecode,
        Field(description=f"Folders data may be read from, separated by {os.pathsep!r}."),
    ] = ()
    threads: int = Field(
        default_factory=usable_cpus, ge=1, le=1024, description="Threads of one job, over all its parallel parts."
    )
    memory_mb: int = Field(default_factory=memory_share_mb, ge=64, description="Memory one job may fill, in MB.")
    time_budget_s: Annotated[float, Field(gt=0, le=86_400, description="Seconds of work when a call names none.")] = 120
    max_jobs: Annotated[int, Field(ge=1, le=64, description="Jobs one server runs at once; more wait in line.")] = 2
    warm: Annotated[bool, Field(description="Keep an idle worker with the libraries loaded for the next job.")] = True

    @field_validator("allowed_dirs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in value.split(os.pathsep) if part)
        return value

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def allowed_folders(self) -> tuple[Path, ...]:
        """Folders data may be read from, symlinks resolved: those named, else the working directory; and always `home`.

        A working directory that is a file-system root or the user's home counts as none, because desktop clients start servers
        there and nobody meant to share it.
        """
        named = [folder.expanduser().resolve() for folder in self.allowed_dirs]
        if not named:
            here = Path.cwd().resolve()
            if here != Path(here.anchor) and here != Path.home().resolve():
                named = [here]
        return tuple(dict.fromkeys([*named, self.home.resolve()]))

    def make_home(self) -> Path:
        """Create the home folder, private to the user, and return it; raises `InvalidInput` where that is not possible."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                f"the home folder {self.home} cannot be made: {error.strerror}; set MLE_STAR_HOME or --home to another one"
            ) from error
        return self.home
