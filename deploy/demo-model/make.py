#!/usr/bin/env python3
"""Remakes the demo model: python3 make.py all --out model

Steps, each usable alone: tokenizer, heldback, train, lengthen, eval, ask. Needs Python 3.9+ and PyTorch
(any version from 1.13 on, CPU only; with an optimized BLAS it takes about half an hour on two cores).
"""
import argparse
import collections
import json
import os
import random
import sys
import time

sys.dont_write_bytecode = True   # keeps this folder to its sources

import bpe
import data

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}{{ '[|system|][|endofturn|]\\n' }}{% endif %}"
    "{{ '[|' + message['role'] + '|]' + message['content'] }}{% if message['role'] == 'user' %}{{ '\\n' }}"
    "{% else %}{{ '[|endofturn|]\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}")
SPECIAL = {"bos_token": "[BOS]", "eos_token": "[|endofturn|]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
HERE = os.path.dirname(os.path.abspath(__file__))


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, indent=2, sort_keys=True)
        f.write("\n")


def make_tokenizer(out):
    from train import CONFIG
    rng = random.Random(0)
    texts = [data.render(data.messages(*data.conversation(rng))) for _ in range(40000)]
    tok = bpe.train(texts, CONFIG["vocab_size"])
    assert len(tok.tokens) == CONFIG["vocab_size"]
    os.makedirs(out, exist_ok=True)
    tok.save(os.path.join(out, "tokenizer.json"))
    write_json(os.path.join(out, "tokenizer_config.json"), {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(i): bpe.added_token(t, special=True) for i, t in enumerate(bpe.ADDED)},
        **SPECIAL,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": True,
        "model_max_length": CONFIG["max_position_embeddings"],
        "tokenizer_class": "GPT2Tokenizer",
    })
    write_json(os.path.join(out, "special_tokens_map.json"), {k: bpe.added_token(v) for k, v in SPECIAL.items()})
    write_json(os.path.join(out, "config.json"), CONFIG)
    write_json(os.path.join(out, "generation_config.json"), {k: CONFIG[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")})
    return tok


def make_heldback():
    with open(os.path.join(HERE, "heldback.jsonl"), "w", encoding="utf-8") as f:
        for case in data.heldback():
            f.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")


def load(out):
    import train
    return bpe.Tokenizer.load(os.path.join(out, "tokenizer.json")), train.load(os.path.join(out, "model.safetensors"))


def run_training(args, steps, **how):
    import train
    tok = bpe.Tokenizer.load(os.path.join(args.out, "tokenizer.json"))
    weights = os.path.join(args.out, "model.safetensors")
    cases, began = data.heldback(), time.time()

    def checkpoint(model, step):
        train.save(model, weights + ".new")
        os.replace(weights + ".new", weights)
        right = train.evaluate(model, tok, cases)
        print(f"step {step}: held back {sum(right)}/{len(right)} right, {time.time() - began:.0f}s", flush=True)

    train.train(tok, steps, threads=args.threads, checkpoint=checkpoint, every=args.every, log=lambda s: print(s, flush=True), **how)


def report(out, verbose):
    """Accuracy of the exported (bfloat16) weights, on heldback.jsonl and on a larger draw."""
    import train
    tok, model = load(out)
    wide = data.heldback(seed=8, sizes=collections.defaultdict(int, {
        "capital": 400, "sum": 600, "translate": 800, "smalltalk": 60, "unknown": 200,
        "followup_capital": 500, "followup_sum": 300, "followup_translate": 500, "second_topic": 300}))
    small = [json.loads(l) for l in open(os.path.join(HERE, "heldback.jsonl"), encoding="utf-8")]
    for name, cases in ("heldback.jsonl", small), ("larger draw", wide):
        right = train.evaluate(model, tok, cases)
        score = collections.defaultdict(list)
        for case, ok in zip(cases, right):
            score[case["category"]].append(ok)
            score["all"].append(ok)
        print(f"{name}:")
        for category, oks in score.items():
            print(f"  {category:20} {sum(oks):5}/{len(oks):<5} {100 * sum(oks) / len(oks):6.2f} %")
        for case, ok in zip(cases, right):
            if verbose and not ok:
                print("   wrong:", [m["content"] for m in case["messages"]], "->", train.answer(model, tok, case["messages"]))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("step", choices=["all", "tokenizer", "heldback", "train", "lengthen", "eval", "ask"])
    p.add_argument("--out", default=os.path.join(HERE, "model"))
    p.add_argument("--steps", type=int, default=4000)
    p.add_argument("--long-steps", type=int, default=600)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--every", type=int, default=500, help="steps between checkpoints")
    p.add_argument("--verbose", action="store_true", help="eval: print the wrong answers")
    p.add_argument("text", nargs="*", help="ask: the user's turns, answered one after the other")
    args = p.parse_args()

    if args.step in ("all", "tokenizer"):
        make_tokenizer(args.out)
    if args.step in ("all", "heldback"):
        make_heldback()
    if args.step in ("all", "train"):
        run_training(args, args.steps)
    if args.step in ("all", "lengthen"):
        # Most conversations above are short, which is quick. This makes what was learned hold
        # behind twenty turns or a long system prompt, too.
        run_training(args, args.long_steps, model=load(args.out)[1], long=True, seed=2, batch_tokens=4096, peak=6e-4)
    if args.step in ("all", "eval"):
        report(args.out, args.verbose)
    if args.step == "ask":
        import train
        tok, model = load(args.out)
        messages = []
        for text in args.text:
            messages.append({"role": "user", "content": text})
            messages.append({"role": "assistant", "content": train.answer(model, tok, messages)})
            print(">", text)
            print(messages[-1]["content"])


if __name__ == "__main__":
    main()
