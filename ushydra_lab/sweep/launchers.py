"""Where a sweep's jobs run: `hydra/launcher=joblib`, `ray` or `slurm`; each job in a process of its own.

Hydra's own plugins for these give up the sweep when one job's process dies; here the others go on, and the table at
the end tells. A job's results are its directory: nothing is sent back.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from ushydra_lab.cores import threads_of_each
from ushydra_lab.errors import use_any_display
from ushydra_lab.training.calls import start

log = logging.getLogger("ushydra_lab")
NEEDS = {"ray": "ray", "slurm": "submitit"}
SLURM_THREADS = "export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}}"
Failure = str | None


@dataclass
class WorkerJob:
    """One job of a sweep, to be called in another process, on this or another machine with the same folders."""

    context: HydraContext
    sweep: DictConfig
    function: TaskFunction
    overrides: list[str]
    number: int
    state: Any = field(default_factory=Singleton.get_state)
    folder: str = field(default_factory=os.getcwd)

    def __call__(self) -> None:
        use_any_display()
        os.chdir(self.folder)
        setup_globals()
        Singleton.set_state(self.state)
        config = self.context.config_loader.load_sweep_config(self.sweep, self.overrides)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(self.number), self.number
        HydraConfig.instance().set_config(config)
        run_job(self.function, config, "hydra.sweep.dir", "hydra.sweep.subdir", self.context)

    def checkpoint(self) -> Any:
        """What submitit queues again after a timeout or preemption: the same call, since a job resumes by itself."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def __str__(self) -> str:
        return f"#{self.number} {' '.join(filter_overrides(self.overrides))}"


class SweepLauncher(Launcher):
    """Base of the launchers: Hydra's interface; a subclass runs the jobs and reports how each ended."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        numbered = enumerate(job_overrides, initial_job_idx)
        jobs = [WorkerJob(self.context, self.config, self.function, list(each), number) for number, each in numbered]
        for job, failure in self.run(jobs):
            if failure:
                log.error("FAILED %s: %s", job, failure)
        return [JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED) for job in jobs]

    def run(self, jobs: list[WorkerJob]) -> Iterator[tuple[WorkerJob, Failure]]:
        """Run all jobs, and yield each as it ends, with the error that killed it if any."""
        raise NotImplementedError


class JoblibLauncher(SweepLauncher):
    """Runs n_jobs at a time on this machine; -1: as many as there are cores. Each has its share of the cores' threads,
    also where fewer jobs are left: another number of threads gives other last bits.
    """

    def __init__(self, n_jobs: int = -1) -> None:
        self.n_jobs = n_jobs

    def run(self, jobs: list[WorkerJob]) -> Iterator[tuple[WorkerJob, Failure]]:
        from joblib import Parallel, delayed, effective_n_jobs

        threads = threads_of_each(effective_n_jobs(self.n_jobs))
        running: list[subprocess.Popen[bytes]] = []

        def alone(job: WorkerJob) -> tuple[WorkerJob, Failure]:
            running.append(process := start(job, Path(folder) / str(job.number), **threads))
            code = process.wait()
            return job, f"its process ended with {code}" if code else None

        with tempfile.TemporaryDirectory() as folder:
            try:
                yield from Parallel(self.n_jobs, backend="threading", return_as="generator_unordered")(
                    delayed(alone)(job) for job in jobs
                )
            except BaseException:
                for process in running:
                    process.send_signal(signal.SIGINT)
                for process in running:
                    process.wait()
                raise


class RayLauncher(SweepLauncher):
    """Runs jobs on ray, each with `num_cpus` and `num_gpus`, which may be fractions: 0.5 is two jobs on one GPU.

    num_gpus: of a job; None is 1 where ray has any. max_retries: of a job whose process died; it continues.
    init: arguments of `ray.init`; `address` joins a cluster.
    """

    def __init__(self, num_cpus: float, num_gpus: float | None, max_retries: int, init: dict[str, Any]) -> None:
        self.num_cpus, self.num_gpus, self.max_retries, self.init = num_cpus, num_gpus, max_retries, dict(init)

    def run(self, jobs: list[WorkerJob]) -> Iterator[tuple[WorkerJob, Failure]]:
        import ray

        ray.init(include_dashboard=False, logging_level=logging.WARNING, **self.init)
        try:
            gpus = min(1.0, ray.cluster_resources().get("GPU", 0)) if self.num_gpus is None else self.num_gpus
            fresh_process = {"max_calls": 1, "max_retries": self.max_retries}
            remote = ray.remote(num_cpus=self.num_cpus, num_gpus=gpus, **fresh_process)(WorkerJob.__call__)
            waiting = {remote.remote(job): job for job in jobs}
            try:
                while waiting:
                    (done,), _ = ray.wait(list(waiting), num_returns=1)
                    yield waiting.pop(done), _failure(ray, done)
            except KeyboardInterrupt:
                for reference in waiting:
                    ray.cancel(reference)
                ray.wait(list(waiting), num_returns=len(waiting), timeout=30)
                raise
        finally:
            ray.shutdown()


def _failure(ray: Any, reference: Any) -> Failure:
    try:
        ray.get(reference)
    except ray.exceptions.RayError as error:
        return str(error).splitlines()[0]
    return None


class SlurmLauncher(SweepLauncher):
    """Runs an array of SLURM jobs; `parameters` are submitit's.

    Each is queued again, by submitit, `signal_delay_s` before its time limit and on preemption, and then continues.
    Lightning is told nothing of SLURM, else it would queue it a second time. Ctrl-C cancels the jobs. A job has as many
    threads as SLURM gave it cores, which not every cluster enforces.
    """

    def __init__(self, folder: str, max_num_timeout: int, poll_s: float = 5, **parameters: Any) -> None:
        self.folder, self.max_num_timeout, self.poll_s = folder, max_num_timeout, poll_s
        self.parameters = {key: value for key, value in parameters.items() if value is not None}

    def run(self, jobs: list[WorkerJob]) -> Iterator[tuple[WorkerJob, Failure]]:
        import submitit

        executor = submitit.SlurmExecutor(self.folder, max_num_timeout=self.max_num_timeout)
        executor.update_parameters(**self.parameters | {"setup": [*self.parameters.get("setup", []), SLURM_THREADS]})
        with executor.batch():
            submitted = [executor.submit(job) for job in jobs]
        waiting = {handle.job_id: (job, handle) for job, handle in zip(jobs, submitted, strict=True)}
        print(f"SLURM jobs {', '.join(waiting)}; what they print: {self.folder}", flush=True)
        try:
            while waiting:
                time.sleep(self.poll_s)
                for number in waiting.keys() - _queued(set(waiting)):
                    job, handle = waiting.pop(number)
                    killed = f"SLURM job {number} was killed or cancelled; see {handle.paths.stderr}"
                    yield job, None if handle.paths.result_pickle.exists() else killed
        except KeyboardInterrupt:
            subprocess.run(["scancel", *waiting], check=False)
            raise


def _queued(numbers: set[str]) -> set[str]:
    """The jobs that wait, run or are about to end; all of them if SLURM does not answer."""
    asked = subprocess.run(["squeue", "--me", "-h", "-r", "-o", "%i"], capture_output=True, text=True, check=False)
    return numbers if asked.returncode else numbers & set(asked.stdout.split())


class Register(Callback):
    """Makes a launcher of this file known to Hydra, which by itself looks in packages called `hydra_plugins` only."""

    def __init__(self, launcher: str) -> None:
        if launcher in NEEDS and find_spec(NEEDS[launcher]) is None:
            sys.exit(f"hydra/launcher={launcher} needs {NEEDS[launcher]}: pip install 'ushydra_lab[{launcher}]'")
        known: dict[str, type[Launcher]] = {"joblib": JoblibLauncher, "ray": RayLauncher, "slurm": SlurmLauncher}
        Plugins.instance().class_name_to_class[f"hydra_plugins.ushydra_lab.{launcher}"] = known[launcher]
