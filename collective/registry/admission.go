package registry

import (
	"crypto/subtle"
	"fmt"
)

// Order is what a coordinator tells a worker: to be a rank of an epoch.
type Order struct {
	Group    string
	Epoch    uint64
	Rank     int
	WorkerID string
	Token    []byte // of this epoch
	// PreviousToken is that of the group's epoch before, as the coordinator knows
	// it; empty at its first.
	PreviousToken []byte
}

// Membership is the epoch that a worker was admitted to last; the zero value:
// none.
type Membership struct {
	Group string
	Epoch uint64
	Token []byte
}

// Admit tells whether a worker may obey an order, and returns what it then is a
// member of. gen and err are what it has just read of the group's record in etcd.
//
// Where there is a record, that decides. While etcd is away a worker goes on with
// the coordinator that it works for, and with no other: that one alone knows the
// token of the epoch that the worker was in. Another coordinator, elected where
// this worker can't see it, has none of its workers until it can see etcd again; so
// no two ever drive the same worker. The errors are ErrFenced, and err where etcd
// answered with neither a record nor its absence.
func (m Membership) Admit(o Order, gen Generation, err error) (Membership, error) {
	switch {
	case err == nil:
		err = gen.Admits(o.Epoch, o.Rank, o.WorkerID, o.Token)
	case !Away(err):
	case m.Group != o.Group || o.Epoch <= m.Epoch || len(m.Token) == 0 || subtle.ConstantTimeCompare(m.Token, o.PreviousToken) != 1:
		err = fmt.Errorf("%w: etcd is away, and epoch %d of group %s does not follow one that this worker was in", ErrFenced, o.Epoch, o.Group)
	default:
		err = nil
	}
	if err != nil {
		return m, err
	}
	return Membership{o.Group, o.Epoch, o.Token}, nil
}

// NextUnrecorded is the epoch that a coordinator may form although writing its
// record failed with err: etcd is away, and this coordinator has driven the group
// (last is its last epoch; 0: none), so that its workers know it.
func NextUnrecorded(last uint64, err error) (epoch uint64, ok bool) {
	if last == 0 || !Away(err) {
		return 0, false
	}
	return last + 1, true
}
