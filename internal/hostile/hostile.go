// Package hostile calls every exported function and method of a package with the
// arguments that nobody should give: nil, zero, negative, the largest, text that is
// none. None may panic: bad input is refused with a typed error, or ignored.
package hostile

import (
	"cmp"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Table says what a package has to be called with.
type Table struct {
	// Dir is the directory of the package; "" for the working directory.
	Dir string
	// Funcs has each exported function by its name.
	Funcs map[string]any
	// Types has a value of each exported type that has methods, by its name: a
	// zero one, or several, as a slice of any, where others must be tried, too.
	Types map[string]any
	// Values are tried wherever their type is asked for, or an interface that
	// they implement.
	Values []any
	// Skip has the names that are not called, "Type.Method", and why not.
	Skip map[string]string
}

// maxCalls bounds the combinations that are tried of one function.
const maxCalls = 4096

// Check calls all that the package exports. What the
// table does not name fails, so that it is complete. A call that blocks is one
// that its context ends; run Check in a synctest bubble, where that takes no time.
func Check(t *testing.T, tab Table) {
	t.Helper()
	funcs, methods := exported(t, tab.Dir)
	for _, name := range funcs {
		f, ok := tab.Funcs[name]
		switch {
		case tab.Skip[name] != "":
		case !ok:
			t.Errorf("%s is not in the table", name)
		default:
			tab.try(t, name, reflect.ValueOf(f))
		}
	}
	for _, m := range methods {
		typ, name, _ := strings.Cut(m, ".")
		v, ok := tab.Types[typ]
		switch {
		case tab.Skip[m] != "" || tab.Skip[typ] != "":
			continue
		case !ok:
			t.Errorf("type %s, which has the method %s, is not in the table", typ, name)
			continue
		}
		all, many := v.([]any)
		if !many {
			all = []any{v}
		}
		for _, one := range all {
			f := reflect.ValueOf(one).MethodByName(name)
			if !f.IsValid() {
				t.Errorf("%s has no method %s: give a pointer", typ, name)
				continue
			}
			tab.try(t, m, f)
		}
	}
}

// exported returns the exported functions, and the methods of exported types, that
// the files of the working directory declare.
func exported(t *testing.T, dir string) (funcs, methods []string) {
	t.Helper()
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if isSource(e) {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				switch {
				case !ok || !fn.Name.IsExported():
				case fn.Recv == nil:
					funcs = append(funcs, fn.Name.Name)
				default:
					if typ := receiver(fn.Recv.List[0].Type); ast.IsExported(typ) {
						methods = append(methods, typ+"."+fn.Name.Name)
					}
				}
			}
		}
	}
	if len(funcs)+len(methods) == 0 {
		t.Fatal("the directory exports nothing")
	}
	return funcs, methods
}

func isSource(e fs.DirEntry) bool {
	return strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go")
}

func receiver(x ast.Expr) string {
	if p, ok := x.(*ast.StarExpr); ok {
		x = p.X
	}
	if id, ok := x.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// try calls f with the combinations of what its parameters could be given.
func (tab Table) try(t *testing.T, name string, f reflect.Value) {
	t.Helper()
	typ := f.Type()
	choices := make([][]reflect.Value, typ.NumIn())
	for i := range choices {
		choices[i] = tab.values(typ.In(i), 0)
	}
	at := make([]int, len(choices))
	for range maxCalls {
		args := make([]reflect.Value, len(at))
		for i, c := range choices {
			args[i] = c[at[i]]
		}
		if p := call(f, args); p != nil {
			t.Errorf("%s%v panicked: %v", name, shown(args), p)
			return
		}
		i := 0
		for ; i < len(at); i++ {
			if at[i]++; at[i] < len(choices[i]) {
				break
			}
			at[i] = 0
		}
		if i == len(at) {
			return
		}
	}
}

func call(f reflect.Value, args []reflect.Value) (panicked any) {
	for i, a := range args {
		if _, ok := a.Interface().(brief); ok {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			args[i] = reflect.ValueOf(ctx)
		}
	}
	defer func() { panicked = recover() }()
	if f.Type().IsVariadic() {
		f.CallSlice(args)
	} else {
		f.Call(args)
	}
	return nil
}

func shown(args []reflect.Value) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = "nil"
		if k := a.Kind(); k != reflect.Interface && k != reflect.Pointer && k != reflect.Func || !a.IsNil() {
			out[i] = a.Type().String()
			if k != reflect.Interface && k != reflect.Pointer && k != reflect.Func {
				out[i] = a.Interface()
			}
		}
	}
	return out
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// values returns what a parameter of type t is given.
func (tab Table) values(t reflect.Type, depth int) []reflect.Value {
	switch t {
	case contextType:
		return []reflect.Value{reflect.ValueOf(ended()), reflect.ValueOf(brief{})}
	case errorType:
		return []reflect.Value{reflect.Zero(t), reflect.ValueOf(errors.New("hostile"))}
	}
	out := []reflect.Value{reflect.Zero(t)}
	for _, v := range tab.Values {
		if r := reflect.ValueOf(v); r.Type().AssignableTo(t) {
			c := reflect.New(t).Elem()
			c.Set(r)
			out = append(out, c)
		}
	}
	add := func(vs ...any) {
		for _, v := range vs {
			out = append(out, reflect.ValueOf(v).Convert(t))
		}
	}
	switch t.Kind() {
	case reflect.Bool:
		add(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		one := reflect.New(t).Elem()
		one.SetInt(-1)
		least := reflect.New(t).Elem()
		least.SetInt(math.MinInt64 >> (64 - t.Bits()))
		most := reflect.New(t).Elem()
		most.SetInt(math.MaxInt64 >> (64 - t.Bits()))
		out = append(out, one, least, most)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		most := reflect.New(t).Elem()
		most.SetUint(math.MaxUint64 >> (64 - t.Bits()))
		out = append(out, most)
	case reflect.Float64:
		add(-1.0, math.NaN(), math.Inf(1))
	case reflect.String:
		add("n1", "\xff/ \x00", strings.Repeat("x", 300))
	case reflect.Slice:
		for _, v := range tab.values(t.Elem(), depth+1) {
			s := reflect.MakeSlice(t, 2, 2) // the second is zero
			s.Index(0).Set(v)
			out = append(out, s)
		}
	case reflect.Map:
		m := reflect.MakeMap(t)
		for _, k := range tab.values(t.Key(), depth+1) {
			m.SetMapIndex(k, reflect.Zero(t.Elem()))
		}
		out = append(out, m)
	case reflect.Pointer:
		for _, v := range tab.values(t.Elem(), depth+1) {
			p := reflect.New(t.Elem())
			p.Elem().Set(v)
			out = append(out, p)
		}
	case reflect.Func:
		out = append(out, reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value {
			res := make([]reflect.Value, t.NumOut())
			for i := range res {
				res[i] = reflect.Zero(t.Out(i))
			}
			return res
		}))
	case reflect.Struct:
		out = append(out, tab.structs(t, depth)...)
	}
	return out
}

// structs returns for each field, and each value that it could have, a struct with
// that one field set, and one in which every field has its last.
func (tab Table) structs(t reflect.Type, depth int) (out []reflect.Value) {
	if depth > 3 {
		return nil
	}
	full := reflect.New(t).Elem()
	for i := range t.NumField() {
		if !t.Field(i).IsExported() {
			continue
		}
		vs := tab.values(t.Field(i).Type, depth+1)
		for _, v := range vs[1:] {
			s := reflect.New(t).Elem()
			s.Field(i).Set(v)
			out = append(out, s)
		}
		full.Field(i).Set(vs[len(vs)-1])
	}
	return append(out, full)
}

// brief stands for a context that ends after a second, made for each call.
type brief struct{ context.Context }

// ended returns a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
