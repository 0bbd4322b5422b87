// Package lineedit reads lines from a terminal, with an editor that knows wide
// characters: the cursor, Backspace and the arrow keys act on what a reader
// sees as one character (a Hangul syllable, an emoji with its joiners, a letter
// with its accents), and columns are counted as terminals count them.
//
// Its core is pure. A decoder turns bytes into Keys; an editor turns Keys into a
// text and a cursor; layout turns these into the rows of a frame. Terminal alone
// does input and output.
//
// It owns the terminal's mode while it is open. It never writes to disk: history
// lasts as long as the Terminal.
//
// Characters are the grapheme clusters of https://unicode.org/reports/tr29/.
package lineedit
