package buffer

// keyed are the requests of one ordering key: at most one of them is being
// served, one is the first of those that wait, and the rest is behind it. It
// exists while a request of the key is held, those released and not yet
// answered included, so that there are never more than requests held.
type keyed struct {
	name    string
	serving *waiter // released, and not yet answered or put back
	head    *waiter
	rest    order
	refs    int // waiters whose key it is
	next    *keyed
}

// spareKeys caps how much a lane keeps of a crowd of keys that has gone.
const spareKeys = 1024

// attach makes w one of its key. No allocation once as many keys were seen.
func (q *line) attach(w *waiter, name string) {
	if w.key != nil || name == "" {
		return
	}
	k := q.keys[name]
	if k == nil {
		if k = q.spare; k != nil {
			q.spare = k.next
			q.spares--
		} else {
			k = &keyed{}
			k.rest.init()
		}
		k.name, k.next = name, nil
		if q.keys == nil {
			q.keys = map[string]*keyed{}
		}
		q.keys[name] = k
		q.crowded = q.crowded || len(q.keys) > spareKeys
	}
	k.refs++
	w.key = k
}

// detach ends w's part in its key: the next of it may be served.
func (q *line) detach(w *waiter) {
	k := w.key
	w.key = nil
	if k.serving == w {
		q.unserve(k)
	}
	if k.refs--; k.refs > 0 {
		return
	}
	delete(q.keys, k.name)
	if q.spares < spareKeys {
		k.name, k.next, q.spare = "", q.spare, k
		q.spares++
	}
	if len(q.keys) == 0 && q.crowded {
		q.keys, q.crowded = nil, false // maps do not shrink
	}
}

func (q *line) unserve(k *keyed) {
	k.serving = nil
	if k.head != nil {
		q.busy.remove(k.head)
		q.put(k.head)
	}
}

func (q *line) insertKeyed(w *waiter) {
	k := w.key
	if k.serving == w {
		q.unserve(k)
	}
	switch {
	case k.head == nil:
		k.head = w
		q.put(w)
	case w.seq < k.head.seq:
		q.drop(k.head)
		k.rest.insert(k.head)
		k.head = w
		q.put(w)
	default:
		k.rest.insert(w)
	}
}
