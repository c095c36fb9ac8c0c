package acceptor_test

import (
	"os"
	"testing"
	"testing/synctest"

	"github.com/tenure-go/tenure/internal/hostile"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

func TestG10_NothingPanicsWhateverItIsGiven(t *testing.T) {
	here, err := os.Getwd()
	must(t, err)
	dir := t.TempDir()
	t.Chdir(t.TempDir()) // where files of odd names may lie
	synctest.Test(t, func(t *testing.T) {
		file, err := acceptor.OpenFile(dir)
		must(t, err)
		leader := newLeader(t, &memStore{}, 3)
		stream, err := leader.Stream(lead("n1", 3))
		must(t, err)
		token, err := leader.Admit(lead("n1", 3))
		must(t, err)
		hostile.Check(t, hostile.Table{
			Dir:   here,
			Funcs: map[string]any{"Create": acceptor.Create, "Open": acceptor.Open, "OpenFile": acceptor.OpenFile},
			Types: map[string]any{
				"Acceptor":      []any{&acceptor.Acceptor{}, newNode(t, &memStore{}), leader},
				"ArgumentError": &acceptor.ArgumentError{}, "CanceledError": &acceptor.CanceledError{}, "Completion": acceptor.Completion{},
				"ExistsError": &acceptor.ExistsError{}, "FileStore": []any{&acceptor.FileStore{}, (*acceptor.FileStore)(nil), file},
				"GateError": &acceptor.GateError{}, "NoRecordError": &acceptor.NoRecordError{}, "PendingError": &acceptor.PendingError{},
				"ReadError": &acceptor.ReadError{}, "ShortReadingError": &acceptor.ShortReadingError{}, "State": acceptor.State{}, "Stream": []any{acceptor.Stream{}, stream},
				"TwoLeadersError": &acceptor.TwoLeadersError{}, "UnconfirmedError": &acceptor.UnconfirmedError{}, "UnsettledError": &acceptor.UnsettledError{},
			},
			Values: []any{
				&memStore{}, (*acceptor.FileStore)(nil), &acceptor.FileStore{}, file, lead("n1", 3), lead("n1", 4), lead("n2", 5), term(9),
				pos(3, 1), token, acceptor.State{Node: "n1", Incarnation: "d1"}, "d1", acceptor.Minted,
			},
		})
	})
}
