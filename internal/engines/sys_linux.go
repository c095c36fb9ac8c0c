package engines

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

// free returns how many bytes a file system has for us, 0 when it cannot tell.
func free(dir string) uint64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0
	}
	return s.Bavail * uint64(s.Bsize)
}

// flock takes the lock that says that the owner of a directory lives. The
// kernel releases it with the process.
func flock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// unprivileged returns the name of the user that servers of e run as, "" for
// the one who we are. Only root can be somebody else.
func unprivileged(e Engine) (string, error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	names := map[Engine][]string{MariaDB: {"mysql", "nobody"}, Postgres: {"postgres", "nobody"}, Etcd: {"nobody"}}[e]
	for _, name := range names {
		if _, err := user.Lookup(name); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("engines: %s does not run as root, and there is no user %s", e, strings.Join(names, " or "))
}

func ids(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("engines: %w", err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return uid, gid, errors.Join(err1, err2)
}

// own gives path to the user, if there is one to give it to.
func own(path, name string) error {
	if name == "" {
		return nil
	}
	uid, gid, err := ids(name)
	if err != nil {
		return err
	}
	return os.Lchown(path, uid, gid)
}

// asUser makes cmd run as the user and die with us.
func asUser(cmd *exec.Cmd, name string, death syscall.Signal) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: death, Setpgid: true}
	if name == "" {
		return nil
	}
	uid, gid, err := ids(name)
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
	return nil
}

// family returns the processes whose working directory is dir or within it. A
// server and all its children work in their data directory, however they were
// started. Zombies have no working directory.
func family(dir string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if err != nil {
			continue
		}
		cwd = strings.TrimSuffix(cwd, " (deleted)")
		if cwd == dir || strings.HasPrefix(cwd, dir+"/") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// proc is one process as the kernel shows it.
type proc struct {
	state  byte // 0 when it is gone
	parent int
	start  string // tells it from a later one with its number
}

func look(pid int) (p proc) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p
	}
	// The name, in parentheses, may hold anything.
	_, rest, ok := strings.Cut(string(b[max(0, strings.LastIndexByte(string(b), ')')):]), " ")
	f := strings.Fields(rest)
	if !ok || len(f) < 20 {
		return p
	}
	p.parent, _ = strconv.Atoi(f[1])
	p.state, p.start = f[0][0], f[19]
	return p
}

const signalBound = 10 * time.Second

// settle sends sig to the family of dir until want holds for all of it.
func settle(dir string, sig syscall.Signal, want func(pids []int) bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	bound := time.NewTimer(signalBound)
	defer bound.Stop()
	for {
		pids := family(dir)
		if want(pids) {
			return nil
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("engines: %v to process %d in %s: %w", sig, pid, dir, err)
			}
		}
		select {
		case <-tick.C:
		case <-bound.C:
			return fmt.Errorf("engines: processes %v in %s did not heed %v within %v", family(dir), dir, sig, signalBound)
		}
	}
}

// orphanBound is for how long init may leave a postmaster unreaped that somebody
// else started: the next one, who finds its number in postmaster.pid, takes it for
// alive. Zombies of other orphans are dead enough.
const orphanBound = 2 * time.Second

// endAll kills every process that works in dir and waits until they are gone. A
// process that exits has no working directory any more before it is.
func endAll(dir string) error {
	seen := map[int]string{}
	err := settle(dir, syscall.SIGKILL, func(pids []int) bool {
		for _, pid := range pids {
			seen[pid] = look(pid).start
		}
		return len(pids) == 0
	})
	if err != nil {
		return err
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	master := postmaster(dir)
	for {
		for pid, start := range seen {
			p := look(pid)
			waits := pid == master && p.parent != os.Getpid() && time.Since(begun) < orphanBound
			if p.state == 0 || p.start != start || p.state == 'Z' && !waits {
				delete(seen, pid)
			}
		}
		switch {
		case len(seen) == 0:
			return nil
		case time.Since(begun) > signalBound:
			return fmt.Errorf("engines: processes %v of %s do not end", slices.Collect(maps.Keys(seen)), dir)
		}
		<-tick.C
	}
}

// stopMain sends sig to the server that works in dir: the postmaster, which tells
// its children, or the only process.
func stopMain(dir string, sig syscall.Signal) error {
	pids := family(dir)
	if master := postmaster(dir); slices.Contains(pids, master) {
		pids = []int{master}
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// postmaster returns the number in a data directory's postmaster.pid, or 0.
func postmaster(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0
	}
	return pid
}

// stopAll stops every process that works in dir, children that were being born
// included, and returns when the kernel says that they are stopped.
func stopAll(dir string) error {
	return settle(dir, sigStop, func(pids []int) bool { return every(pids, true) })
}

func contAll(dir string) error {
	return settle(dir, sigCont, func(pids []int) bool { return every(pids, false) })
}

func every(pids []int, stopped bool) bool {
	for _, pid := range pids {
		if p := look(pid); p.state != 0 && (p.state == 'T') != stopped {
			return false
		}
	}
	return true
}

// sweepDead removes what hosts left whose process died.
func sweepDead(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < settled {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if flock(lock) == nil && endAll(dir) == nil {
			removeSegments(dir)
			_ = os.RemoveAll(dir)
		}
		_ = lock.Close()
	}
}

// removeSegments removes the System V segments that PostgreSQL servers under
// dir noted in their postmaster.pid, which a killed one leaves behind. The
// kernel refuses to remove nothing: a segment in use goes with its last user.
func removeSegments(dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "data", "postmaster.pid"))
	if err != nil {
		return
	}
	for _, file := range files {
		removeSegment(file)
	}
}

func removeSegment(pidFile string) {
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 7 {
		return
	}
	fields := strings.Fields(lines[6])
	if len(fields) != 2 {
		return
	}
	if _, err := strconv.ParseUint(fields[1], 10, 31); err != nil {
		return
	}
	_ = exec.Command("ipcrm", "-m", fields[1]).Run()
}
