package pgnode

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// parseHistory reads a timeline history file, as TIMELINE_HISTORY returns it for
// the timeline tli, into eras without terms. Each of its lines names a parent and
// where it was left: "1\t0/3000148\tno recovery target specified".
func parseHistory(tli uint32, text string) ([]Era, error) {
	var es []Era
	var begin LSN
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			return nil, textError("timeline history", line, `want "TIMELINE LSN REASON"`)
		}
		n, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil || n == 0 {
			return nil, textError("timeline history", line, "the timeline is not a number above 0")
		}
		es = append(es, Era{Timeline: uint32(n), Begin: begin})
		if begin, err = ParseLSN(f[1]); err != nil {
			return nil, err
		}
	}
	es = append(es, Era{Timeline: tli, Begin: begin})
	if err := checkEras(es); err != nil {
		return nil, err
	}
	return es, nil
}

// nameEras gives the timelines of a log the terms that are known of them: from
// the last marker in that log, which states them for all that precede it, from
// what the node noted, and, for the newest alone, from whom the node last
// accepted. A timeline that matches none stays without a term.
func nameEras(es []Era, marked, noted []Era, last leadership.Leadership) []Era {
	es = slices.Clone(es)
	find := func(in []Era, e Era) (leadership.Term, bool) {
		for _, k := range in {
			if k.Timeline == e.Timeline && k.Begin == e.Begin {
				return k.Term, true
			}
		}
		return leadership.Term{}, false
	}
	var high leadership.Term
	for i, e := range es {
		t, found := find(marked, e)
		if !found && i >= len(marked) {
			t, found = find(noted, e)
		}
		newest := i == len(es)-1 && i >= len(marked)
		// One that was there when last was accepted is of nobody that came with it.
		if !found && newest && high.Less(last.Term) {
			t = last.Term
		}
		if !high.Less(t) {
			t = leadership.Term{} // it cannot be: terms rise
		}
		es[i].Term = t
		high = leadership.MaxTerm(high, t)
	}
	return es
}

// eraText is the form in which a marker states the eras of its log.
func eraText(es []Era) string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.String()
	}
	return strings.Join(parts, ",")
}

func parseEras(s string) ([]Era, error) {
	var es []Era
	for part := range strings.SplitSeq(s, ",") {
		e, err := parseEra(part)
		if err != nil {
			return nil, err
		}
		es = append(es, e)
	}
	return es, checkEras(es)
}
