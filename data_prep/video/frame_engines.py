"""Where shards of frames are written: in processes of this machine, or through Ray Data on a cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import as_completed
from typing import Any

from data_prep.stages import StageError
from data_prep.video.frame_shards import write_shard
from data_prep.video.workers import worker_processes


def local_engine(jobs: list[dict[str, Any]], workers: int) -> Iterator[int]:
    """Yield the number of clips done, shard by shard, over processes of this machine.

    Raises:
        StageError: a worker was killed.
    """
    if workers == 1 or len(jobs) < 2:
        yield from map(write_shard, jobs)
        return
    with worker_processes(min(workers, len(jobs)), "spawn") as pool:
        for done in as_completed([pool.submit(write_shard, job) for job in jobs]):
            yield done.result()


def ray_engine(jobs: list[dict[str, Any]], workers: int) -> Iterator[int]:
    """Yield the number of clips done, shard by shard, through Ray Data on the cluster of RAY_ADDRESS or a local one.

    Raises:
        StageError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise StageError("--engine ray needs Ray Data: pip install 'ray[data]'") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers unless asked for
    started = not ray.is_initialized()
    if started:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if not os.environ.get("RAY_ADDRESS"):
            options |= {"num_cpus": workers, "include_dashboard": False}
        ray.init(**options)
    try:
        if jobs:
            # JSON: a column of lists of dicts would be made a struct. One block a shard, so that each is a task.
            items = ray.data.from_items([{"job": json.dumps(job)} for job in jobs], override_num_blocks=len(jobs))
            for row in items.map(lambda row: {"clips": write_shard(json.loads(row["job"]))}).iter_rows():
                yield int(row["clips"])
    finally:
        if started:
            ray.shutdown()
