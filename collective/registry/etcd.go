package registry

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcdBackend is the backend that talks to etcd.
type etcdBackend struct {
	client *clientv3.Client
}

func (b etcdBackend) close() error { return b.client.Close() }

func (b etcdBackend) get(ctx context.Context, key string) (*entry, error) {
	resp, err := b.client.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(resp.Kvs) == 0 {
		return nil, nil
	}
	e := fromEtcd(resp.Kvs[0])
	return &e, nil
}

func (b etcdBackend) list(ctx context.Context, prefix string) ([]entry, int64, error) {
	resp, err := b.client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, 0, err
	}
	out := make([]entry, len(resp.Kvs))
	for i, kv := range resp.Kvs {
		out[i] = fromEtcd(kv)
	}
	return out, resp.Header.Revision, nil
}

func (b etcdBackend) watch(ctx context.Context, prefix string, from int64) <-chan []event {
	out := make(chan []event)
	// WithRequireLeader: a member cut off from its peers ends the watch instead
	// of staying silent, so that the next one finds another member.
	in := b.client.Watch(clientv3.WithRequireLeader(ctx), prefix, clientv3.WithPrefix(), clientv3.WithRev(from))
	go func() {
		defer close(out)
		for resp := range in {
			if resp.Err() != nil {
				return
			}
			events := make([]event, len(resp.Events))
			for i, e := range resp.Events {
				events[i] = event{entry: fromEtcd(e.Kv), deleted: e.Type == clientv3.EventTypeDelete}
			}
			select {
			case out <- events:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (b etcdBackend) commit(ctx context.Context, when []condition, then ...change) (bool, int64, error) {
	cmps := make([]clientv3.Cmp, len(when))
	for i, c := range when {
		if c.created {
			cmps[i] = clientv3.Compare(clientv3.CreateRevision(c.key), "=", c.revision)
		} else {
			cmps[i] = clientv3.Compare(clientv3.ModRevision(c.key), "=", c.revision)
		}
	}
	ops := make([]clientv3.Op, len(then))
	for i, c := range then {
		if c.delete {
			ops[i] = clientv3.OpDelete(c.key)
		} else {
			ops[i] = clientv3.OpPut(c.key, string(c.value), clientv3.WithLease(clientv3.LeaseID(c.lease)))
		}
	}
	resp, err := b.client.Txn(ctx).If(cmps...).Then(ops...).Commit()
	if err != nil {
		return false, 0, leaseError(err)
	}
	return resp.Succeeded, resp.Header.Revision, nil
}

func (b etcdBackend) grant(ctx context.Context, ttl time.Duration) (leaseID, time.Duration, error) {
	seconds := int64((ttl + time.Second - 1) / time.Second) // etcd counts whole ones
	resp, err := b.client.Grant(ctx, seconds)
	if err != nil {
		return 0, 0, err
	}
	return leaseID(resp.ID), time.Duration(resp.TTL) * time.Second, nil
}

func (b etcdBackend) refresh(ctx context.Context, id leaseID) error {
	_, err := b.client.KeepAliveOnce(ctx, clientv3.LeaseID(id))
	return leaseError(err)
}

func (b etcdBackend) remaining(ctx context.Context, id leaseID) (time.Duration, error) {
	resp, err := b.client.TimeToLive(ctx, clientv3.LeaseID(id))
	if err != nil {
		return 0, leaseError(err)
	}
	if resp.TTL < 0 {
		return 0, errLeaseLost
	}
	return time.Duration(resp.TTL) * time.Second, nil
}

func (b etcdBackend) revoke(ctx context.Context, id leaseID) error {
	_, err := b.client.Revoke(ctx, clientv3.LeaseID(id))
	if err = leaseError(err); errors.Is(err, errLeaseLost) {
		return nil
	}
	return err
}

func leaseError(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return errLeaseLost
	}
	return err
}

func fromEtcd(kv *mvccpb.KeyValue) entry {
	return entry{
		key:            string(kv.Key),
		value:          kv.Value,
		createRevision: kv.CreateRevision,
		modRevision:    kv.ModRevision,
		lease:          leaseID(kv.Lease),
	}
}
