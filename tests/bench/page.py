"""docs/benchmarks.md and docs/timeline.svg, from the figures alone."""

from html import escape

from tests.bench.figures import RACK, TASKS, Bench, Run, Target, targets

LEFT, RIGHT, TOP, ROW, BAR, MARGIN = 130, 60, 56, 30, 20, 20
SCALE = 720  # width of the whole run
CRITICAL, BESIDE = "#b4540a", "#829ab1"

PAGE = """\
# Benchmarks

Written by `make bench`: one run of it measured all of this, on the embedded lab, with the lab's builds cached. Seconds and bytes are
those of a machine with {cores} cores and {machine_memory:.0f} GiB of memory, which the lab's hosts share with Ansible; the ratios and
the counts are the point.

| | measured | target | |
| --- | ---: | ---: | --- |
{targets}

## From no hosts to a green verdict

![The stages over time](timeline.svg)

The command took {command:.0f} s. Its stages took {total:.0f} s; before them the lab's hosts were started. The durations of all stages
add up to {sum_seconds:.0f} s. `ansible-playbook playbooks/site.yml`, on hosts as new, took {serial:.0f} s. The critical path is
{path_seconds:.1f} s: {path}.

| stage | starts at, s | takes, s | critical | own overhead, s | second run, s | own overhead, s |
| --- | ---: | ---: | :---: | ---: | ---: | ---: |
{stages}

| host | tasks of the whole path | of the largest stage |
| --- | ---: | ---: |
{tasks}

## Doctor

Measured: {doctor}. The straight line through both gives {rack_doctored:.0f} s for {rack} hosts; that is a projection, and
not a measurement. The hosts are the lab's, as new, and share the machine's cores with Ansible, as a rack's would not.

## How it was measured

- **Total**: from the start of the first stage to the last record of the run's journal.
- **Critical path**: of all chains of stages in which each has to wait for the one before, the one whose durations add up to most. A
  stage waits for those it needs, and for those earlier in the table that work on one of its hosts, exactly as the run has it.
- **One after another**: the lab taken down and its hosts started anew, then a plain `ansible-playbook` of `site.yml`, timed as a
  whole. It is one process, which starts and gathers facts once, where each stage of the wrapper is a process of its own; and it ran
  last, so that the machine's file cache favoured it.
- **Own overhead**: what a stage took beyond the life of its `ansible-playbook` process: the wrapper and ansible-runner, before and
  after it. What ansible-runner's callback costs inside that process shows only in the comparison with plain `ansible-playbook`.
- **Tasks**: {kinds} of Ansible's recap in the first run. A loop is one task; gathering facts, handlers and includes count.
- **Second run**: the whole command, on what the first one left. Changed: of the recap, over all stages and hosts.
- **A key is revoked**: the whole command, which ends once it has read back from every replica that the key is gone.
- **Memory**: the largest sum seen, looking every second through both runs, of the working sets of the hosts' cgroups as the kubelet
  has them (all that is charged to them, kernel memory and file cache too, less inactive file cache) and the proportional set sizes of
  the wrapper's and Ansible's processes.
- **Disk**: the lab's state after both runs, and the builds that its hosts' records name as their root or mount into them. Hard links
  count once. Builds in the cache that no host uses, intermediate and older ones, are not in it.
"""


def picture(run: Run) -> str:
    """The stages of a run as bars over time, those on the critical path in another colour and joined."""
    width, bottom = LEFT + SCALE + RIGHT, TOP + len(run.spans) * ROW
    height = bottom + 30
    step = next(step for step in (5, 10, 15, 30, 60, 120, 300, 600) if run.total / step <= 12)

    def x(seconds: float) -> str:
        return f"{LEFT + seconds / run.total * SCALE:.1f}"

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" font-family="system-ui, sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<rect x="{LEFT}" y="{MARGIN}" width="14" height="14" rx="3" fill="{CRITICAL}"/>',
        f'<text x="{LEFT + 22}" y="{MARGIN + 12}" font-size="13" fill="#102a43">critical path, {run.path_seconds:.0f} s</text>',
        f'<rect x="{LEFT + 210}" y="{MARGIN}" width="14" height="14" rx="3" fill="{BESIDE}"/>',
        f'<text x="{LEFT + 232}" y="{MARGIN + 12}" font-size="13" fill="#102a43">beside it</text>',
        f'<text x="{LEFT + SCALE}" y="{MARGIN + 12}" font-size="13" text-anchor="end" fill="#102a43">{run.total:.0f} s in all</text>',
    ]
    for second in range(0, int(run.total) + 1, step):
        out += [
            f'<line x1="{x(second)}" y1="{TOP - 6}" x2="{x(second)}" y2="{bottom}" stroke="#d9e2ec"/>',
            f'<text x="{x(second)}" y="{bottom + 18}" font-size="12" text-anchor="middle" fill="#627d98">{second} s</text>',
        ]
    rows = {span.name: TOP + place * ROW for place, span in enumerate(run.spans)}
    spans = {span.name: span for span in run.spans}
    for name, after in zip(run.path, run.path[1:], strict=False):
        there = f"{x(spans[after].start)} {rows[after]}"
        path = f"M{x(spans[name].end)} {rows[name] + BAR} L{x(spans[name].end)} {rows[name] + BAR + 4} L{there}"
        out.append(f'<path d="{path}" fill="none" stroke="{CRITICAL}" stroke-width="1.5"/>')
    for span in run.spans:
        y, colour = rows[span.name], CRITICAL if span.name in run.path else BESIDE
        length = span.seconds / run.total * SCALE
        out += [
            f'<text x="{LEFT - 10}" y="{y + 15}" font-size="14" text-anchor="end" fill="#102a43">{escape(span.name)}</text>',
            f'<rect x="{x(span.start)}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3" fill="{colour}"/>',
            f'<text x="{float(x(span.end)) + 6:.1f}" y="{y + 15}" font-size="12" fill="#334e68">{span.seconds:.1f} s</text>',
        ]
    return "\n".join([*out, "</svg>"]) + "\n"


def page(bench: Bench) -> str:
    """The benchmark as Markdown."""
    first, again = bench.first, {span.name: span for span in bench.second.spans}
    stages = [
        f"| {span.name} | {span.start:.1f} | {span.seconds:.1f} | {'●' if span.name in first.path else ''} | {span.own:.2f} "
        f"| {again[span.name].seconds:.1f} | {again[span.name].own:.2f} |"
        for span in first.spans
    ]
    tasks = []
    for host, counts in first.tasks.items():
        largest = max(counts, key=lambda name: counts[name])
        tasks.append(f"| {host} | {sum(counts.values())} | {counts[largest]} ({largest}) |")
    return PAGE.format(
        cores=bench.cores,
        machine_memory=bench.machine_memory / 2**30,
        targets="\n".join(map(_row, targets(bench))),
        command=first.command,
        total=first.total,
        sum_seconds=first.sum_seconds,
        serial=bench.serial,
        path_seconds=first.path_seconds,
        path=", ".join(first.path),
        stages="\n".join(stages),
        tasks="\n".join(tasks),
        kinds=" + ".join(TASKS),
        doctor=", ".join(f"{seconds:.1f} s for {hosts} hosts" for hosts, seconds in bench.doctor.items()),
        rack_doctored=bench.rack_doctored,
        rack=RACK,
    )


def _row(target: Target) -> str:
    unit = f" {target.unit}" if target.unit else ""
    limit = f"{'<' if target.below else '≤'} {target.limit:g}{unit}"
    return f"| {target.what} | {target.seen:.{target.digits}f}{unit} | {limit} | {'met' if target.met else '**missed**'} |"
