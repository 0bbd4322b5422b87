#!/usr/bin/env python3
"""What PyTorch with CUDA graphs decodes, beside which ours is held: plain modules of an
EXAONE 3.0 7.8B, random bfloat16 weights made on the device, a static KV cache, one
graph of a whole step (from the embedding to the chosen token, which is the next step's)
that is replayed. Prints one JSON object.

Every step reads the same number of positions, which spares PyTorch a mask: contexts do
not grow, and a step's key and value go to the last position. Attention is tried as
scaled_dot_product_attention over each KV head's group of queries and as two matrix
products; the faster one counts.

    torch_decode.py [--device cuda:0] [--batch 1 256] [--context 1024] [--steps 64] [--compile]
"""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB = 4096, 32, 32, 8, 128, 14336, 102400
EPS, THETA = 1e-5, 500_000.0
GROUP = HEADS // KV_HEADS


class Weights:
    def __init__(self, device, layers):
        def matrix(out, k):
            return torch.empty(out, k, dtype=torch.bfloat16, device=device).normal_(std=0.02)

        def ones():
            return torch.ones(HIDDEN, dtype=torch.bfloat16, device=device)

        self.embed, self.head, self.norm = matrix(VOCAB, HIDDEN), matrix(VOCAB, HIDDEN), ones()
        self.layers = [
            (ones(), matrix((HEADS + 2 * KV_HEADS) * HEAD_DIM, HIDDEN), matrix(HIDDEN, HEADS * HEAD_DIM),
             ones(), matrix(2 * FFN, HIDDEN), matrix(HIDDEN, FFN))
            for _ in range(layers)
        ]

    def step_bytes(self):
        """What a step reads of the weights: all but the embedding, of which it reads rows."""
        tensors = [self.head, self.norm] + [t for layer in self.layers for t in layer]
        return sum(t.numel() * t.element_size() for t in tensors)


def rms_norm(x, w):
    if hasattr(F, "rms_norm"):  # from PyTorch 2.4 on
        return F.rms_norm(x, (HIDDEN,), w, EPS)
    f = x.float()
    return (f * torch.rsqrt(f.pow(2).mean(-1, keepdim=True) + EPS)).to(x.dtype) * w


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


def attend_sdpa(q, k, v):
    # The queries of a group as so many positions of its KV head: each sees all keys.
    return F.scaled_dot_product_attention(q, k, v)


def attend_products(q, k, v):
    scores = torch.matmul(q, k.transpose(2, 3)) * HEAD_DIM**-0.5
    return torch.matmul(torch.softmax(scores, dim=-1, dtype=torch.float32).to(v.dtype), v)


def layer_forward(x, weights, k_cache, v_cache, cos, sin, attend):
    attn_norm, qkv, out, mlp_norm, gate_up, down = weights
    batch = x.shape[0]
    q, k, v = F.linear(rms_norm(x, attn_norm), qkv).split((HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM), dim=-1)
    q = rotate(q.view(batch, KV_HEADS, GROUP, HEAD_DIM), cos, sin)
    k_cache[:, :, -1] = rotate(k.view(batch, KV_HEADS, HEAD_DIM), cos, sin)
    v_cache[:, :, -1] = v.view(batch, KV_HEADS, HEAD_DIM)
    x = x + F.linear(attend(q, k_cache, v_cache).reshape(batch, HEADS * HEAD_DIM), out)
    gate, up = F.linear(rms_norm(x, mlp_norm), gate_up).chunk(2, dim=-1)
    return x + F.linear(F.silu(gate) * up, down)


def measure(weights, device, batch, context, steps, attend, layer):
    """Seconds of each of the replayed steps, and the bytes that one reads."""
    cache = [
        [torch.empty(batch, KV_HEADS, context, HEAD_DIM, dtype=torch.bfloat16, device=device).normal_() for _ in range(2)]
        for _ in weights.layers
    ]
    angle = (context - 1) * THETA ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM)
    angle = torch.cat((angle, angle))
    cos, sin = (f(angle).to(device=device, dtype=torch.bfloat16) for f in (torch.cos, torch.sin))
    token = torch.arange(batch, device=device) % VOCAB

    def step():
        x = F.embedding(token, weights.embed)
        for w, (k, v) in zip(weights.layers, cache):
            x = layer(x, w, k, v, cos, sin, attend)
        token.copy_(F.linear(rms_norm(x, weights.norm), weights.head).argmax(dim=-1))

    warm = torch.cuda.Stream(device)
    warm.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(warm):
        for _ in range(3):
            step()
    torch.cuda.current_stream(device).wait_stream(warm)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    times = []
    for i in range(steps + 3):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        graph.replay()
        torch.cuda.synchronize(device)
        if i >= 3:
            times.append(time.perf_counter() - start)
    start = time.perf_counter()  # without a wait between steps, which a server could do too
    for _ in range(steps):
        graph.replay()
    torch.cuda.synchronize(device)
    together = (time.perf_counter() - start) / steps
    read = weights.step_bytes() + sum(t.numel() * t.element_size() for pair in cache for t in pair)
    return times, together, read


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--device", default="cuda:0")
    p.add_argument("--batch", type=int, nargs="+", default=[1, 256])
    p.add_argument("--context", type=int, default=1024, help="positions that each step reads")
    p.add_argument("--steps", type=int, default=64)
    p.add_argument("--layers", type=int, default=LAYERS)
    p.add_argument("--compile", action="store_true", help="torch.compile of a layer too; it needs a C compiler")
    args = p.parse_args()
    device = torch.device(args.device)
    torch.cuda.set_device(device)
    torch.manual_seed(1)
    report = {"pytorch": torch.__version__, "cuda": torch.version.cuda, "device": torch.cuda.get_device_name(device), "results": []}
    with torch.inference_mode():
        weights = Weights(device, args.layers)
        ways = [("sdpa", attend_sdpa, layer_forward), ("products", attend_products, layer_forward)]
        if args.compile:
            ways.append(("sdpa, compiled", attend_sdpa, torch.compile(layer_forward)))
        for batch in args.batch:
            best = None
            for name, attend, layer in ways:
                try:
                    times, together, read = measure(weights, device, batch, args.context, args.steps, attend, layer)
                except RuntimeError as e:  # out of memory, say: the others are still of interest
                    print(f"batch {batch}, {name}: {e}", file=sys.stderr)
                    torch.cuda.empty_cache()
                    continue
                fastest = min(min(times), together)
                print(f"batch {batch}, {name}: {batch / fastest:.1f} tok/s", file=sys.stderr)
                if best is None or fastest < best[1]:
                    best = (name, fastest, min(sum(times) / len(times), together), read)
            if best is None:
                report["results"].append({"phase": "decode", "batch": batch, "error": "none of the ways ran; stderr says why"})
                continue
            name, fastest, mean, read = best
            report["results"].append({
                "phase": "decode", "batch": batch, "context": args.context, "attention": name,
                "tokens_per_second": batch / mean, "best_tokens_per_second": batch / fastest, "read_gb_per_second": read / fastest / 1e9,
            })
    print(json.dumps(report))
    return 0 if all("error" not in r for r in report["results"]) else 1


if __name__ == "__main__":
    sys.exit(main())
