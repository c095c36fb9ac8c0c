package pgnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// state is what one look at a server shows.
type state struct {
	point      Point
	last       *marked // the newest marker in the log
	markers    []leadership.Sighting
	recovering bool
	receiving  bool
	paused     bool
	replay     LSN
	receive    LSN // 0 when nothing was received in this life of the server
	waits      string
	started    string
}

// marked is a row of the marker table.
type marked struct {
	leadership.Marker
	Decided bool
	Eras    []Era
}

// look reads what a server is and holds. noted and last name timelines that no
// marker names; a peer's are not known here.
func look(ctx context.Context, s *session, noted []Era, last leadership.Leadership) (state, error) {
	var st state
	id, err := s.row(ctx, "IDENTIFY_SYSTEM")
	if err != nil {
		return st, fmt.Errorf("IDENTIFY_SYSTEM: %w", err)
	}
	if st.point.System, err = strconv.ParseUint(id[0], 10, 64); err != nil {
		return st, err
	}
	tli, err := strconv.ParseUint(id[1], 10, 32)
	if err != nil {
		return st, err
	}
	if st.point.LSN, err = ParseLSN(id[2]); err != nil {
		return st, err
	}
	history := ""
	if tli > 1 {
		h, err := s.row(ctx, fmt.Sprintf("TIMELINE_HISTORY %d", tli))
		if err != nil {
			return st, fmt.Errorf("TIMELINE_HISTORY: %w", err)
		}
		history = h[1]
	}
	es, err := parseHistory(uint32(tli), history)
	if err != nil {
		return st, err
	}
	if err := st.facts(ctx, s); err != nil {
		return st, err
	}
	if err := st.marks(ctx, s); err != nil {
		return st, err
	}
	var known []Era
	if st.last != nil {
		known = st.last.Eras
	}
	st.point.Eras = nameEras(es, known, noted, last)
	if st.recovering && st.settled() {
		// IDENTIFY_SYSTEM counts the bytes that were received. What ends in
		// the middle of a record is dropped by whoever goes on from here.
		st.point.LSN = st.replay
	}
	return st, nil
}

func (st *state) facts(ctx context.Context, s *session) error {
	r, err := s.row(ctx, `SELECT pg_is_in_recovery(),
		coalesce(pg_last_wal_replay_lsn()::text, '0/0'), coalesce(pg_last_wal_receive_lsn()::text, '0/0'),
		(SELECT count(*) FROM pg_stat_wal_receiver),
		coalesce((SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup' LIMIT 1), ''),
		pg_postmaster_start_time()::text,
		CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END`)
	if err != nil {
		return err
	}
	st.recovering, st.receiving, st.waits, st.started, st.paused = r[0] == "t", r[3] != "0", r[4], r[5], r[6] == "t"
	if st.replay, err = ParseLSN(r[1]); err != nil {
		return err
	}
	st.receive, err = ParseLSN(r[2])
	return err
}

// settled reports whether everything that the standby has received is replayed,
// as far as one look can tell. After a restart nothing says how much was received
// before it, so it is the startup process that must say that it found no more.
func (st *state) settled() bool {
	if st.receive == 0 {
		return st.idle()
	}
	return st.receive <= st.replay
}

// fixed reports whether a server is a standby whose log ends where it says until it is
// promoted or pointed at somebody.
func (st *state) fixed() bool { return st.recovering && !st.receiving && !st.paused && st.settled() }

// idle reports whether the startup process has looked for more log everywhere and
// found none: it waits for this before it looks again, and for a stream while one
// may come. That it has done nothing for some time proves nothing.
func (st *state) idle() bool { return st.waits == "RecoveryRetrieveRetryInterval" }

const undefinedTable, undefinedSchema = "42P01", "3F000"

// marks reads the last two markers of the log.
func (st *state) marks(ctx context.Context, s *session) error {
	rows, err := s.rows(ctx, "SELECT marker, decided, eras FROM tenure.marker ORDER BY seq DESC LIMIT 2")
	var pe *pgconn.PgError
	if errors.As(err, &pe) && (pe.Code == undefinedTable || pe.Code == undefinedSchema) {
		return nil // no leadership was ever installed
	}
	if err != nil {
		return err
	}
	for _, r := range slices.Backward(rows) {
		var m marked
		if err := json.Unmarshal([]byte(r[0]), &m.Marker); err != nil {
			return fmt.Errorf("table tenure.marker: %w", err)
		}
		m.Decided = r[1] == "t"
		if m.Eras, err = parseEras(r[2]); err != nil {
			return fmt.Errorf("table tenure.marker: %w", err)
		}
		st.last = &m
		st.markers = append(st.markers, leadership.Sighting{Marker: m.Marker, Decided: m.Decided})
	}
	return nil
}

// look reads the node's own server.
func (o *op) look(ctx context.Context, s *session) (state, error) {
	st, err := look(ctx, s, o.own.Noted, o.own.Last)
	if err != nil {
		return st, err
	}
	if o.own.System == 0 {
		err = o.note(func(l *lineage) { l.System = st.point.System })
	} else if o.own.System != st.point.System {
		err = &leadership.IncarnationError{Node: o.cfg.ID, Want: fmt.Sprint(o.own.System), Got: fmt.Sprint(st.point.System)}
	}
	if err == nil {
		err = o.binds(st.point.term())
	}
	return st, err
}

// settle waits until the fenced server has replayed all that it received, and
// returns where its log then ends: at the last whole record.
//
// What was received is in pg_wal, flushed, and is replayed from there; how much
// that is cannot be read after a restart, and before one it can end in the
// middle of a record, which is never replayed. So the wait is for the startup
// process to have looked for more and found none.
func (o *op) settle(ctx context.Context, s *session) (state, error) {
	var st state
	var at LSN
	looked := false
	err := poll(ctx, 3*time.Millisecond, func() (bool, error) {
		var err error
		if st, err = o.look(ctx, s); err != nil {
			return false, err
		}
		switch {
		case !st.recovering:
			return false, errors.New("it is no standby")
		case st.receiving:
			return false, errors.New("it still receives from somewhere")
		case st.paused:
			return false, s.exec(ctx, "SELECT pg_wal_replay_resume()")
		case st.receive != 0 && st.receive <= st.replay:
			return true, nil
		}
		// One look can have seen the place before the last record was replayed,
		// and the wait after that: the next one sees the end.
		if st.idle() && looked && st.replay == at {
			st.point.LSN = st.replay
			return true, nil
		}
		moved := !looked || st.replay != at
		at, looked = st.replay, st.idle()
		if moved {
			// A reload makes the startup process look again at once.
			return false, s.exec(ctx, "SELECT pg_reload_conf()")
		}
		return false, nil
	})
	return st, err
}

// reading is what a log says of itself.
func (st *state) reading() acceptor.Reading {
	return acceptor.Reading{Position: st.point.position(), Markers: st.markers}
}

// leads reports whether the server is the leader that it was granted to be: in
// the same life, and not in recovery.
func (st *state) leads(l lineage) bool {
	return !st.recovering && !l.Granted.IsZero() && l.Started == st.started
}
