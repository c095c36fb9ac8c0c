package leadershiptest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"pgregory.net/rapid"
)

// grace is how long a check lets a call go on that waits for what is in flight,
// before it lets that end. A shorter one finds less and alarms no more.
const grace = 30 * time.Millisecond

// AcceptorNode is the node side of a change of leader, as coordinators, leaders
// and clients reach it. ID, Promise, Follow and Accept are required. What is nil
// besides is not checked, and the checks that need it are skipped and say so.
//
// A call that the rules allow must succeed, an allowed call is idempotent, and
// no call may take longer than some seconds. Calls come from one goroutine, but
// for a during function.
type AcceptorNode struct {
	ID leadership.NodeID
	// Promise makes the node promise t.
	Promise func(ctx context.Context, t leadership.Term) (leadership.Testimony, error)
	// Follow makes it promise l.Term and accept from l, which another node
	// leads, and from nobody else.
	Follow func(ctx context.Context, l leadership.Leadership) error
	// Accept hands the node one new entry of the leadership l: of the leader
	// that it follows, or its own when l.Leader is ID. It returns nil when
	// the node has acknowledged the entry, an error when it will not. during,
	// when not nil, is to be called once, between the check that the entry
	// may be taken and the acknowledgement, the later the better; locks may
	// be held.
	Accept func(ctx context.Context, l leadership.Leadership, during func()) error
	// Restart kills the node and starts it again with what is on its disk.
	// The functions are those of the started node from then on.
	Restart func() error

	// Install, Grant and Complete are of a node that may lead; set all or
	// none. Install makes it promise t and writes the marker of its own
	// leadership, Grant lets it lead.
	Install func(ctx context.Context, t leadership.Term) error
	Grant   func(ctx context.Context, t leadership.Term) error
	// Complete completes one request under t: nil says that the client was
	// told so. during is as in Accept, before the decision.
	Complete func(ctx context.Context, t leadership.Term, during func()) error

	// StepDown is Promise at a node that leads, after a drain.
	StepDown func(ctx context.Context, t leadership.Term) (leadership.Testimony, error)
	// Read reads the position of a node that has promised t.
	Read func(ctx context.Context, t leadership.Term) (leadership.Testimony, error)
	// FailWrite makes the node's next durable write fail: before anything
	// was written or, when after is set, once the new content is in place.
	// A failure that was not met is forgotten at Restart.
	FailWrite func(after bool)
	_         struct{}
}

// Acceptor checks an implementation of the node's rules that does without
// package acceptor. boot returns a new node that has promised nothing and whose
// log is empty, many times for some checks, and cleans up by t.Cleanup.
//
// Nodes may differ where the rules leave it open: a promise may wait for what is
// in flight or have it refused, an entry above the promise may be refused or
// count as a promise of its term, a restarted node may ask to be told again whom
// to follow.
func Acceptor(t *testing.T, boot func(t *testing.T) AcceptorNode) {
	t.Helper()
	for _, c := range acceptorChecks {
		t.Run(c.name, func(t *testing.T) {
			err := c.check(acceptorCase{boot: func() AcceptorNode { return boot(t) }})
			report(t, "a node does not keep the rules", err)
		})
	}
	t.Run("any sequence of calls keeps the rules", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			if err := acceptorWalk(rt, acceptorCase{boot: func() AcceptorNode { return boot(t) }}); err != nil {
				rt.Fatal(err)
			}
		})
	})
}

type acceptorCase struct{ boot func() AcceptorNode }

var acceptorChecks = []struct {
	name  string
	check func(acceptorCase) error
}{
	{"a promise only rises", acceptorStale},
	{"the same term again changes nothing", acceptorAgain},
	{"a higher term ends what is below it", acceptorClear},
	{"one term has one source", acceptorSource},
	{"only a granted node leads", acceptorGrant},
	{"a restart keeps the promise and ends the grant", acceptorRestart},
	{"a read does not come before the promise", acceptorRead},
	{"a step-down says what it ended", acceptorStepDown},
	{"bad terms are refused", acceptorInput},
	{"what is in flight is waited for or refused", acceptorFlight},
	{"a context that ended leaves no doubt for ever", acceptorCancel},
	{"a failed write is not reported as a promise", acceptorFaults},
}

// The rules, as they are told to whoever broke one.
const (
	ruleRise     = "a promise only rises: what is asked below it is refused with a *leadership.StaleTermError that reports it, and changes nothing"
	ruleTake     = "a call that the rules allow succeeds"
	ruleAgain    = "the promised term again changes nothing: a late duplicate must not unseat the leader of its own term"
	ruleClear    = "a promise ends the grant and the source of every lower term"
	ruleSource   = "a node accepts from the one source of its promised term only"
	ruleGrant    = "a node leads only by a grant of the promised term, after its own marker was installed"
	ruleVolatile = "a grant is volatile: a restart ends it"
	ruleDurable  = "a promise is on disk before any reply reports it"
	ruleFlight   = "an entry or a completion that is in flight when a higher term is promised has ended before the promise returns, or is never acknowledged"
	rulePosition = "the position in a testimony covers every acknowledged entry"
	ruleTestify  = "a testimony says what the node was asked for, and is true"
	ruleRead     = "a position is read only after the promise of its term"
	ruleTruth    = "an error that reports NotExecuted changed nothing"
	ruleInput    = "a term that no attempt may use is refused and changes nothing"
)

// brokenRule is what a check found.
type brokenRule struct {
	rule, got string
	trace     []string
}

func (e *brokenRule) Error() string {
	return fmt.Sprintf("%s\n\trule: %s\n\tcalls, in order:\n\t\t%s", e.got, e.rule, strings.Join(e.trace, "\n\t\t"))
}

// nodeRun is one node beside what must be true of it.
type nodeRun struct {
	AcceptorNode
	trace []string

	promised leadership.Term
	// source is whom the node follows, itself after Install. After a restart
	// it may have to be told again, which known says.
	source leadership.Leadership
	known  bool
	lead   leadership.Term
	led    bool // at any time since the start
	// past are leaderships that were in force and are not any more.
	past []leadership.Leadership

	// acked is the term of the newest entry that was acknowledged, last the
	// newest position that was read, fresh says that an entry was
	// acknowledged since.
	acked leadership.Term
	last  *leadership.Position
	fresh bool
}

func (c acceptorCase) start() (*nodeRun, error) {
	n := c.boot()
	switch {
	case n.Promise == nil || n.Follow == nil || n.Accept == nil:
		return nil, errors.New("AcceptorNode needs Promise, Follow and Accept")
	case (n.Install == nil) != (n.Grant == nil) || (n.Grant == nil) != (n.Complete == nil):
		return nil, errors.New("AcceptorNode needs all of Install, Grant and Complete, or none")
	}
	return &nodeRun{AcceptorNode: n}, n.ID.Validate()
}

func (r *nodeRun) broken(rule, format string, args ...any) error {
	return &brokenRule{rule: rule, got: fmt.Sprintf(format, args...), trace: r.trace}
}

// call runs f under a context that ends, and notes it.
func (r *nodeRun) call(name string, of any, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := f(ctx)
	r.noted(name, of, err)
	return err
}

func (r *nodeRun) noted(name string, of any, err error) {
	answer := "ok"
	if err != nil {
		answer = err.Error()
	}
	r.trace = append(r.trace, fmt.Sprintf("%s(%v): %s", name, of, answer))
}

// steps runs the given steps up to the first that fails.
func steps(fs ...func() error) error {
	for _, f := range fs {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
