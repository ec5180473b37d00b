"""PyTorch on a GPU: the ceilings (a large product, a large copy) and the step that `gpu time` times, as fast as it goes.

    python3 step.py --ceilings
    python3 step.py --net net.json --batch 128,1024 --seconds 200

Prints JSON, whole again after each variant, one line each: the last line counts. The step: forward in bf16 autocast, cross-
entropy, backward, SGD with momentum and decay (fused), channels_last, the input ready on the GPU. Variants differ in who
makes the kernels and who launches them; each says what it is, and a variant that fails says why.
"""

import argparse
import json
import pathlib
import signal
import statistics
import sys
import time

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers" / "pytorch")]
from net import Net, read  # noqa: E402

WARM = 5


def summary(seconds):
    """Median, fastest and slowest."""
    return {"n": len(seconds), "median": statistics.median(seconds), "fastest": min(seconds), "slowest": max(seconds)}


def timed(work, repeats):
    """Seconds of each run on the GPU, and from end to end in a row (so launches overlap what runs)."""
    for _ in range(WARM):
        work()
    torch.cuda.synchronize()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    begin = time.perf_counter()
    events[0].record()
    for event in events[1:]:
        work()
        event.record()
    torch.cuda.synchronize()
    wall = (time.perf_counter() - begin) / repeats
    return {"gpu": summary([a.elapsed_time(b) / 1e3 for a, b in zip(events, events[1:])]), "wall_mean": wall}


def ceilings(side, mebibytes):
    """What large products and copies reach, at their fastest of 20: 10^12 operations or bytes a second."""
    found = {}
    for name, kind, short in [("bf16", torch.bfloat16, False), ("tf32", torch.float32, True), ("f32", torch.float32, False)]:
        torch.backends.cuda.matmul.allow_tf32 = short
        a, b = (torch.randn(side, side, device="cuda", dtype=kind) for _ in range(2))
        out = torch.empty(side, side, device="cuda", dtype=kind)
        found[name] = 2 * side**3 / timed(lambda: torch.mm(a, b, out=out), 20)["gpu"]["fastest"] / 1e12
    torch.backends.cuda.matmul.allow_tf32 = True
    source = torch.ones(mebibytes << 20, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    found["copy_tbs"] = 2 * source.numel() / timed(lambda: target.copy_(source), 20)["gpu"]["fastest"] / 1e12
    return found


class Work:
    """A net with its optimizer and a batch."""

    def __init__(self, description, batch, compiler):
        torch.manual_seed(0)
        self.net = Net(description).cuda().to(memory_format=torch.channels_last)
        side = description["crop"]
        self.x = torch.randn(batch, 3, side, side, device="cuda").mul_(60).to(memory_format=torch.channels_last)
        self.labels = torch.randint(self.net.layers[-1].out_features, (batch,), device="cuda")
        parameters = list(self.net.parameters())
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.0005},
            {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.SGD(groups, lr=1e-4, momentum=0.9, fused=True)
        net = self.net

        def logits_of(x):
            with torch.autocast("cuda", torch.bfloat16):
                return net(x)

        def loss_of(x, labels):
            return F.cross_entropy(logits_of(x).float(), labels)

        self.logits, self.loss = compiler(logits_of), compiler(loss_of)

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.x, self.labels).backward()
        self.optimizer.step()

    @torch.inference_mode()
    def forward(self):
        return self.logits(self.x)


def captured(work):
    """The work as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


VARIANTS = {
    "eager": (lambda f: f, False),
    "eager, CUDA graph": (lambda f: f, True),
    "compiled": (torch.compile, False),
    "compiled, CUDA graph": (torch.compile, True),
    "compiled (reduce-overhead)": (lambda f: torch.compile(f, mode="reduce-overhead"), False),
    "compiled (max-autotune), CUDA graph": (lambda f: torch.compile(f, mode="max-autotune-no-cudagraphs"), True),
}


def out_of_time(*_):
    raise TimeoutError("no time left")


def measure(description, batch, variant, repeats):
    compiler, graph = VARIANTS[variant]
    torch.compiler.reset()
    work = Work(description, batch, compiler)
    step = captured(work.step) if graph else work.step
    result = {"step": timed(step, repeats)}
    del step
    work.net.eval()
    result["forward"] = timed(captured(work.forward) if graph else work.forward, repeats)
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ceilings", action="store_true")
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--mebibytes", type=int, default=2048)
    parser.add_argument("--net")
    parser.add_argument("--batch", default="128,1024")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=200, help="variants that have not begun by then are left out")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    report = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "gpu": torch.cuda.get_device_name(),
    }
    if arguments.ceilings:
        report["ceilings"] = ceilings(arguments.side, arguments.mebibytes)
        print(json.dumps(report))
        return
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    description = read(arguments.net)
    report["runs"] = []
    end = time.monotonic() + arguments.seconds
    signal.signal(signal.SIGALRM, out_of_time)
    # The batches of a variant follow each other: if time runs out, every batch has had the cheaper variants.
    for variant in VARIANTS:
        for batch in map(int, arguments.batch.split(",")):
            run = {"variant": variant, "batch": batch}
            left = end - time.monotonic()
            try:
                if left < 1:
                    out_of_time()
                signal.setitimer(signal.ITIMER_REAL, left)
                run.update(measure(description, batch, variant, arguments.repeats))
            except Exception as error:  # noqa: BLE001 - a variant that this PyTorch cannot do is a line of the report
                run["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            torch.cuda.empty_cache()
            report["runs"].append(run)
            print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
