// Package tokenizer turns text into token ids and back, with the same ids as
// Hugging Face's tokenizers library gives for the same tokenizer.json.
//
// It owns the whole way: added tokens are cut out of the raw text, the rest is
// normalized, split into words and merged by byte-pair encoding; a post-processor
// may add the tokens that begin or end a text. The way back is [Tokenizer.Decode]
// for a finished text and [StreamDecoder] for a text that is still being written:
// it never lets half a character out, and a Hangul syllable is often several tokens.
//
// A tokenizer.json asks for its steps by name. A step, an option or a value that
// this package does not implement makes [Load] fail, naming the file, the place in
// it and the type: a tokenizer that is nearly right gives wrong ids, and no error
// ever after. Two things of the file are left out on purpose, as transformers does
// when it encodes a prompt: "truncation" and "padding".
//
// It never reads the network, keeps no state between calls but a bounded cache of
// words, and a loaded [Tokenizer] is safe for concurrent use.
//
// Byte-pair encoding: Sennrich, Haddow, Birch, https://arxiv.org/abs/1508.07909.
// Its byte-level form: Radford et al., Language Models are Unsupervised Multitask
// Learners (2019).
package tokenizer
