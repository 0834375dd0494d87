#!/usr/bin/env python3
"""The planner against an ILP solver, on instances written by `cargo bench -p mig --bench planner`.

    cargo bench -p mig --bench planner -- --instances instances.jsonl
    pip install highspy
    benches/planner_ilp.py instances.jsonl

Every instance is solved again by HiGHS (one thread, gap 0) as the usual model with a binary per GPU and
placement. It must agree on whether the demand can be met and on the instances destroyed and created, in
that order; the room left, which only breaks ties, is not in the model. Ends with status 1 at a difference.
"""

import json
import statistics
import sys
import time

import highspy

# One destroyed instance outweighs any number of created ones on a node of 8 GPUs.
DESTROYED = 1000


def solve(instance):
    """(destroyed, created), or None when the demand cannot be met; and the seconds in the solver."""
    specs = instance["specs"]
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("threads", 1)
    model.setOptionValue("mip_rel_gap", 0.0)
    totals = [[] for _ in specs]
    cost, constant = 0, 0
    for busy, idle in instance["gpus"]:
        here = []
        for spec, (size, starts, alone) in enumerate(specs):
            for start in starts:
                held = [spec, start] in busy
                chosen = model.addBinary()
                if held:
                    model.addConstr(chosen >= 1)
                elif [spec, start] in idle:
                    constant += DESTROYED
                    cost = cost - DESTROYED * chosen
                else:
                    cost = cost + chosen
                totals[spec].append(chosen)
                here.append((chosen, start, size, alone))
        for unit in range(instance["units"]):
            over = [x for x, start, size, _ in here if start <= unit < start + size]
            if len(over) > 1:
                model.addConstr(sum(over) <= 1)
        media = [x for x, _, _, alone in here if alone]
        if media:
            model.addConstr(sum(media) <= 1)
    for chosen, count in zip(totals, instance["demand"]):
        model.addConstr(sum(chosen) == count)
    begin = time.perf_counter()
    model.minimize(cost)
    took = time.perf_counter() - begin
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None, took
    value = round(model.getObjectiveValue()) + constant
    return [value // DESTROYED, value % DESTROYED], took


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        instances = [json.loads(line) for line in lines]
    different, times = 0, {}
    for number, instance in enumerate(instances):
        found, took = solve(instance)
        if found != instance["cost"]:
            different += 1
            print(f"instance {number}: planner {instance['cost']}, HiGHS {found}")
        kind = (instance["state"], instance["cost"] is not None)
        times.setdefault(kind, []).append((instance["ms"], took * 1e3))
    print(f"{len(instances)} instances, {different} different")
    print("| state | fits | instances | planner, median ms | p99 | HiGHS, median ms | p99 |")
    print("|---|---|---|---|---|---|---|")
    for (state, fits), pairs in sorted(times.items()):
        ours, theirs = zip(*pairs)
        row = [state, "yes" if fits else "no", len(pairs)]
        for values in (ours, theirs):
            high = sorted(values)[round((len(values) - 1) * 0.99)]
            row += [f"{statistics.median(values):.3f}", f"{high:.3f}"]
        print("| " + " | ".join(map(str, row)) + " |")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
