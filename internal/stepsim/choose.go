package stepsim

import "math/rand/v2"

// Action is what a step does.
type Action uint8

// Actions. Deliver is the quiet one.
const (
	Deliver Action = iota
	Drop           // an event is lost; of an answer, the caller may be told
	Dup            // a request arrives, and once more later
	Late           // an event is put aside until it is released
	Release        // an event that was put aside may be delivered
	Crash          // a process dies, before whatever of its own is pending
	Torn           // a process dies in the middle of a disk write
	Restart        // it comes back with what is durable
	Pause          // a process stops, and knows nothing of it
	Resume         // it goes on
	Cut            // messages to or from a process are lost
	Heal           // they are not any more
	Tick           // time passes though something is pending
	Clock          // a process' clock changes its offset or rate
	Lose           // a process dies and its disk with it
	Fail           // a disk write reports an error, done or not
	actions
)

var actionNames = [actions]string{
	"deliver", "drop", "dup", "late", "release", "crash", "torn", "restart", "pause", "resume", "cut", "heal", "tick", "clock", "lose", "fail",
}

// String returns the action's name.
func (a Action) String() string {
	if a < actions {
		return actionNames[a]
	}
	return "action"
}

// Point is one decision: which of N, or, when Actions is set, which of them.
type Point struct {
	N       int
	Actions []Action
}

// Chooser decides. Choose returns a number in [0, p.N); 0 is the quiet choice.
// It is not asked when there is only one option.
type Chooser interface {
	Choose(p Point) int
}

// Weights say how likely each action is, relative to the others that are
// possible at the same point. Deliver should be far above the rest.
type Weights [actions]int

// Swarm draws weights for one run: which faults a run has at all, and how many
// of them, differs between runs far more than within one.
func Swarm(seed uint64) Weights {
	rng := rand.New(rand.NewPCG(seed, 0x5a))
	w := Weights{Deliver: 1000, Release: 40, Restart: 1 + rng.IntN(20), Resume: 1 + rng.IntN(25), Heal: 1 + rng.IntN(15)}
	for a, most := range map[Action]int{Drop: 30, Dup: 30, Late: 30, Crash: 14, Torn: 8, Pause: 25, Cut: 14, Tick: 60, Clock: 10, Lose: 3, Fail: 6} {
		w[a] = most
	}
	for a := Drop; a < actions; a++ {
		switch a {
		case Release, Restart, Resume, Heal:
			continue
		}
		if rng.IntN(2) == 0 {
			w[a] = 0
		} else {
			w[a] = 1 + rng.IntN(w[a])
		}
	}
	return w
}

// Seed chooses at random: actions by weight, anything else evenly.
func Seed(seed uint64, w Weights) Chooser {
	return &seeded{rng: rand.New(rand.NewPCG(seed, 7)), w: w}
}

type seeded struct {
	rng *rand.Rand
	w   Weights
}

func (c *seeded) Choose(p Point) int {
	if p.Actions == nil {
		return c.rng.IntN(p.N)
	}
	sum := 0
	for _, a := range p.Actions {
		sum += c.w[a]
	}
	if sum == 0 {
		return 0
	}
	x := c.rng.IntN(sum)
	for i, a := range p.Actions {
		if x -= c.w[a]; x < 0 {
			return i
		}
	}
	return 0
}

// Replay picks what the list says, and is quiet after its end. A pick that is
// out of range is taken modulo the number of options.
func Replay(picks []int) Chooser { return &replay{picks: picks} }

type replay struct {
	picks []int
	at    int
}

func (c *replay) Choose(p Point) int {
	if c.at >= len(c.picks) {
		return 0
	}
	c.at++
	return max(c.picks[c.at-1], 0) % p.N
}

// Bytes picks by the bytes of a fuzzer, and is quiet after their end.
func Bytes(b []byte) Chooser { return &fuzzed{b} }

type fuzzed struct{ b []byte }

func (c *fuzzed) Choose(p Point) int {
	if len(c.b) == 0 {
		return 0
	}
	x := int(c.b[0])
	c.b = c.b[1:]
	// Most bytes of a random input should not be faults.
	if p.Actions != nil {
		x = max(0, x-200)
	}
	return x % p.N
}

// Quiet always picks 0.
func Quiet() Chooser { return Replay(nil) }
