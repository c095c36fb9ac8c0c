package sqlbuffer

import (
	"database/sql/driver"
	"fmt"
	"reflect"
)

// convert turns the arguments, as the caller gave them, into what the driver
// takes: by the statement's or connection's NamedValueChecker, the statement's
// ColumnConverter, and the default converter, in the order of database/sql. It
// can only be done once the statement is bound to a node, hence not by
// database/sql itself. Errors are of type *unsent.
func convert(conn driver.Conn, st driver.Stmt, raw []driver.NamedValue) ([]driver.NamedValue, error) {
	want := -1
	if st != nil {
		want = st.NumInput()
	}
	nvc, ok := st.(driver.NamedValueChecker)
	if !ok {
		nvc, _ = conn.(driver.NamedValueChecker)
	}
	cci, _ := st.(columnConverter)
	args := make([]driver.NamedValue, 0, len(raw))
	for _, given := range raw {
		given.Ordinal = len(args) + 1 // an argument before may have been removed
		args = append(args, given)
		nv := &args[len(args)-1]
		err := check(nv, nvc, cci, want)
		switch err {
		case nil:
		case driver.ErrRemoveArgument:
			args = args[:len(args)-1]
		default:
			what := fmt.Sprintf("$%d", nv.Ordinal)
			if nv.Name != "" {
				what = fmt.Sprintf("with name %q", nv.Name)
			}
			return nil, &unsent{fmt.Errorf("sqlbuffer: converting argument %s type: %w", what, hide(err))}
		}
	}
	if want != -1 && len(args) != want {
		return nil, &unsent{fmt.Errorf("sqlbuffer: expected %d arguments, got %d", want, len(args))}
	}
	return args, nil
}

// check converts one argument, going on to the next way at driver.ErrSkip.
func check(nv *driver.NamedValue, nvc driver.NamedValueChecker, cci columnConverter, want int) (err error) {
	if nvc != nil {
		if err = nvc.CheckNamedValue(nv); err != driver.ErrSkip {
			return err
		}
	}
	if cci != nil {
		if err = byColumn(nv, cci, want); err != driver.ErrSkip {
			return err
		}
	}
	nv.Value, err = driver.DefaultParameterConverter.ConvertValue(nv.Value)
	return err
}

func byColumn(nv *driver.NamedValue, cci columnConverter, want int) error {
	index := nv.Ordinal - 1
	if want >= 0 && want <= index {
		return nil // too many: the count tells
	}
	if vr, ok := nv.Value.(driver.Valuer); ok {
		v, err := valueOf(vr)
		if err != nil {
			return err
		}
		if !driver.IsValue(v) {
			return fmt.Errorf("non-subset type %T returned from Value", v)
		}
		nv.Value = v
	}
	arg := nv.Value
	v, err := cci.ColumnConverter(index).ConvertValue(arg)
	if err != nil {
		return err
	}
	if !driver.IsValue(v) {
		return fmt.Errorf("driver ColumnConverter error converted %T to unsupported type %T", arg, v)
	}
	nv.Value = v
	return nil
}

// valueOf calls Value, but for a nil pointer of a type whose method has a value
// receiver: that is a NULL, as database/sql has it.
func valueOf(vr driver.Valuer) (driver.Value, error) {
	if rv := reflect.ValueOf(vr); rv.Kind() == reflect.Pointer && rv.IsNil() &&
		rv.Type().Elem().Implements(reflect.TypeFor[driver.Valuer]()) {
		return nil, nil
	}
	return vr.Value()
}
