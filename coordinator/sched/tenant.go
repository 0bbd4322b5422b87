package sched

// tenant is an account: tokens computed for its sequences, once each. What a
// preemption makes necessary again and what the prefix cache spared are free.
type tenant struct {
	name   string
	served uint64
	live   int // unfinished sequences
}

// tenants are the accounts of one scheduler.
type tenants struct {
	byName map[string]*tenant
	live   int // with unfinished sequences
	// base is what an account would hold had its tenant had an equal share of all
	// that was served, all the time. Who was idle starts there: no credit is saved
	// up, and none who waits is overtaken by newcomers for ever, since they start
	// higher and higher.
	base uint64
	rest uint64 // tokens served that are not in base yet, less than live
}

// rememberedTenants bounds the accounts kept of idle tenants: names come from
// clients. When they are forgotten, each gains at most what it was ahead by.
const rememberedTenants = 1024

func newTenants() tenants { return tenants{byName: map[string]*tenant{}} }

// join counts one more unfinished sequence for a tenant.
func (ts *tenants) join(name string) *tenant {
	t := ts.byName[name]
	if t == nil {
		t = &tenant{name: name}
		ts.byName[name] = t
	}
	if t.live == 0 {
		t.served = max(t.served, ts.base)
		ts.live++
	}
	t.live++
	return t
}

// leave counts one less. An account that is idle and not ahead says nothing.
func (ts *tenants) leave(t *tenant) {
	if t.live--; t.live > 0 {
		return
	}
	ts.live--
	switch {
	case ts.live == 0: // nobody is kept waiting: all begin anew
		clear(ts.byName)
		ts.base, ts.rest = 0, 0
	case t.served <= ts.base:
		delete(ts.byName, t.name)
	case len(ts.byName)-ts.live > rememberedTenants:
		for name, t := range ts.byName {
			if t.live == 0 {
				delete(ts.byName, name)
			}
		}
	}
}

// charge accounts for q's positions up to end.
func (ts *tenants) charge(q *sequence, end int) {
	if end <= q.charged {
		return
	}
	n := uint64(end - q.charged)
	q.charged = end
	q.tenant.served += n
	ts.rest += n
	ts.base += ts.rest / uint64(ts.live)
	ts.rest %= uint64(ts.live)
}
