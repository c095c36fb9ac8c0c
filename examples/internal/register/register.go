// Package register is what the histories of clients of a key-value store are
// checked against: single keys, read and written.
package register

import (
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"
)

// Access is the input of an operation; its output is the value that was read.
type Access struct {
	Key, Value string
	Write      bool
}

// Model returns the model of keys that are empty at first, each checked by
// itself.
func Model() porcupine.Model {
	return porcupine.Model{
		Partition: byKey,
		Init:      func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			in := input.(Access)
			if in.Write {
				return true, in.Value
			}
			return output.(string) == state.(string), state
		},
	}
}

func byKey(h []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, o := range h {
		k := o.Input.(Access).Key
		parts[k] = append(parts[k], o)
	}
	out := make([][]porcupine.Operation, 0, len(parts))
	for _, k := range slices.Sorted(maps.Keys(parts)) {
		out = append(out, parts[k])
	}
	return out
}
