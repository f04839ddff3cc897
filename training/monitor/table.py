# SPDX-License-Identifier: Apache-2.0
"""The table and the picture of the monitor's receiver operating characteristics."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from depth_estimation_ros.core.live_floor import TOLERATED
from depth_estimation_ros.core.monitor.still import CHANGED
from depth_estimation_ros.ros.monitor_checks import CHECKS, MonitorSettings
from training.monitor.rivals import RIVALS
from training.monitor.roc import Roc
from training.monitor.trials import Key, Trials

NAMES = {**{name: check.name for name, check in CHECKS.items()}, 'floor': 'floor disagrees'}

FALSE_ALARMS = 0.01
"""The share of healthy looks that a limit may take for faulty."""


def limits() -> dict[str, float]:
    """Return the limits in use, so that what is above one is a fault."""
    settings = MonitorSettings()
    used = {name: (-1 if CHECKS[name].below else 1) * float(getattr(settings, name))
            for name in ('dark', 'saturated', 'blurred', 'covered', 'unknown', 'out_of_range')}
    return used | {'frozen': -CHANGED, 'floor': TOLERATED}


def lines(chosen: Trials, reported: Trials) -> Iterator[str]:
    """
    Yield a Markdown table.

    :param chosen: of the rooms that limits are taken from.
    :param reported: of other rooms.
    """
    yield '| fault | how much | AUC | limit at 1 % | limit in use | found | false alarms |'
    yield '|---|---|---|---|---|---|---|'
    by_choice, used = dict(chosen.rocs()), limits()
    for (check, degree), roc in reported.rocs():
        if check not in used:
            continue
        found, false = roc.rates(used[check])
        limit = abs(by_choice[check, degree].limit(FALSE_ALARMS))
        yield (f'| {NAMES[check]} | {degree} | {roc.auc:.3f} | {limit:.3g} | '
               f'{abs(used[check]):.3g} | {found:.0%} | {false:.1%} |')


def rival_lines(chosen: Trials, reported: Trials) -> Iterator[str]:
    """Yield a Markdown table of the measures of blur, each at its own limit for 1 %."""
    yield '| measure of blur | ' + ' | '.join(_blurs(reported)) + ' |'
    yield '|---|' + '---|' * len(_blurs(reported))
    by_choice, shown = dict(chosen.rocs()), dict(reported.rocs())
    for measure in ('blurred', *RIVALS):
        found = [shown[measure, degree].rates(by_choice[measure, degree].limit(FALSE_ALARMS))[0]
                 for degree in _blurs(reported)]
        name = 'edges over their contrast' if measure == 'blurred' else measure
        yield f'| {name} | ' + ' | '.join(f'{share:.0%}' for share in found) + ' |'


def _blurs(trials: Trials) -> list[str]:
    return [degree for check, degree in trials.faulty if check == 'blurred']


def draw(rocs: Mapping[Key, Roc], target: Path) -> None:
    """
    Draw the curves, a panel a check, with a point where the limit in use lies.

    :param target: the PNG file.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    checks = [check for check in dict.fromkeys(check for check, _ in rocs) if check in NAMES]
    figure, axes = pyplot.subplots(1, len(checks), figsize=(3 * len(checks), 3.4), dpi=80,
                                   sharey=True, layout='constrained')
    for check, axis in zip(checks, axes):
        for (name, degree), roc in rocs.items():
            if name == check:
                line, = axis.plot(*roc.curve(), label=degree)
                found, false = roc.rates(limits()[check])
                axis.plot([false], [found], 'o', color=line.get_color(), markersize=5)
        axis.set(title=NAMES[check], xlabel='false alarms', xlim=(-0.01, 0.3))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc='lower right')
    axes[0].set(ylabel='found', ylim=(-0.02, 1.02))
    figure.savefig(target)
    pyplot.close(figure)
