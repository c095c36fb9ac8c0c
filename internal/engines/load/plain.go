package load

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// plainError is the error of an attempt through Engine.Connector.
type plainError struct {
	step plainStep
	err  error
}

// plainStep is how far an attempt came.
type plainStep string

const (
	connecting plainStep = "connect" // there was no connection to begin it on
	beginning  plainStep = "begin"
	writing    plainStep = "write"
	committing plainStep = "commit"
)

func (e *plainError) Error() string { return string(e.step) + ": " + e.err.Error() }
func (e *plainError) Unwrap() error { return e.err }

// outcome is what an application without this library may conclude: nothing is
// committed before it was asked for, and what comes after is not known.
func (e *plainError) outcome() Outcome {
	if e.step == committing {
		return Unknown
	}
	return NotExecuted
}

// ClassConnect is the class of an attempt for which Engine.Connector got no
// connection, so that no transaction was begun.
const ClassConnect = string(connecting)

// class is the step, and the type of the error unless there was no connection.
func (e *plainError) class() string {
	if e.step == connecting {
		return ClassConnect
	}
	return fmt.Sprintf("%s: %T", e.step, e.err)
}

// dialing marks the errors of a Connector, which database/sql passes on.
type dialing struct{ driver.Connector }

func (d dialing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := d.Connector.Connect(ctx)
	if err != nil {
		return nil, &plainError{connecting, err}
	}
	return c, nil
}

// plainTx is a transaction as any application writes it. Spec.InTx makes no
// difference to it.
func plainTx(ctx context.Context, db *sql.DB, insert string, id int64) error {
	at := func(step plainStep, err error) error {
		var e *plainError
		if err == nil || errors.As(err, &e) {
			return err
		}
		return &plainError{step, err}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return at(beginning, err)
	}
	if _, err := tx.ExecContext(ctx, insert, id); err != nil {
		_ = tx.Rollback() // the first error says what happened
		return at(writing, err)
	}
	return at(committing, tx.Commit())
}
