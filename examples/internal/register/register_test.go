package register_test

import (
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/tenure-go/tenure/examples/internal/register"
)

func TestAReadSeesTheLastWriteOfItsKeyAndOfNoOther(t *testing.T) {
	t.Parallel()
	history := func(read string) []porcupine.Operation {
		return []porcupine.Operation{
			{ClientId: 0, Input: register.Access{Key: "a", Value: "1", Write: true}, Output: "", Call: 1, Return: 2},
			{ClientId: 1, Input: register.Access{Key: "b", Value: "2", Write: true}, Output: "", Call: 3, Return: 4},
			{ClientId: 0, Input: register.Access{Key: "a"}, Output: read, Call: 5, Return: 6},
		}
	}
	for read, want := range map[string]bool{"1": true, "2": false, "": false} {
		if got := porcupine.CheckOperations(register.Model(), history(read)); got != want {
			t.Errorf("a read of %q: %v, want %v", read, got, want)
		}
	}
}
