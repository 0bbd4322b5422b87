// Package batchfile is OpenAI's batch file format on disk: files of requests,
// which are read and checked as streams, and logs of answers, which are only
// ever appended to, in whole lines that are on the disk before they count. A
// log tells after any crash which requests are answered, so that each can be
// answered exactly once.
//
// It knows nothing of who answers: that is package runner's.
package batchfile
