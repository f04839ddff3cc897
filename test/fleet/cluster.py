# SPDX-License-Identifier: Apache-2.0
"""
Run a job on a Ray cluster of two machines, and take away what it stands on.

A process of its own: Ray's threads and torch's do not meet those of other tests.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from depth_estimation_ros.fleet.engines import RayOptions
from depth_estimation_ros.fleet.on_ray import OnRay
from depth_estimation_ros.fleet.run import process_bags
from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.network import NetworkOptions

MACHINE = {'num_cpus': 1, 'object_store_memory': 80 * 2**20}


class Disturbed(OnRay):
    """An engine that has something done to it after so many rows."""

    def __init__(self, address: str, acts: dict[int, Callable[[dict[str, Any]], None]]) -> None:
        super().__init__(RayOptions(address), 'cpu')
        self._acts = acts
        self.workers_seen: set[str] = set()

    def make(self, job: Any, ranges: Any) -> Iterator[dict[str, Any]]:
        """Make the ranges, and act when a number of rows have come."""
        for number, row in enumerate(super().make(job, ranges)):
            self.workers_seen.add(row['worker'])
            self._acts.get(number, lambda row: None)(row)
            yield row


def main(source: str, output: str, model: str, part: float) -> None:
    """Print, as JSON, what became of the bags, and which workers made them."""
    from ray.cluster_utils import Cluster
    cluster = Cluster(initialize_head=True, head_node_args={**MACHINE, 'include_dashboard': False})
    other = cluster.add_node(**MACHINE)

    def kill(row: dict[str, Any]) -> None:
        os.kill(int(row['worker'].rpartition(':')[2]), signal.SIGKILL)

    def remove(row: dict[str, Any]) -> None:
        cluster.remove_node(other, allow_graceful=False)

    def add(row: dict[str, Any]) -> None:
        cluster.add_node(**MACHINE)

    engine = Disturbed(cluster.address, {1: kill, 6: remove, 9: add})
    reports = process_bags([source], output, ProcessOptions(part=part), NetworkOptions(
        model=model, device='cpu', backend='torch'), engine, progress=tqdm(disable=True))
    engine.close()
    cluster.shutdown()
    print(json.dumps({'bags': [report.as_json() for report in reports],
                      'workers': sorted(engine.workers_seen)}))


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
