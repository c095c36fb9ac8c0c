package leadershiptest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// storeHistory is what one node saves in its life, in order.
func storeHistory() []acceptor.State {
	at := func(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c1"} }
	s := acceptor.State{Node: "n1", Incarnation: "d1"}
	out := []acceptor.State{s}
	s.Promised = at(3)
	out = append(out, s)
	s.Source = leadership.Leadership{Leader: "n2", Term: at(3)}
	out = append(out, s)
	s.Floor = leadership.Position{Term: at(2), Point: leadership.LogPoint{Index: 12, Eras: []leadership.Era{{Term: at(1), First: 1}, {Term: at(2), First: 9}}}}
	out = append(out, s)
	s.Promised, s.Source = at(4), leadership.Leadership{}
	out = append(out, s)
	s.Floor = leadership.Position{}
	out = append(out, s)
	// The same again, as a retry of a Save whose answer was lost.
	return append(out, s)
}

// filled returns a record with every field set to the n-th of some values.
func filled(n int) (acceptor.State, error) {
	var s acceptor.State
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if err := fill(v.Field(i), name, n); err != nil {
			return s, err
		}
		if v.Field(i).IsZero() {
			return s, fmt.Errorf("the kit left State.%s zero", name)
		}
	}
	s.Source.Term = s.Promised
	return s, s.Validate()
}

// fill sets v to the n-th value of its type. A type that it does not know is an
// error: a new field of State must not go unchecked.
func fill(v reflect.Value, name string, n int) error {
	term := leadership.Term{Num: 7 + uint64(n), Proposer: fmt.Sprintf("c%d-x", n)}
	switch v.Interface().(type) {
	case leadership.NodeID:
		v.SetString(fmt.Sprintf("node-%d.%s", n, strings.ToLower(name)))
		return nil
	case leadership.Term:
		v.Set(reflect.ValueOf(term))
		return nil
	case leadership.Position:
		points := []leadership.Point{
			leadership.LogPoint{Index: 12},
			leadership.LogPoint{Index: 1 << 40, Eras: []leadership.Era{{Term: term, First: 3}}},
			nil,
		}
		v.Set(reflect.ValueOf(leadership.Position{Term: term, Point: points[n%len(points)]}))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("%s %d", name, n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(n) + 5)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n) + 5)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+n%2, 1+n%2))
		for i := range v.Len() {
			if err := fill(v.Index(i), name, n+i); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() {
				return fmt.Errorf("the kit has no value for %s.%s", name, f.Name)
			}
			if err := fill(v.Field(i), f.Name, n); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("the kit has no value for %s of the type %s", name, v.Type())
	}
	return nil
}

func storeFields(c storeCase) error {
	for n := range 3 {
		want, err := filled(n)
		if err != nil {
			return err
		}
		o, err := c.open()
		if err != nil {
			return err
		}
		if err := errors.Join(o.save(want), o.holds(want), o.reopen()); err != nil {
			return err
		}
		if err := o.holds(want); err != nil {
			return fmt.Errorf("opened again: %w", err)
		}
	}
	return nil
}

// storeLimits saves what is allowed and rare.
func storeLimits(c storeCase) error {
	base := acceptor.State{Node: "n1", Incarnation: "d1", Promised: leadership.Term{Num: 2, Proposer: "c"}}
	highest := leadership.Term{Num: leadership.MaxTermNum, Proposer: strings.Repeat("z", 20)}
	var eras []leadership.Era
	for i := range uint64(200) {
		eras = append(eras, leadership.Era{Term: leadership.Term{Num: i + 1, Proposer: "c"}, First: i + 1})
	}
	var gtid, none leadership.Position
	if err := errors.Join(gtid.UnmarshalText([]byte("7.c@gtid:0-1-5,1-2-9:x@")), none.UnmarshalText([]byte("7.c@gtid:"))); err != nil {
		return err
	}
	for name, edit := range map[string]func(*acceptor.State){
		"the longest node name":         func(s *acceptor.State) { s.Node = leadership.NodeID(strings.Repeat("n", 63)) },
		"the longest incarnation":       func(s *acceptor.State) { s.Incarnation = strings.Repeat("i", 256) },
		"an incarnation of odd letters": func(s *acceptor.State) { s.Incarnation = "\"a\\b\"\n\t<&>\u2028é\x00\x7f'; --" },
		"an incarnation of blanks":      func(s *acceptor.State) { s.Incarnation = "  " },
		"the highest term": func(s *acceptor.State) {
			s.Promised = highest
			s.Source = leadership.Leadership{Leader: "n2", Term: highest}
		},
		"a floor of many eras": func(s *acceptor.State) {
			s.Floor = leadership.Position{Term: eras[199].Term, Point: leadership.LogPoint{Index: 1<<64 - 1, Eras: eras}}
		},
		"a floor of another engine":        func(s *acceptor.State) { s.Floor = gtid },
		"a floor of another engine, empty": func(s *acceptor.State) { s.Floor = none },
	} {
		o, err := c.open()
		if err != nil {
			return err
		}
		want := base
		edit(&want)
		first := acceptor.State{Node: want.Node, Incarnation: want.Incarnation}
		if err := want.Validate(); err != nil {
			return fmt.Errorf("the kit's own record with %s: %w", name, err)
		}
		before := []acceptor.State{first}
		if err := o.save(first); err != nil {
			before = nil // refused: then there is none
		}
		err = o.save(want)
		if rerr := o.reopen(); rerr != nil {
			return rerr
		}
		switch {
		case err == nil:
			err = o.holds(want)
		case before == nil:
			err = nil
		default:
			err = o.holds(append(before, want)...)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
