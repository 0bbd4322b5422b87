"""The demo model itself: EXAONE 3's architecture in PyTorch, its training, its export."""
import json
import math
import random
import struct
import time

import torch
import torch.nn.functional as F
from torch import nn

import bpe
import data

# 8 query heads over 4 key-value heads let the model be cut for 2 and 4 workers along whole KV
# heads and for 3 and 8 unevenly or with copies: the cases that a demonstration wants to show.
CONFIG = {
    "activation_function": "silu",
    "architectures": ["ExaoneForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": bpe.BOS,
    "embed_dropout": 0.0,
    "eos_token_id": bpe.END_OF_TURN,
    "head_dim": 32,
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 448,
    "layer_norm_epsilon": 1e-05,
    "max_position_embeddings": 2048,
    "model_type": "exaone",
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "num_layers": 3,
    "pad_token_id": bpe.PAD,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.46.0",
    "use_cache": True,
    "vocab_size": 1792,
}

# --------------------------------------------------------------------------- model
# Modules are named and nested so that state_dict() has the checkpoint's tensor names.


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, cos, sin):
    """RoPE in the rotate-half form: element j pairs with j + head_dim/2. x [B, H, T, D]"""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class SelfAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.q_proj = nn.Linear(c["hidden_size"], self.heads * self.dim, bias=False)
        self.k_proj = nn.Linear(c["hidden_size"], self.kv_heads * self.dim, bias=False)
        self.v_proj = nn.Linear(c["hidden_size"], self.kv_heads * self.dim, bias=False)
        self.out_proj = nn.Linear(self.heads * self.dim, c["hidden_size"], bias=False)

    def forward(self, x, cos, sin, mask):
        B, T, _ = x.shape
        q = self.q_proj(x).view(B, T, self.heads, self.dim).transpose(1, 2)
        k = self.k_proj(x).view(B, T, self.kv_heads, self.dim).transpose(1, 2)
        v = self.v_proj(x).view(B, T, self.kv_heads, self.dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        p = (q @ k.transpose(-1, -2) * self.dim ** -0.5 + mask).softmax(-1)
        return self.out_proj((p @ v).transpose(1, 2).reshape(B, T, -1))


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention = SelfAttention(c)


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c_fc_0 = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)   # the gate
        self.c_fc_1 = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.c_proj = nn.Linear(c["intermediate_size"], c["hidden_size"], bias=False)

    def forward(self, x):
        return self.c_proj(F.silu(self.c_fc_0(x)) * self.c_fc_1(x))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_1 = RMSNorm(c["hidden_size"], c["layer_norm_epsilon"])
        self.attn = Attention(c)
        self.ln_2 = RMSNorm(c["hidden_size"], c["layer_norm_epsilon"])
        self.mlp = MLP(c)

    def forward(self, x, cos, sin, mask):
        x = x + self.attn.attention(self.ln_1(x), cos, sin, mask)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wte = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.h = nn.ModuleList(Block(c) for _ in range(c["num_layers"]))
        self.ln_f = RMSNorm(c["hidden_size"], c["layer_norm_epsilon"])


class Exaone(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.transformer = Transformer(c)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                # The two matrices that write to the residual stream start smaller.
                scale = (2 * c["num_layers"]) ** -0.5 if name.endswith(("out_proj.weight", "c_proj.weight")) else 1.0
                nn.init.normal_(p, std=scale * (0.03 if "wte" in name else c["hidden_size"] ** -0.5))

    def forward(self, ids, keep):
        """Logits at the positions where keep is true: ids, keep [B, T] -> [keep.sum(), V]."""
        T, half = ids.shape[1], self.c["head_dim"] // 2
        angle = torch.arange(T)[:, None] * self.c["rope_theta"] ** (-torch.arange(half) / half)
        cos, sin = angle.cos(), angle.sin()
        mask = torch.full((T, T), -1e9).triu(1)
        x = self.transformer.wte(ids)
        for block in self.transformer.h:
            x = block(x, cos, sin, mask)
        return self.transformer.ln_f(x[keep]) @ self.transformer.wte.weight.T


# --------------------------------------------------------------------------- batches

def tokenize(tok, system, turns):
    """Token ids of a conversation and, for each, whether the model is to say it."""
    ids, said = [], []

    def add(text, by_model):
        new = tok.encode(text)
        ids.extend(new)
        said.extend([by_model] * len(new))

    add(f"[|system|]{system or ''}[|endofturn|]\n", False)
    for i, (q, a) in enumerate(turns):
        add(("\n" if i else "") + f"[|user|]{q}\n[|assistant|]", False)
        # An answer begins with a letter or a digit: only then do its tokens not depend on
        # whether it is encoded alone, as when generated, or within a longer history.
        assert a[0].isalnum()
        add(a + "[|endofturn|]", True)
    return ids, said


def to_batch(samples):
    """Right-padded inputs, the positions that predict something said, and what is said there."""
    width = max(len(ids) for ids, _ in samples) - 1
    x = torch.full((len(samples), width), bpe.PAD)
    keep = torch.zeros(len(samples), width, dtype=torch.bool)
    for r, (ids, said) in enumerate(samples):
        x[r, :len(ids) - 1] = torch.tensor(ids[:-1])
        keep[r, :len(ids) - 1] = torch.tensor(said[1:])
    return x, keep, torch.tensor([t for ids, said in samples for t, s in zip(ids[1:], said[1:]) if s])


def by_length(samples, batch_tokens):
    """Cuts samples into batches of about batch_tokens positions, of nearly equal lengths."""
    samples, batch, out = sorted(samples, key=lambda s: len(s[0])), [], []
    for s in samples:
        if batch and (len(batch) + 1) * len(s[0]) > batch_tokens:
            out.append(batch)
            batch = []
        batch.append(s)
    return out + [batch]


def batches(tok, seed, batch_tokens, long):
    """An endless stream of fresh conversations."""
    rng = random.Random(seed)
    while True:
        pool = by_length([tokenize(tok, *data.conversation(rng, long)) for _ in range(6000)], batch_tokens)
        rng.shuffle(pool)
        for samples in pool:
            yield to_batch(samples)


# --------------------------------------------------------------------------- training

def train(tok, steps, model=None, long=False, seed=1, batch_tokens=2048, peak=2e-3, threads=2, checkpoint=None, every=500, log=print):
    """Trains a new model, or the given one further."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    model = model or Exaone(CONFIG)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    norms = [p for p in model.parameters() if p.dim() == 1]
    opt = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}],
                            lr=peak, betas=(0.9, 0.98))
    warmup, start, mean = 100, time.time(), None
    stream = batches(tok, seed, batch_tokens, long)
    for step in range(1, steps + 1):
        cosine = 0.5 * (1 + math.cos(math.pi * max(0, step - warmup) / max(1, steps - warmup)))
        for g in opt.param_groups:
            g["lr"] = peak * min(step / warmup, 0.01 + 0.99 * cosine)
        x, keep, y = next(stream)
        loss = F.cross_entropy(model(x, keep), y)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 50 == 0:
            log(f"step {step}/{steps} loss {mean:.4f} {time.time() - start:.0f}s")
        if checkpoint and (step % every == 0 or step == steps):
            checkpoint(model, step)
    return model


# --------------------------------------------------------------------------- checking

@torch.no_grad()
def evaluate(model, tok, cases):
    """Which cases a greedy decoder answers exactly, end of turn included. Feeding the expected
    answer and asking for every argmax to agree says the same, in one pass."""
    right = [False] * len(cases)
    samples = []
    for i, case in enumerate(cases):
        prompt, answer = tok.encode(data.render(case["messages"])), tok.encode(case["answer"] + "[|endofturn|]")
        samples.append((prompt + answer, [False] * len(prompt) + [True] * len(answer), i))
    for batch in by_length(samples, 4096):
        x, keep, y = to_batch([s[:2] for s in batch])
        hit = model(x, keep).argmax(-1) == y
        for (_, said, i), part in zip(batch, hit.split([sum(s[1]) for s in batch])):
            right[i] = bool(part.all())
    return right


@torch.no_grad()
def answer(model, tok, messages, limit=64):
    ids = tok.encode(data.render(messages))
    start = len(ids)
    while len(ids) - start < limit:
        keep = torch.zeros(1, len(ids), dtype=torch.bool)
        keep[0, -1] = True
        ids.append(int(model(torch.tensor([ids]), keep).argmax()))
        if ids[-1] == bpe.END_OF_TURN:
            break
    return tok.decode(ids[start:])


# --------------------------------------------------------------------------- safetensors

def save(model, path):
    """Writes bfloat16 safetensors: length, JSON header padded to 8 bytes, tensors back to back."""
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, t in model.state_dict().items():
        blob = bytes(t.bfloat16().view(torch.int16).numpy().astype("<i2").tobytes())
        header[name] = {"dtype": "BF16", "shape": list(t.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + b"".join(blobs))


def load(path):
    raw = open(path, "rb").read()
    (n,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + n])
    header.pop("__metadata__")
    model = Exaone(CONFIG)
    tensors = {}
    for name, h in header.items():
        a, b = h["data_offsets"]
        tensors[name] = torch.frombuffer(bytearray(raw[8 + n + a:8 + n + b]), dtype=torch.bfloat16).float().view(h["shape"])
    model.load_state_dict(tensors)
    return model
