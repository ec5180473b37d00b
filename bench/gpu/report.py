"""Puts the outputs of run.sh's parts together: NAME.json and NAME.md. Needs nothing but Python.

    report.py PARTS NAME               exit status 1 where a check failed or could not run
    report.py --ceilings FILE          the ceilings in FILE as arguments of `gpu time`
"""

import json
import pathlib
import sys

CHECKS = {
    "check": "kernels against the reference, nets against PyTorch's goldens and the CPU",
    "memcheck": "compute-sanitizer memcheck",
    "racecheck": "compute-sanitizer racecheck",
    "train": "loss curves beside the CPU's",
    "sums": "sums over ranks by NCCL against the host's",
}
# Of the least time that a step can take.
BAR = 0.6


def last_json(path):
    """The last line of a file that is JSON; None where there is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in reversed(lines):
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            continue
    return None


def ceilings(path):
    found = last_json(pathlib.Path(path))["ceilings"]
    products = ",".join(f"{name}={found[name]:.1f}" for name in ("bf16", "tf32", "f32"))
    print("--tensor-tflops", products, "--copy-tbs", f"{found['copy_tbs']:.3f}", sep="\n")


def read(folder):
    """All parts: status, seconds, the JSON that each printed, and the end of what it complained about."""
    parts = {}
    for name in [*CHECKS, "ceilings", "time", "step"]:
        status, skipped = folder / f"{name}.status", folder / f"{name}.skipped"
        if skipped.exists():
            parts[name] = {"state": "left out", "reason": skipped.read_text(encoding="utf-8").strip()}
        elif status.exists():
            code, seconds = map(int, status.read_text(encoding="utf-8").split())
            # A part that prints nothing has done nothing; one that ran out of time may have printed enough.
            output = last_json(folder / f"{name}.out")
            parts[name] = {"state": "ok" if code == 0 and output else "failed", "exit": code, "seconds": seconds}
            parts[name]["output"] = output
            if output and "left_out" in output:
                parts[name] = {"state": "left out", "reason": output["left_out"], "output": output}
            if code:
                parts[name]["reason"] = "ran out of time" if code in (124, 137) else last_words(folder / f"{name}.err")
        else:
            parts[name] = {"state": "failed", "reason": "did not run"}
    return parts


def last_words(path):
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "; ".join(line.strip() for line in lines if line.strip())[-300:]


def output(parts, name):
    return parts[name].get("output") or {}


def fastest(parts, batch, what):
    """PyTorch's fastest variant: (name, its times)."""
    runs = [run for run in output(parts, "step").get("runs", []) if run["batch"] == batch and what in run]
    best = min(runs, key=lambda run: run[what]["gpu"]["median"], default=None)
    return (best["variant"], best[what]) if best else (None, None)


def ours(parts, batch):
    """Our step: alexnet, both towers on GPU 0, bf16."""
    for step in output(parts, "time").get("steps", []):
        if step.get("net") == "alexnet" and (step["devices"], step["precision"], step["batch"]) == ("0,0", "bf16", batch):
            return step
    return None


def bars(parts):
    """What must be true: (text, True, False or None where it was not measured)."""
    found = []
    for name, text in CHECKS.items():
        state = parts[name]["state"]
        found.append((text, None if state == "left out" else state == "ok"))
    for batch in batches(parts):
        step = ours(parts, batch)
        _, peer = fastest(parts, batch, "step")
        part = step["of_floor"] if step else None
        text = f"step at batch {batch}, both towers on one GPU, bf16: at least {percent(BAR)} of the floor"
        found.append((text, None if part is None else part >= BAR))
        faster = None if not (step and peer) else step["gpu"]["median"] < peer["gpu"]["median"]
        found.append((f"step at batch {batch}: faster than PyTorch's fastest variant", faster))
    return found


def batches(parts):
    return sorted({step["batch"] for step in output(parts, "time").get("steps", [])}) or [128, 1024]


def machine(folder, parts):
    lines = (folder / "machine.txt").read_text(encoding="utf-8").splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    found["engine"] = output(parts, "time").get("machine", {})
    peer = output(parts, "step") or output(parts, "ceilings")
    found["pytorch"] = {key: peer[key] for key in ("torch", "cuda", "cudnn") if key in peer}
    return found


def machine_line(machine):
    engine, peer = machine["engine"], machine["pytorch"]
    gpus = machine.get("gpu") or ", ".join(gpu["name"] for gpu in engine.get("gpus", [])) or "no GPU"
    words = [
        f"{gpus} (name, driver, power limit, highest clock)" if machine.get("gpu") else gpus,
        f"{machine.get('cpu', '?')}, {machine.get('cores', '?')} cores, {machine.get('system', '?')}",
        f"driver's CUDA {engine.get('cuda_of_driver', '?')}, kernels by NVRTC {engine.get('nvrtc_of_build', '?')}",
        f"PyTorch {peer['torch']}, CUDA {peer['cuda']}, cuDNN {peer['cudnn']}" if peer else "no PyTorch",
        f"nvcc {machine['nvcc']}" if machine.get("nvcc") else "no nvcc",
        f"ilsvrc {engine.get('version', '?')}",
        machine.get("date", "?"),
    ]
    return "; ".join(words) + "."


def percent(part):
    return f"{part:.0%}".replace("%", " %")


def times(seconds):
    """n, median and spread as three cells, in ms."""
    return f"{seconds['n']} | {1e3 * seconds['median']:.3f} | {1e3 * seconds['fastest']:.3f} - {1e3 * seconds['slowest']:.3f}"


def steps_table(parts):
    head = "| net | devices | precision | batch | n | median ms | fastest - slowest | images/s | of floor | speed, PyTorch = 1 | end to end ms |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|---|"]
    for step in output(parts, "time").get("steps", []):
        where = f"{step.get('net', '')} | {step['devices']} | {step['precision']} | {step['batch']}"
        if "error" in step:
            lines.append(f"| {where} | | {step['error']} | | | | | |")
            continue
        for what, of in [("step", step), ("forward", step.get("forward"))]:
            if of is None:
                continue
            _, peer = fastest(parts, step["batch"], what)
            same = peer and step["net"] == "alexnet" and step["precision"] == "bf16" and step["devices"] == "0,0"
            ratio = f"{peer['gpu']['median'] / of['gpu']['median']:.2f}x" if same else ""
            wall = f"{1e3 * of['wall']['median']:.3f}" if "wall" in of else ""
            name = where.replace(step["net"], f"{step['net']}, {what}", 1)
            rate = step["batch"] / of["gpu"]["median"]
            lines.append(f"| {name} | {times(of['gpu'])} | {rate:.0f} | {percent(of['of_floor'])} | {ratio} | {wall} |")
    for run in output(parts, "step").get("runs", []):
        for what in ("step", "forward"):
            where = f"PyTorch {run['variant']}, {what} | 0 | bf16 | {run['batch']}"
            if what in run:
                seconds = run[what]["gpu"]
                rate, wall = run["batch"] / seconds["median"], 1e3 * run[what]["wall_mean"]
                lines.append(f"| {where} | {times(seconds)} | {rate:.0f} | | | {wall:.3f} |")
            elif what == "step":
                lines.append(f"| {where} | | {run.get('error', '?')} | | | | | |")
    return lines


def sums_table(parts):
    """Sums over the ranks of this machine's GPUs."""
    found = output(parts, "sums")
    if not found.get("sums"):
        return []
    lines = [f"## Sums over ranks, NCCL {found['nccl']}", "", "| ranks, a GPU each | bytes | ms | GB/s in and out of each GPU |", "|---|---|---|---|"]
    for row in found["sums"]:
        if row["ok"]:
            lines.append(f"| {row['ranks']} | {row['bytes']} | {1e3 * row['seconds']:.3f} | {row['bus_gbs']:.1f} |")
        else:
            lines.append(f"| {row['ranks']} | {row['message']} | | |")
    return [*lines, ""]


def parts_table(parts, precision, batch):
    """Each kernel of the step."""
    rows = [part for part in output(parts, "time").get("parts", []) if part["precision"] == precision and part["batch"] == batch]
    if not rows:
        return []
    lines = [f"## Parts of the step of `alexnet`, {precision}, batch {batch}", ""]
    lines += ["| part | kernels | n | median us | fastest - slowest | floor us | of floor | bound by |", "|---|---|---|---|---|---|---|---|"]
    for part in rows:
        if "error" in part:
            lines.append(f"| {part['error']} | | | | | | | |")
            continue
        seconds, mark = part["seconds"], " *" if part["on_the_way"] else ""
        spread = f"{1e6 * seconds['fastest']:.1f} - {1e6 * seconds['slowest']:.1f}"
        lines.append(
            f"| {part['part']}{mark} | {part['kernels']} | {seconds['n']} | {1e6 * seconds['median']:.1f} | {spread} "
            f"| {1e6 * part['floor']:.1f} | {percent(part['of_floor'])} | {part['bound_by']} |"
        )
    return [*lines, ""]


def markdown(machine, parts, bars):
    lines = ["# The CUDA engine on a GPU", "", machine_line(machine), ""]
    if "rehearsal" in machine:
        lines += ["**A rehearsal of the script, with a tiny net: no figure here says anything.**", ""]
    words = {True: "PASS", False: "FAIL", None: "not measured"}
    lines += ["| what must be true | |", "|---|---|", *(f"| {text} | {words[state]} |" for text, state in bars), ""]
    for name, part in parts.items():
        if part["state"] != "ok":
            lines.append(f"- {name}: {part['state']}, {part.get('reason') or 'it printed nothing'}")
    failed = [check for check in output(parts, "check").get("checks", []) if not check["ok"]]
    lines += [f"- FAIL {check['area']} {check['what']}: {check['message']}" for check in failed]
    found = output(parts, "time").get("ceilings", {})
    if found:
        used = ", ".join(f"{found[name]['used_tflops']:.1f} TFLOP/s {name}" for name in ("bf16", "tf32", "f32") if name in found)
        lines += ["", f"Ceilings of this GPU, measured in the same run: {used}, {found['copy']['used_tbs']:.2f} TB/s."]
    lines += [
        "",
        "Times are those of the GPU between two events; `end to end` is from the end of a step to the end of the next as the caller",
        "sees it, for ours with bringing the batch from memory as u8 and preparing it. A floor is what memory or arithmetic must",
        "take at these ceilings (docs/kernels.md says how it is counted). PyTorch: bf16 autocast, channels_last, fused SGD, its",
        "input ready on the GPU; the ratio is taken against its fastest variant.",
        "",
        *steps_table(parts),
        "",
        *sums_table(parts),
    ]
    sizes = batches(parts)
    for batch in sizes:
        lines += parts_table(parts, "bf16", batch)
    for precision in ("tf32", "f32"):
        lines += parts_table(parts, precision, sizes[0])
    lines += [
        "A part is repeated in a row, so small tensors may stay in the cache and pass their floor. `*`: work that neighbours could",
        "do on the way; it has no part in the floor of a step.",
    ]
    return "\n".join(lines) + "\n"


def main():
    if sys.argv[1] == "--ceilings":
        return ceilings(sys.argv[2])
    folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
    parts = read(folder)
    found = machine(folder, parts)
    must = bars(parts)
    report = {"machine": found, "bars": [{"bar": text, "met": state} for text, state in must], "parts": parts}
    pathlib.Path(f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    page = markdown(found, parts, must)
    pathlib.Path(f"{name}.md").write_text(page, encoding="utf-8")
    print(page)
    sys.exit(any(parts[check]["state"] == "failed" for check in CHECKS))


if __name__ == "__main__":
    main()
