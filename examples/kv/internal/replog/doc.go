// Package replog is a log of entries that carry terms, in one append-only file.
//
//	if err := replog.Create(path); err != nil { ... }
//	log, err := replog.Open(path)
//	err = log.Update(func(w *replog.Writer) error {
//		if err := w.Write(w.Last().Index, entries); err != nil { // in the file and readable, not yet durable
//			return err
//		}
//		return w.Sync() // durable: from here on it may be acknowledged
//	})
//
// # Guarantees
//
//   - What Sync returned nil for is there after a crash at any moment.
//   - A conflicting tail and what takes its place are one frame of the file: a
//     crash leaves the old tail or the new one, never neither.
//   - Only what follows the common prefix is ever taken out.
//   - After a failed write or fsync the log takes no more writes: what the
//     kernel did with the pages is not known until the file is read again.
//
// # What it does not guarantee
//
// It does not compact: the file and the entries in memory grow. It cannot tell
// a torn last frame from one that rotted after its fsync; both are cut off.
//
// # Assumptions
//
// An fsync that returned nil is durable. Damage of other frames than the last
// is found by checksums, and is a *leadership.CorruptError that is never
// repaired here.
//
// # State model
//
//	file  = magic salt frame*
//	frame = "KVF1" length crc32c(payload) crc32c(salt, header) payload
//	payload = keep count entry*        the log becomes log[:keep] + entries
//
// # Failure handling
//
// At most one frame is ever written and not yet synced, so only the last frame
// of a file can be torn. Open cuts it off and syncs the cut. A damaged frame
// with a sound one behind it is not a torn write, and keeps the log shut.
package replog
