package main

import sullaev1 "github.com/sullae/sullae/proto/sullae/v1"

// samplingFlags choose how tokens are drawn. None of them reads the environment:
// a forgotten variable should not change an answer.
type samplingFlags struct {
	Temperature *float32 `placeholder:"T" env:"-" help:"0 takes the likeliest token always. Default: 0, or 1 where one of the next three flags is given."`
	TopP        *float32 `placeholder:"P" env:"-" help:"Draw from the likeliest tokens whose probability together reaches P."`
	TopK        *int32   `placeholder:"K" env:"-" help:"Draw from the K likeliest tokens."`
	Seed        *uint64  `placeholder:"N" env:"-" help:"The same request with the same seed gives the same tokens."`
}

// message is the flags as the API has them. The command line's default is
// greedy, unlike the API's, so that what a newcomer tries gives the same answer
// each time.
func (f samplingFlags) message() *sullaev1.Sampling {
	t := f.Temperature
	if t == nil && f.TopP == nil && f.TopK == nil && f.Seed == nil {
		t = new(float32)
	}
	return &sullaev1.Sampling{Temperature: t, TopP: f.TopP, TopK: f.TopK, Seed: f.Seed}
}
