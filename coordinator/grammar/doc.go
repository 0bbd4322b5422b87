// Package grammar makes a model write only what a grammar allows: a JSON schema,
// any JSON object, a regular expression, a list of choices, or an EBNF grammar. It
// compiles each of them into one kind of automaton over bytes, and for each step of
// generation computes which tokens of the vocabulary may come next ([Matcher.Mask]).
//
// # How it works
//
// A grammar is a set of rules. The body of a rule is a deterministic automaton whose
// arcs read a byte or call another rule; a frame of a rule may carry one counter, for
// the length of a string or of an array. What is regular needs no call, so it runs as
// a plain table; calls are for what recurses and for what many places share, such as
// JSON's string. Calls are followed as Earley's algorithm does: a frame remembers all
// the places it may return to, in a graph that positions share, so ambiguity and left
// recursion cost no more than they must.
//
// The vocabulary is a trie over the bytes of its tokens. Bytes, because a token may be
// a part of a Hangul syllable: the automaton knows UTF-8 from the inside and stands in
// the middle of a character as in any other state.
//
// A mask is put together from pieces that depend on one automaton state and not on
// what is below it in the stack: which tokens stay inside the frame, and at which
// places of the trie the frame may end, where the caller's state takes over. Pieces
// are kept, so a step usually is the union of one or two stored bit sets.
//
// A state from which the grammar can't be finished is cut off when it is compiled, so
// every prefix that a [Matcher] accepts can be completed (byte by byte: a vocabulary
// should hold a token for each byte, as byte-level ones do).
//
// # What it never does
//
// It reads no clock and no network, starts no goroutine, and draws nothing at random:
// the same prefix of tokens gives the same mask, always, which replay after a failure
// relies on. A mask may leave out what a grammar allows, where a limit says so; it
// never lets through what the grammar forbids.
//
// Ideas: Earley, An Efficient Context-Free Parsing Algorithm (1970); Scott and
// Johnstone, GLL Parsing (2010); Willard and Louf, Efficient Guided Generation for
// Large Language Models, https://arxiv.org/abs/2307.09702; Dong et al., XGrammar,
// https://arxiv.org/abs/2411.15100, for the split of tokens by what depends on the
// stack.
package grammar
