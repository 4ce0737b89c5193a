"""Who runs a Beam pipeline: the pinned in-process runner, its processes, or an existing engine.

Verified here by tests: local, local with workers, portable (job service and external worker pool), dask,
flink (its tests want Beam's job server jar). Not verified until someone runs them: spark, dataflow.

| runner   | what it needs                                                                          |
| local    | nothing; workers > 1 are processes of this machine                                     |
| portable | --job_endpoint=HOST:PORT; --environment_type=EXTERNAL --environment_config=HOST:PORT   |
| flink    | --flink_master=HOST:PORT, or none for an embedded cluster; MOZART_FLINK_JOB_SERVER_JAR |
| spark    | --spark_master_url; --spark_job_server_jar=FILE                                        |
| dask     | --dask_client_address=tcp://HOST:PORT, or none for a cluster of `workers` processes    |
| dataflow | --project, --region, --temp_location; the image of the workers holds Mozart            |

All but `local` share a file system with the process that starts them, or write to one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

from components.errors import ConfigError
from components.settings import BeamSettings

JAR = "MOZART_FLINK_JOB_SERVER_JAR"
DASK = "apache_beam.runners.dask.dask_runner.DaskRunner"
WHERE = "data.beam.options"


def options(beam: BeamSettings) -> Any:
    """Beam's options for the runner that a recipe names.

    Raises:
        ConfigError: an option that Beam does not know or would drop, one that loses data, or an engine
            whose address or jar is not given.
    """
    quiet = logging.getLogger()
    if not quiet.handlers:  # importing Beam logs through the root logger, which installs a handler
        quiet.addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module="apache_beam")
    from apache_beam.options.pipeline_options import PipelineOptions

    _refuse_losses(beam)
    base = _base(beam)
    known = {f"--{name}" for name in PipelineOptions([]).get_all_options()} | _dask_flags(beam)
    for option in beam.options:
        if option.split("=", 1)[0] not in known:
            raise ConfigError(f"{WHERE}: Beam has no option '{option.split('=', 1)[0]}' (write --name=value)")
    made = PipelineOptions([*base, *beam.options])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            made.get_all_options()
    except SystemExit as error:  # argparse ends the process where a value is wrong
        reason = said.getvalue().strip().rsplit("error: ", 1)[-1]
        raise ConfigError(f"{WHERE}: {reason}") from error
    return made


def _refuse_losses(beam: BeamSettings) -> None:
    given = dict(option.partition("=")[::2] for option in beam.options)
    if "multi_threading" in given.get("--direct_running_mode", ""):
        raise ConfigError(
            f"{WHERE}: --direct_running_mode=multi_threading silently loses records in this Beam: leave it out, "
            "and set data.beam.workers for several processes"
        )
    if given.get("--dask_client_address", "").startswith("inproc:"):
        raise ConfigError(
            f"{WHERE}: a Dask cluster inside of one process silently mixes records: start one with worker "
            "processes (dask worker tcp://...)"
        )
    if "--runner" in given:
        raise ConfigError(f"{WHERE}: the runner is named in data.beam.runner, not by --runner")


def _base(beam: BeamSettings) -> list[str]:
    """The options that a runner needs before a person's own."""
    given = {option.split("=", 1)[0] for option in beam.options}
    if beam.runner == "local":
        if beam.workers == 1:
            return ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
        return [
            "--runner=FnApiRunner",
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={beam.workers}",
        ]
    if beam.runner == "dask":
        return [f"--runner={DASK}"]
    if beam.runner == "portable":
        _need(given, "--job_endpoint", "portable", "the address of a Beam job service, HOST:PORT")
        environment = [] if "--environment_type" in given else ["--environment_type=LOOPBACK"]
        return ["--runner=PortableRunner", *environment]
    if beam.runner == "flink":
        return _flink(beam, given)
    if beam.runner == "spark":
        _need(given, "--spark_job_server_jar", "spark", "Beam's job server for Spark, a jar on this machine")
        return ["--runner=SparkRunner"]
    for option, meaning in (
        ("--project", "the project"),
        ("--region", "its region"),
        ("--temp_location", "a gs:// folder"),
    ):
        _need(given, option, "dataflow", meaning)
    return ["--runner=DataflowRunner"]


def _flink(beam: BeamSettings, given: set[str]) -> list[str]:
    jar = os.environ.get(JAR, "")
    if not jar and not given & {"--flink_job_server_jar", "--flink_submit_uber_jar"}:
        raise ConfigError(
            f"data.beam.runner: flink needs Beam's job server for Flink, a jar from Maven Central "
            f"(org.apache.beam:beam-runners-flink-...-job-server): put its path into {JAR}"
        )
    if jar and not os.path.isfile(jar):
        raise ConfigError(f"{JAR}='{jar}': there is no such file")
    # What passes between stages goes to disk, so that more parts than slots may run one after the other: a part
    # whose results fill the hundred messages that the job server buffers would otherwise wait for ever.
    base = ["--runner=FlinkRunner", f"--parallelism={beam.workers}", "--execution_mode_for_batch=BATCH"]
    if jar and "--flink_job_server_jar" not in given:
        base.append(f"--flink_job_server_jar={jar}")
    if "--environment_type" not in given:
        base.append("--environment_type=LOOPBACK")
    return base


def _need(given: set[str], option: str, runner: str, meaning: str) -> None:
    if option not in given:
        raise ConfigError(f"data.beam.runner: {runner} needs {option}=..., {meaning}, in {WHERE}")


def _dask_flags(beam: BeamSettings) -> set[str]:
    """The options of Beam's Dask runner, which Beam itself does not list by their names."""
    if beam.runner != "dask":
        return set()
    try:
        from apache_beam.runners.dask.dask_runner import DaskOptions

        parser = argparse.ArgumentParser(add_help=False)
        DaskOptions._add_argparse_args(parser)
    except ImportError as error:
        raise ConfigError("data.beam.runner: dask is not installed: pip install 'mozart[dask]'") from error
    return {flag for action in parser._actions for flag in action.option_strings}


@contextlib.contextmanager
def engine(beam: BeamSettings) -> Iterator[tuple[str, ...]]:
    """Further options of an engine that is started for one pipeline: Dask's worker processes."""
    given = {option.split("=", 1)[0] for option in beam.options}
    if beam.runner != "dask" or given & {"--dask_client_address", "--dask_scheduler_file"}:
        yield ()
        return
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=beam.workers, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield (f"--dask_client_address={cluster.scheduler_address}",)
