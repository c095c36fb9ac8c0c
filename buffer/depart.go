package buffer

// depart hands a waiter whose context ended to the lane, without waiting for
// its lock: when thousands are cancelled at once, the first to come sweeps up
// for all, and the others are gone at once instead of queueing for the lock.
func (l *Lane) depart(w *waiter) {
	for {
		old := l.gone.Load()
		w.link = old
		if l.gone.CompareAndSwap(old, w) {
			if old != nil {
				return // whoever put old there has yet to sweep
			}
			break
		}
	}
	var fx effects
	l.lock()
	l.step(l.b.now(), &fx)
	l.mu.Unlock()
	fx.apply(l)
}

// sweep takes those that departed out of the lane. Everything that counts or
// releases begins with it, so that their part of the caps is there as soon as
// somebody asks. Lane.mu is held; who is the first in the chain steps after.
func (l *Lane) sweep() {
	if l.gone.Load() == nil {
		return
	}
	for w := l.gone.Swap(nil); w != nil; {
		next := w.link
		l.unlist(w)
		l.forget(w)
		l.tally(failCanceled)
		w.used()
		l.pool.Put(w)
		w = next
	}
}
