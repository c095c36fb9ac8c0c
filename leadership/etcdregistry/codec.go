package etcdregistry

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"

	"github.com/tenure-go/tenure/leadership"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

const recordFormat = "tenure-registry-1"

// envelope is the value of the record's key. The version is not in it: it is the mod
// revision of the key.
type envelope struct {
	Format string `json:"format"`
	// Write tells one Swap from every other, so that it knows its own value again.
	Write  string            `json:"write"`
	Record leadership.Record `json:"record"`
}

// encodeRecord refuses what would not be read back as it is: it must not take the
// place of a record that is.
func encodeRecord(r leadership.Record) (string, error) {
	r.Version = 0
	e := envelope{Format: recordFormat, Write: rand.Text(), Record: r}
	b, err := json.MarshalIndent(e, "", " ")
	if err == nil {
		_, err = decodeEnvelope(b)
	}
	if err != nil {
		return "", &leadership.TransitionError{Step: "store this record", Reason: "it would not be read back as it is: " + err.Error()}
	}
	return string(b), nil
}

// decodeEnvelope takes only the exact bytes that encodeRecord makes.
func decodeEnvelope(b []byte) (leadership.Record, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return leadership.Record{}, err
	}
	again, err := json.MarshalIndent(e, "", " ")
	switch {
	case err != nil:
		return leadership.Record{}, err
	case e.Format != recordFormat:
		return leadership.Record{}, errors.New("it is not in the format " + recordFormat)
	case e.Write == "" || e.Record.Version != 0 || !bytes.Equal(again, b):
		return leadership.Record{}, errors.New("it is not in canonical form")
	}
	return e.Record, e.Record.Validate()
}

// decodeRecord returns the record that a key holds, the zero Record for no key, or a
// *leadership.CorruptError.
func decodeRecord(kv *mvccpb.KeyValue) (leadership.Record, error) {
	if kv == nil {
		return leadership.Record{}, nil
	}
	r, err := decodeEnvelope(kv.Value)
	if err != nil {
		return leadership.Record{}, corrupt(kv, err)
	}
	r.Version = uint64(kv.ModRevision)
	return r, nil
}

// decodeRecord is the same, and remembers the newest; of two of one revision, of which an
// etcd that was restored from a copy can have made the other, the one that was read last.
func (c *Client) decodeRecord(kv *mvccpb.KeyValue) (leadership.Record, error) {
	rec, err := decodeRecord(kv)
	if err != nil || kv == nil {
		return rec, err
	}
	for old := c.last.Load(); old == nil || old.ModRevision <= kv.ModRevision; old = c.last.Load() {
		if c.last.CompareAndSwap(old, kv) {
			break
		}
	}
	return rec, nil
}

func corrupt(kv *mvccpb.KeyValue, why error) error {
	return &leadership.CorruptError{Path: "etcd:" + string(kv.Key), Reason: why.Error()}
}
