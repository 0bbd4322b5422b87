package chattemplate

import "math"

// globals are the functions that every template can call.
var globals = map[string]value{
	"range":           &function{"range", makeRange},
	"dict":            &function{"dict", func(s *state, a callArgs) value { return dictFrom(s, "dict", a) }},
	"namespace":       &function{"namespace", func(s *state, a callArgs) value { return &namespace{dictFrom(s, "namespace", a)} }},
	"cycler":          &function{"cycler", makeCycler},
	"joiner":          &function{"joiner", makeJoiner},
	"raise_exception": &function{"raise_exception", raiseException},
	"strftime_now":    &function{"strftime_now", strftimeNow},
}

func makeRange(s *state, a callArgs) value {
	args := a.bind("range", "start", "stop?", "step?")
	r := pyRange{step: 1}
	if args[1] == missing {
		r.stop = s.intArg("range", args[0], 0)
	} else {
		r.start, r.stop = s.intArg("range", args[0], 0), s.intArg("range", args[1], 0)
		r.step = s.intArg("range", args[2], 1)
	}
	if r.step == 0 {
		failf("range() arg 3 must not be zero")
	}
	const far = math.MaxInt64 / 4 // so that no difference overflows
	for _, n := range []int64{r.start, r.stop, r.step} {
		if n > far || n < -far {
			failf("range(): %d is too large", n)
		}
	}
	if r.len() > maxRange {
		failf("range too big: the sandbox allows no more than %d items", maxRange)
	}
	return r
}

func raiseException(s *state, a callArgs) value {
	panic(failure{msg: s.str(a.bind("raise_exception", "message")[0]), raised: true})
}

func strftimeNow(s *state, a callArgs) value {
	format := s.strArg("strftime_now", a.bind("strftime_now", "format")[0])
	s.spend(16 * len(format))
	return strftime(s.now(), format)
}

// makeJoiner makes a function that gives nothing the first time and sep after.
func makeJoiner(s *state, a callArgs) value {
	sep := or(a.bind("joiner", "sep?")[0], ", ")
	used := false
	return &function{"joiner", func(s *state, a callArgs) value {
		a.bind("joiner")
		if used {
			return sep
		}
		used = true
		return ""
	}}
}

// makeCycler makes a namespace with next() and reset(), and current.
func makeCycler(s *state, a callArgs) value {
	if len(a.pos) == 0 {
		failf("at least one item has to be provided")
	}
	c := &namespace{newDict()}
	at := 0
	show := func() { c.attrs.set("current", a.pos[at]) }
	show()
	c.attrs.set("next", &function{"next", func(*state, callArgs) value {
		v := a.pos[at]
		at = (at + 1) % len(a.pos)
		show()
		return v
	}})
	c.attrs.set("reset", &function{"reset", func(*state, callArgs) value {
		at = 0
		show()
		return nil
	}})
	return c
}
