"""A byte-level BPE tokenizer with EXAONE's pipeline: its trainer, its encoder, its tokenizer.json.

NFKC, then every digit on its own, then the GPT-2 splitting pattern, then merges over bytes.
"""
import collections
import heapq
import json
import re
import unicodedata

# EXAONE 3 puts its added tokens first and ends turns with the last of them. [|system|], [|user|]
# and [|assistant|] are ordinary text there, and so they are here.
ADDED = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "[|endofturn|]"]
PAD, BOS, END_OF_TURN = 0, 1, 4

# Python's \w and \d are not quite \p{L} and \p{N}, but agree on Hangul, Latin and ASCII, and
# digits never get here (see words).
PATTERN = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    table = {b: chr(b) for b in printable}
    table.update({b: chr(256 + i) for i, b in enumerate(others)})
    return table


ALPHABET = byte_alphabet()
BYTE_OF = {c: b for b, c in ALPHABET.items()}
CUT = re.compile("(" + "|".join(re.escape(t) for t in ADDED) + ")")


def words(text):
    """Splits normalized text without added tokens into the pieces that merges may not cross."""
    for piece in re.split(r"(\d)", text):
        if piece.isdigit():
            yield piece
        elif piece:
            yield from PATTERN.findall(piece)


def to_alphabet(word):
    return "".join(ALPHABET[b] for b in word.encode())


class Tokenizer:
    def __init__(self, merges):
        self.merges = merges
        tokens = ADDED + sorted(ALPHABET.values()) + [a + b for a, b in merges]
        self.tokens = tokens
        self.ids = {t: i for i, t in enumerate(tokens)}
        self.rank = {pair: i for i, pair in enumerate(merges)}
        self.cache = {}

    def encode_word(self, word):
        if word not in self.cache:
            parts = list(to_alphabet(word))
            while len(parts) > 1:
                best = min(zip(parts, parts[1:]), key=lambda p: self.rank.get(p, 1 << 30))
                if best not in self.rank:
                    break
                parts = merge(parts, best)
            self.cache[word] = [self.ids[p] for p in parts]
        return self.cache[word]

    def encode(self, text):
        out = []
        for part in CUT.split(text):
            if part in ADDED:
                out.append(self.ids[part])
            else:
                for w in words(unicodedata.normalize("NFKC", part)):
                    out += self.encode_word(w)
        return out

    def decode(self, ids):
        data = bytearray()
        for i in ids:
            if i >= len(ADDED):
                data += bytes(BYTE_OF[c] for c in self.tokens[i])
        return data.decode("utf-8", "replace")

    def save(self, path):
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        json.dump({
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [added_token(t, id=i, special=True) for i, t in enumerate(ADDED)],
            "normalizer": {"type": "NFKC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
            "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "vocab": self.ids, "merges": [" ".join(p) for p in self.merges]},
        }, open(path, "w", encoding="utf-8"), ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def load(path):
        model = json.load(open(path, encoding="utf-8"))["model"]
        return Tokenizer([tuple(m.split(" ")) for m in model["merges"]])


def added_token(content, **more):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, **more}


def merge(parts, pair):
    out, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return out


def train(texts, vocab_size):
    """Learns merges, most frequent pair first, the smaller pair on a tie."""
    freq = collections.Counter()
    for text in texts:
        for part in CUT.split(text):
            if part not in ADDED:
                freq.update(words(unicodedata.normalize("NFKC", part)))
    split = {w: list(to_alphabet(w)) for w in freq}
    count, where = collections.Counter(), collections.defaultdict(set)
    for w, parts in split.items():
        for pair in zip(parts, parts[1:]):
            count[pair] += freq[w]
            where[pair].add(w)
    heap = [(-n, p) for p, n in count.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(ADDED) + 256 + len(merges) < vocab_size:
        n, pair = heapq.heappop(heap)
        if count[pair] != -n or n == 0:
            continue                      # an outdated entry; the current one is in the heap too
        merges.append(pair)
        changed = set()
        for w in where.pop(pair):
            old = split[w]
            new = split[w] = merge(old, pair)
            for p in zip(old, old[1:]):
                count[p] -= freq[w]
                changed.add(p)
            for p in zip(new, new[1:]):
                count[p] += freq[w]
                where[p].add(w)
                changed.add(p)
        for p in changed:
            if count[p] > 0:
                heapq.heappush(heap, (-count[p], p))
    return Tokenizer(merges)
