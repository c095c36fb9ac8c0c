package leadershiptest

import (
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"maps"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"pgregory.net/rapid"
)

// toyFiles is a disk of named files whose machine can lose power: then what was
// not synced is gone, and of a file that was being written the first half stays.
type toyFiles struct {
	mu     sync.Mutex // guards what follows; taken by every call of the store
	synced map[string]string
	cached map[string]string
	// left counts down the steps to a crash; none comes below zero.
	left int
	dead bool
}

var errToyPower = errors.New("toy: no power")

// step reports whether the power is still on.
func (d *toyFiles) step() bool {
	if d.left == 0 {
		d.dead = true
	}
	d.left--
	return !d.dead
}

func (d *toyFiles) write(name, text string) error {
	if !d.step() {
		// Half of it got to the disk.
		d.synced[name] = text[:len(text)/2]
		return errToyPower
	}
	d.cached[name] = text
	return nil
}

func (d *toyFiles) sync(name string) error {
	if !d.step() {
		return errToyPower
	}
	d.synced[name] = d.cached[name]
	return nil
}

// rename is durable at once, as in a journal: that the content was synced
// before is up to the caller.
func (d *toyFiles) rename(from, to string) error {
	if !d.step() {
		return errToyPower
	}
	d.cached[to], d.synced[to] = d.cached[from], d.synced[from]
	delete(d.cached, from)
	delete(d.synced, from)
	return nil
}

// toyStore keeps a record on toyFiles in the usual way. broke names what it
// does wrong.
type toyStore struct {
	d     *toyFiles
	broke string
	last  *acceptor.State // of a store that keeps it in memory
	busy  atomic.Bool     // of one that drops what comes at the same time
}

func (s *toyStore) is(broke string) bool { return s.broke == broke }

func seal(b []byte) string {
	return strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 16) + "\n" + string(b)
}

func (s *toyStore) Load(ctx context.Context) (acceptor.State, bool, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if ctx.Err() != nil {
		if s.is("Load says none when its context has ended") {
			return acceptor.State{}, false, nil
		}
		return acceptor.State{}, false, ctx.Err()
	}
	if s.last != nil {
		return *s.last, true, nil
	}
	text, ok := s.d.cached["record"]
	if !ok {
		return acceptor.State{}, s.is("an empty store holds a record"), nil
	}
	sum, body, _ := strings.Cut(text, "\n")
	var got acceptor.State
	err := json.Unmarshal([]byte(body), &got)
	if sealed := seal([]byte(body)); err != nil || !strings.HasPrefix(sealed, sum+"\n") && !s.is("the checksum is not looked at") {
		if s.is("damage passes for an empty store") {
			return acceptor.State{}, false, nil
		}
		if s.is("damage is a plain error") {
			return acceptor.State{}, false, errors.New("toy: damaged")
		}
		return acceptor.State{}, false, &leadership.CorruptError{Path: "record", Reason: "damaged"}
	}
	if s.is("the floor is forgotten") {
		got.Floor = leadership.Position{}
	}
	if s.is("the incarnation is cut") {
		got.Incarnation = got.Incarnation[:min(len(got.Incarnation), 64)]
	}
	return got, true, nil
}

func (s *toyStore) Save(ctx context.Context, next acceptor.State) error {
	if ctx.Err() != nil && s.is("a cancelled Save says that it was not executed") {
		_ = s.Save(context.WithoutCancel(ctx), next)
		return toyRefusal("cancelled")
	}
	if ctx.Err() != nil {
		if s.is("a cancelled Save succeeds without writing") {
			return nil
		}
		return ctx.Err()
	}
	if s.is("a Save is dropped while another runs") {
		if !s.busy.CompareAndSwap(false, true) {
			return nil
		}
		defer s.busy.Store(false)
		for range 20 {
			runtime.Gosched()
		}
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if text := s.d.cached["record"]; text != "" && s.is("zero fields are left as they were") {
		var was acceptor.State
		_, body, _ := strings.Cut(text, "\n")
		if err := json.Unmarshal([]byte(body), &was); err != nil {
			return err
		}
		if next.Floor.IsZero() {
			next.Floor = was.Floor
		}
	}
	body, err := json.Marshal(next)
	if err != nil {
		return err
	}
	text := seal(body)
	switch {
	case s.is("the record is only in memory"):
		s.last = &next
		return nil
	case s.is("the record is written in place"):
		return errors.Join(s.d.write("record", text), s.d.sync("record"))
	case s.is("the record is removed first"):
		delete(s.d.synced, "record")
		if !s.d.step() {
			return errToyPower
		}
	}
	if err := s.d.write("temp", text); err != nil {
		return err
	}
	if !s.is("the content is not synced before the rename") {
		if err := s.d.sync("temp"); err != nil {
			return err
		}
	}
	return s.d.rename("temp", "record")
}

// toyCase returns what Store gets of a toy.
func toyCase(tb rapid.TB, broke string) storeCase {
	return storeCase{tb: tb, disk: func() Disk {
		d := &toyFiles{synced: map[string]string{}, cached: map[string]string{}, left: -1}
		open := func() (acceptor.Store, error) {
			d.cached, d.left, d.dead = maps.Clone(d.synced), -1, false
			if text, ok := d.cached["record"]; ok && text == "" {
				delete(d.cached, "record") // nothing of it was ever synced
			}
			return &toyStore{d: d, broke: broke}, nil
		}
		return Disk{
			Open: open,
			Crash: func(n int, next acceptor.State) bool {
				s, _ := open()
				d.left = n
				return s.Save(context.Background(), next) != nil
			},
			Corrupt: func(n int) bool {
				text := d.synced["record"]
				if n >= len(text)/4 {
					return false
				}
				b := []byte(text)
				b[4*n] ^= 1
				d.synced["record"] = string(b)
				return true
			},
			Concurrent: true,
		}
	}}
}

func TestAStoreThatKeepsItsContractPasses(t *testing.T) {
	t.Parallel()
	Store(t, func(t *testing.T) Disk { return toyCase(t, "").disk() })
}

// The names of the checks that find each way to break a store.
func TestEveryWayToBreakAStoreIsFound(t *testing.T) {
	t.Parallel()
	for broke, by := range map[string]string{
		"an empty store holds a record":                  "empty",
		"the floor is forgotten":                         "fields",
		"zero fields are left as they were":              "replace",
		"the incarnation is cut":                         "limits",
		"the record is only in memory":                   "durable",
		"the content is not synced before the rename":    "durable",
		"Load says none when its context has ended":      "cancel",
		"a cancelled Save says that it was not executed": "cancel",
		"a cancelled Save succeeds without writing":      "cancel",
		"the record is written in place":                 "crash",
		"the record is removed first":                    "crash",
		"damage passes for an empty store":               "corrupt",
		"damage is a plain error":                        "corrupt",
		"the checksum is not looked at":                  "corrupt",
	} {
		t.Run(broke, func(t *testing.T) {
			t.Parallel()
			var found []string
			for _, c := range storeChecks {
				if c.name == "model" || c.name == "concurrent" {
					continue // they fail the test that runs them, or race
				}
				err := c.check(toyCase(t, broke))
				var skip inapplicable
				if err != nil && !errors.As(err, &skip) {
					found = append(found, c.name)
					if c.name == by {
						t.Logf("%s: %v", c.rule, err)
					}
				}
			}
			if !strings.Contains(strings.Join(found, " "), by) {
				t.Errorf("the check %q did not find it, only %q", by, found)
			}
			walked := false
			for seed := 1; !walked && seed <= 100; seed++ {
				walk := rapid.Custom(func(rt *rapid.T) error {
					o, err := toyCase(t, broke).open()
					if err != nil {
						return err
					}
					return storeWalk(rt, o)
				})
				walked = walk.Example(seed) != nil
			}
			t.Logf("found by %q, by a random walk: %v", found, walked)
		})
	}
}

func TestASaveThatIsDroppedBesideAnotherIsFound(t *testing.T) {
	t.Parallel()
	for range 200 {
		if err := storeConcurrent(toyCase(t, "a Save is dropped while another runs")); err != nil {
			return
		}
	}
	t.Error("200 runs of the check did not find it")
}
