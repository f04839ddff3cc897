# SPDX-License-Identifier: Apache-2.0
"""The table of what points and scans cost."""

from depth_estimation_ros.tools.benchmark.geometry import table


def test_the_table_has_the_bytes_of_every_step() -> None:
    header, rule, *rows = table(((64, 48), (32, 24)), rounds=1).splitlines()
    assert '64x48' in header and '32x24' in header
    assert all(line.count('|') == header.count('|') for line in (rule, *rows))
    cells = {row.split(' | ')[0].strip('| '): row.split(' | ')[1::2] for row in rows}
    assert cells['depth, 32FC1'] == ['12,288', '3,072']
    assert cells['temporal filter'] == ['12,288', '3,072']
    assert cells['temporal filter by odometry'] == ['12,288', '3,072']
    assert cells['points'] == ['49,152', '12,288']
    assert cells['points with colour'] == ['98,304', '24,576']
    assert cells['points by stride 4'] == ['3,072', '768']
    assert cells['depth by stride 4, minimum'] == ['768', '192']
