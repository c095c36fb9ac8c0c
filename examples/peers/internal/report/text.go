package report

// intro and outro are what is the same in every run.
const intro = `# Side by side

The same work on Tenure and on published Go modules that do it too, in one process and one run. ` + "`make bench-peers`" + ` writes this page.

How to read it:

- Figures are medians of rounds in which the sides take turns, so that whatever else the machine does meets all of them. The ratio is ours over the first peer's, the median of the ratios of the rounds; below 1 we need less.
- Figures of two machines do not compare. Ratios do, roughly.
- "CPU" is what the whole process used (getrusage) per operation or request, goroutines, scheduler and garbage collection included. Other processes disturb it less than the time on the wall, which all other units of time are.
- Objects per operation are heap allocations: ours / the first peer's.
- A bar is what we set ourselves before anything was measured, from what the peers were known to need and from prototypes. A row that misses it says so here and once more in "What we lose", also where ours needs less than every peer; what is quicker than ours is listed there, too, whatever the bar.
- L1 to L7 are the bars of changes of leader: L1 a change that the leader leads itself, L2 one that a coordinator leads, L3 clients behind a buffer, L4 a crash after its detection, L5 with its detection, L7 a crash that a connection reset announces. (There is no L6.)
- Inconclusive: the machine cannot decide. A parallel row is that where two workers on one cache line are not three times as slow as on two. A row of a change of leader is that where it misses its bar in round trips, meets it in simulated time, and messages took a tenth longer than the delay or more; no row that misses in simulated time is excused by it. The note of a row says which it was.
- Some rows have a floor: the least that anything of this kind must do, measured in the same rounds. A bar that was missed and that the floor misses too is marked as below the floor, with the floor's own figure. It counts as missed.
`

const outro = `
## What compares, and what does not

- **vtgate buffer** is vitess.io/vitess/go/vt/vtgate/buffer, called as vtgate's TabletGateway calls it. Its log is turned off; its counters are on, as they always are. Requests of the cost rows ask it before their first try, which is the cheapest way to be held: no error is made and none is classified. Where its KeyspaceEventWatcher decides (a change undone, two shards, a healthy leader), the real watcher runs, fed with health checks by hand; in the other rows events are handed to the buffer directly, and arrive sooner than in a cluster. Its limits are set as wide as ours, except where a row names them.
- **It does more than ours** in that it knows resharding and moved tables. **Ours does more** in that it keeps order across the flush, ages requests while flushing, puts back what the leader refuses again, and knows deadlines, priorities and shares. None of that is turned off for the rows.
- **vttablet's gate** (StartRequest, EndRequest) is not exported, and so is not here; the mutex-based gates stand for its kind. What is exported, and measured, is the error that it makes for each request it refuses. Kubernetes' SafeWaitGroup would need one more dependency for one row, and is left out.
- **Vitess' revocation test** is not exported either. Its exported parts are called as often as the test must call them.
- **etcd-io/raft quorum** answers from a map of votes that exists already, ours from a bitset that exists already. Raft's answer has a third value, pending; ours names a leader that could still complete a request. Both sides answer yes in every row.
- **Requests are goroutines** with small stacks of their own. Where one grows its stack in order to wait, that is part of what waiting costs, on every side.
- **A parked goroutine** is no peer but the floor: a goroutine of its own for each request that waits for a channel and a context. No buffer in Go whose callers wait in their own goroutines can cost less.
- **net/http** Shutdown waits for connections, the gate for requests. Both are asked while one request runs, and timed from the return of its handler. The floor is a sync.WaitGroup in that handler: the goroutine that waits runs once the server's has written the answer, or another processor has been woken for it.
- **A context that ends with the leadership** is an object of its own, whoever makes it. The floor of those rows is the gate and one object of six words.
- **A change of leader** is measured with clusters inside this process. One network carries every message of every library, and of our coordinator, with the same one-way delay; nothing is synced to disk by anybody; clients stand beside the nodes. Ours has a coordinator, whose place the rows name, and its registry is in memory beside it: one that is a round trip away adds that once to a planned change while there is no leader, and twice to an emergency. The nodes of ours are a small replicated log made for this; Raft libraries elect among all, here successors stand in the order of names. Round trips are exact in simulated time only, and the tests of examples/peers/change hold the same bars there; on the wall everything that a busy machine adds is counted as round trips.

## What profiles say of the rows that are hard

- **Flush**: most of it is the waking and the end of the goroutine that waited, which costs the same on every side; the lock, the choice of the next and the pace come on top. No change of ours can take a flush far below the floor that stands beside it.
- **Hold, at 100,000**: the growth of goroutine stacks, and their scan by the garbage collector that runs meanwhile. A wait is four calls deep here, and one for the floor, and only a wait that fits into two kilobytes together with its caller grows nothing.
- **Cancel storm**: context.Cause, which takes the lock of the one context that all of them share, is the largest part, then the error that says how long each had waited. Both are what the caller is told for; vtgate tells neither.
- **The end of the last HTTP request**: nearly all of it passes before the goroutine that drains is run at all, because the server's goroutine goes on to write the answer first. To yield to it there would take the row to a third, and let a drain return before the last answer is written: who then closes the server would cut it off.
- **A context that is waited for**: five objects where context.WithCancel makes three. It is a context of that package underneath, so that all that is derived from it works as for any other.

## How to run it

    make bench-peers

or, in examples/peers, ` + "`go run . -o ../../BENCHMARKS.md`" + `. It takes some minutes and wants a machine that does nothing else. ` + "`go run . -quick`" + ` shows within half a minute that every row can be measured, and prints the page. The module needs a newer Go than the library does, because Vitess asks for it.
`
