package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tenure-go/tenure/examples/compare/internal/account"
	"github.com/tenure-go/tenure/examples/compare/internal/mha"
	"github.com/tenure-go/tenure/examples/compare/internal/patroni"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/machine"
	"github.com/tenure-go/tenure/internal/measure"
)

// sides are those that can be put up here, ours and the others' in turn.
func (c *compare) sides(only string) (all []side) {
	c.left = nil
	in := func(e engines.Engine) bool {
		return (only == "" || only == string(e)) && c.have(e, engines.Etcd)
	}
	d := detectors()
	if in(engines.Postgres) {
		all = append(all, c.ours(engines.Postgres, d[0]), c.withAgents(d[0]), c.ours(engines.Postgres, d[1]))
		if err := patroni.Missing(); err != nil {
			c.left = append(c.left, "Patroni: "+oneLine(err))
		} else {
			all = slices.Insert(all, len(all)-1, c.patroni("tuned", patroni.Tuned(), true))
			all = append(all, c.patroni("default", patroni.Default(), false))
		}
	}
	if in(engines.MariaDB) {
		all = append(all, c.ours(engines.MariaDB, d[0]), c.ours(engines.MariaDB, d[1]))
		if err := mha.Missing(); err != nil {
			c.left = append(c.left, "MHA: "+oneLine(err))
		} else {
			all = slices.Insert(all, len(all)-1, c.mha("tuned", mha.Tuned(), true))
			all = append(all, c.mha("default", mha.Default(), false))
		}
	}
	return slices.DeleteFunc(all, func(s side) bool { return !strings.Contains(s.name, c.who) })
}

// oneLine is the beginning of an error: what a program said last can be long.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// have says whether all of these are installed.
func (c *compare) have(all ...engines.Engine) bool {
	for _, e := range all {
		if _, err := engines.Find(e); err != nil {
			c.left = append(c.left, oneLine(err))
			return false
		}
	}
	return true
}

// fail notes that a side could not be put through everything.
func (c *compare) fail(s side, round int, err error) {
	c.wrong = append(c.wrong, fmt.Sprintf("%s, round %d: %s", s.name, round, oneLine(err)))
	if s.ours {
		c.failed = append(c.failed, fmt.Sprintf("%s, round %d: %v", s.name, round, err))
	}
}

// judge is an error for what must not be: what others cannot do is in the report only.
func (c *compare) judge() error {
	var errs []error
	for _, w := range c.failed {
		errs = append(errs, errors.New(w))
	}
	for _, p := range c.table.Problems(true) {
		errs = append(errs, errors.New(p))
	}
	if len(c.table.Rows) == 0 {
		errs = append(errs, errors.New("nothing was run"))
	}
	return errors.Join(errs...)
}

// report is the page.
func (c *compare) report(ctx context.Context, rounds int, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# A change of the leader, as an application sees it

Made by `+"`make compare`"+` (examples/compare), which is not part of the library. Both sides run on
the same machine, with the same servers, settings and writers, in turn; nothing else was
changed between runs. Rounds: %d, each with %d planned changes of every cluster, in %s, on %s, %d CPUs, %s.

%s
## How to read it

- **longest gap**: the longest time around the change in which no writer of this client got
  an acknowledgement; **one writer's**: the longest for any one of them; **before it**: the
  longest gap of the load before the change began, which says how quiet the machine was.
- **failed**: errors on an open connection that prove that nothing was written. **no
  connection**: attempts for which no server took a connection for writing; how many depends
  on how often an application tries, here each writer every 10 ms. **unknown**: the
  application cannot tell. All of these are errors that it sees.
- **lost**: writes that were acknowledged and are not on every server afterwards.
- Figures of counts, and "each run", are in the order of the runs; other figures are
  medians of all runs of the row. "Runs overlap" says that the shortest gap of the side with
  the longer median was within the range of the other, so that the ratio may be chance. Where
  there is one run, nothing is known about its range.

`, rounds, c.planned, took.Round(time.Second), machine.CPU(), runtime.NumCPU(), machine.Kernel(), c.findings())
	b.WriteString(c.table.Markdown())
	b.WriteString(c.settings())
	fmt.Fprintf(&b, "## Versions\n\n%s\n", bullets(c.versions(ctx)))
	b.WriteString(comparable)
	return b.String()
}

// findings say who was better at what, what broke a promise, and what could not be run.
func (c *compare) findings() string {
	var b strings.Builder
	section := func(title, none string, lines []string) {
		if len(lines) == 0 {
			lines = []string{none}
		}
		fmt.Fprintf(&b, "## %s\n\n%s\n", title, bullets(lines))
	}
	if v := c.table.Verdicts(); v != "" {
		fmt.Fprintf(&b, "## In short\n\nOurs : the best of the others, which is the one with the shortest gap.\n\n%s\n", v)
		section("Rows that we lose", "None.", c.table.Lost())
	}
	if len(c.table.Rows) > 0 {
		section("Broken promises", "None: no run of either side lost a write, and no planned change of ours cost an error.", c.table.Problems(false))
	}
	if left := append(slices.Clone(c.left), c.wrong...); len(left) > 0 {
		section("Not run", "", left)
	}
	return b.String()
}

func bullets(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "- %s\n", strings.Join(strings.Fields(l), " "))
	}
	return b.String()
}

// settings are what the words in the tables stand for.
func (c *compare) settings() string {
	lines := []string{
		"Tenure, quick detector: three `failover watch` processes, interval 100 ms, timeout 300 ms, refused_after 200 ms, dead_after 1 s. All other settings are the tool's defaults.",
		"Tenure, default detector: the same with the tool's defaults, interval 250 ms, timeout 1 s, refused_after 500 ms, dead_after 6 s. Planned changes do not depend on it.",
		"Tenure, agents: `failover agent` beside each server, by HTTPS with certificates on both sides. Otherwise the tool works on the servers of its own machine.",
		"Patroni, default: " + patroni.Default().String() + ".",
		"Patroni, tuned, as quick as it lets itself be set: " + patroni.Tuned().String() + ".",
		"MHA, default: " + mha.Default().String() + ".",
		"MHA, tuned: " + mha.Tuned().String() + ".",
		"PostgreSQL, both sides: " + postgresSettings() + ". Commits wait for one of two standbys: `synchronous_standby_names = ANY 1 (...)` of ours, Patroni's synchronous_mode.",
		"MariaDB, both sides: `" + strings.Join(engines.MariaDBFlags(), " ") + "`. Commits wait for one of two replicas.",
		fmt.Sprintf("Writers, all sides: transactions of one INSERT with an id of its own, %s between two, %s of patience for each, 10 ms after an error; %d or %d connections in two processes.", pause, patience, connections, 2*connections),
		"Clients. sqlbuffer: this library, which follows the registry. Direct, all hosts: pgx with the three hosts and target_session_attrs=read-write; go-sql-driver/mysql with rejectReadOnly, trying the three hosts for one that is not read_only. HAProxy: the configuration in Patroni's repository, with on-marked-down shutdown-sessions.",
		"Registry: an etcd of one member for both, but for MHA, which has none.",
		"Everything is on loopback" + c.where() + ".",
	}
	return "## Settings\n\n" + bullets(lines) + "\n"
}

// where is what the data is on.
func (c *compare) where() string {
	if c.host != nil && strings.HasPrefix(c.host.Dir(), "/dev/shm/") {
		return ", with the data in memory (/dev/shm), where an fsync costs nothing"
	}
	return ""
}

func postgresSettings() string {
	set := engines.PostgresSettings()
	var all []string
	for _, k := range slices.Sorted(maps.Keys(set)) {
		all = append(all, k+"="+set[k])
	}
	return "`" + strings.Join(all, " ") + "`"
}

func (c *compare) versions(ctx context.Context) (all []string) {
	add := func(e engines.Engine, program string, args ...string) {
		if bin, err := engines.Find(e); err == nil {
			all = append(all, version(ctx, bin[program], args...))
		}
	}
	add(engines.Postgres, "postgres", "--version")
	add(engines.MariaDB, "mariadbd", "--no-defaults", "--version")
	add(engines.Etcd, "etcd", "--version")
	if patroni.Missing() == nil {
		all = append(all, patroni.Versions(ctx))
	}
	if mha.Missing() == nil {
		all = append(all, mha.Version(ctx))
	}
	return append(all, runtime.Version())
}

// version is the first line that a program says.
func version(ctx context.Context, path string, args ...string) string {
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return path + ": " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// tell is a run, for whoever watches.
func tell(cl client, r account.Result) string {
	return fmt.Sprintf("    %s, %d connections: gap %s, %d failed, %d without a connection, %d unknown, %d acknowledged, %d lost", cl.name, cl.conns,
		measure.Short(r.Gap), r.Failed, r.NoConn, r.Unknown, r.Sample.Acked, r.Lost)
}

// comparable is what the figures do not say.
const comparable = `## What is and is not comparable

- The clients differ on purpose: a buffer in the application is what this library is about,
  and the others have none. An application of theirs would try again by itself, and then
  has to know which errors prove that nothing was written.
- A planned change is timed by its writers, so that it includes the start of the tool's
  process (ours, MHA) or a REST call (Patroni), and everything that the tool checks before.
- The watchers of ours run during its planned changes, as Patroni does; MHA's manager must not.
- A crash includes the tool's own detector. The detectors differ in what they are sure of:
  ours asks the replicas, and takes a refused connection for a sign that a frozen leader
  does not give; Patroni's leader key in etcd runs out; MHA asks the leader four times.
  Quicker settings are more easily wrong about a leader that is only slow.
- Patroni starts a server again that was killed alone, and may keep its leader; ours is
  replaced. Where Patroni dies with the server, its key has to run out first.
- Patroni brings nodes back by itself. With ours a person, or a script, runs failover rejoin;
  the runs do after each change, before rows are compared.
- Patroni's two clients write at once, to the same leader: twice the connections of one of
  our runs with 4, the same as of one with 8.
- Patroni 3.0.2 and MHA 0.58 are what Debian 12 has, without a watchdog or a shutdown script,
  which would end a frozen leader. Newer versions may do better. MHA is given repairs that it
  needs to run with MariaDB at all, and what it would do by ssh is done without it.
- orchestrator and replication-manager are not packages of Debian 12 and could not be had as Go
  modules either: they are not compared.
- Everything shares one machine: the network costs nothing, and servers, tools and writers
  compete for its processors. Ratios of one run mean more than milliseconds.
`
