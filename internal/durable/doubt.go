package durable

import "sync/atomic"

// Doubt remembers that a Replace failed after its rename: what is read from then on
// may be content that a power cut takes back, until Settle has returned nil. The zero
// Doubt has nothing to settle. It is safe for concurrent use.
type Doubt struct{ raised, settled atomic.Uint64 }

// Raise is called when a Replace may have taken effect and did not say so.
func (d *Doubt) Raise() { d.raised.Add(1) }

// Settle makes what is in dir now survive a power cut, if that is in doubt. Whoever
// reads a file there after it has returned nil reads what is on disk.
func (d *Doubt) Settle(dir string) error {
	raised, settled := d.raised.Load(), d.settled.Load()
	if raised == settled {
		return nil
	}
	if err := SyncDir(dir); err != nil {
		return err
	}
	// Unless another call has settled as much, or more.
	d.settled.CompareAndSwap(settled, raised)
	return nil
}
