package replog

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/tenure-go/tenure/leadership"
)

const (
	fileMagic  = "tenure-kv-log-1\n"
	frameMagic = "KVF1"
	headerSize = 16
	saltSize   = 8
	// maxFrame bounds what a damaged length could ask for.
	maxFrame = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Create makes an empty log at path, durable before it returns. It returns an
// error satisfying errors.Is(err, fs.ErrExist) when there is a file already.
func Create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	_, err = f.Write(append([]byte(fileMagic), salt...))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the making, renaming and removing of files in dir survive a
// power cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// headSum is the checksum of a frame's header. It depends on the file's salt,
// so that a client cannot store a value that looks like a frame.
func headSum(salt, head []byte) uint32 {
	return crc32.Update(crc32.Checksum(salt, castagnoli), castagnoli, head[:12])
}

// appendFrame appends the frame "log[:keep] + entries" to b.
func appendFrame(b, salt []byte, keep uint64, entries []Entry) []byte {
	at := len(b)
	b = append(b, make([]byte, headerSize)...)
	b = binary.AppendUvarint(b, keep)
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = AppendEntry(b, e)
	}
	head, payload := b[at:at+headerSize], b[at+headerSize:]
	copy(head, frameMagic)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[8:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(head[12:], headSum(salt, head))
	return b
}

// cutFrame returns the payload of the sound frame that b begins with.
func cutFrame(b, salt []byte) (payload, rest []byte, ok bool) {
	if len(b) < headerSize || string(b[:4]) != frameMagic ||
		headSum(salt, b) != binary.LittleEndian.Uint32(b[12:]) {
		return nil, b, false
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n > maxFrame || int(n) > len(b)-headerSize {
		return nil, b, false
	}
	payload, rest = b[headerSize:headerSize+int(n)], b[headerSize+int(n):]
	return payload, rest, crc32.Checksum(payload, castagnoli) == binary.LittleEndian.Uint32(b[8:])
}

// soundFrame reports whether any sound frame begins in b.
func soundFrame(b, salt []byte) bool {
	for {
		i := bytes.Index(b, []byte(frameMagic))
		if i < 0 {
			return false
		}
		if _, _, ok := cutFrame(b[i:], salt); ok {
			return true
		}
		b = b[i+1:]
	}
}

// replay feeds the frames of a file to l and returns how many bytes of it are
// sound. What follows them is a torn write.
func replay(path string, b []byte, l *Log) (sound int64, err error) {
	corrupt := func(at int, reason string) error {
		return &leadership.CorruptError{Path: path, Reason: fmt.Sprintf("at byte %d: %s", at, reason)}
	}
	rest, ok := bytes.CutPrefix(b, []byte(fileMagic))
	if !ok || len(rest) < saltSize {
		return 0, corrupt(0, "it does not begin as a log")
	}
	l.salt, rest = rest[:saltSize:saltSize], rest[saltSize:]
	for len(rest) > 0 {
		at := len(b) - len(rest)
		payload, next, ok := cutFrame(rest, l.salt)
		if !ok {
			if soundFrame(rest[1:], l.salt) {
				return 0, corrupt(at, "a damaged frame with a sound one behind it: not a torn write")
			}
			return int64(at), nil
		}
		keep, entries, err := decodePayload(payload)
		if err == nil {
			err = l.check(keep, entries)
		}
		if err != nil {
			return 0, corrupt(at, err.Error())
		}
		l.publish(keep, entries)
		rest = next
	}
	return int64(len(b)), nil
}

func decodePayload(b []byte) (keep uint64, entries []Entry, err error) {
	if keep, b, err = CutUvarint(b); err != nil {
		return 0, nil, err
	}
	n, b, err := CutUvarint(b)
	if err != nil || n > uint64(len(b)) {
		return 0, nil, errEntry
	}
	entries = make([]Entry, n)
	for i := range entries {
		if entries[i], b, err = CutEntry(b); err != nil {
			return 0, nil, err
		}
	}
	if len(b) > 0 {
		return 0, nil, errEntry
	}
	return keep, entries, nil
}
