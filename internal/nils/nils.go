// Package nils finds what is not there.
package nils

import "reflect"

// Is reports whether v is nil or a nil pointer: that of a constructor whose error
// was ignored, or of a function that returns a pointer of its own as an error.
func Is(v any) bool {
	p := reflect.ValueOf(v)
	return !p.IsValid() || p.Kind() == reflect.Pointer && p.IsNil()
}
