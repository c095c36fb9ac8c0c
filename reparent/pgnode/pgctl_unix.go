//go:build unix

package pgnode

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// asOwner lets a command run as the owner of the data directory when we are root.
func asOwner(cmd *exec.Cmd, data string) error {
	uid, gid, err := ownerOf(data)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 || uid == 0 {
		return nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return nil
}

func ownerOf(path string) (uid, gid int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return int(st.Uid), int(st.Gid), nil
}

// giveTo makes a new file that of the owner of dir.
func giveTo(f *os.File, dir string) error {
	uid, gid, err := ownerOf(dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	return f.Chown(uid, gid)
}

// family returns the processes of the server in data: those that work in it, as
// every process of a PostgreSQL server does, or, where that cannot be seen, the
// one that postmaster.pid names.
func family(data string) ([]int, error) {
	data, err := filepath.EvalSymlinks(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		pid, err := postmaster(data)
		if err != nil || pid == 0 || syscall.Kill(pid, 0) != nil {
			return nil, err
		}
		return []int{pid}, nil
	}
	owner, _, err := ownerOf(data)
	if err != nil {
		return nil, err
	}
	unseen := 0
	pids, err := processes(func(dir, comm string) bool {
		if !strings.HasPrefix(comm, "postgres") {
			return false
		}
		cwd, err := os.Readlink(dir + "/cwd")
		if errors.Is(err, fs.ErrPermission) {
			if uid, _, err := ownerOf(dir); err == nil && uid == owner {
				unseen++
			}
		}
		return err == nil && cwd == data
	})
	if err == nil && unseen > 0 {
		// Root in a container is one that may not look.
		err = fmt.Errorf("whether %d postgres processes are those of the server in %s cannot be seen: run as their user, or with CAP_SYS_PTRACE", unseen, data)
	}
	return pids, err
}

// launching reports whether a process is about to become the server in data.
func launching(data string) (bool, error) {
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		pid, err := postmaster(data)
		return pid != 0, err
	}
	pids, err := processes(func(dir, comm string) bool {
		args, err := os.ReadFile(dir + "/cmdline")
		return err == nil && bytes.Contains(args, []byte(data)) && (strings.HasPrefix(comm, "postgres") || strings.HasSuffix(strings.TrimSpace(comm), "sh"))
	})
	return len(pids) > 0, err
}

// processes returns those that are, by their directory in /proc and their name.
func processes(are func(dir, comm string) bool) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := "/proc/" + e.Name()
		comm, err := os.ReadFile(dir + "/comm")
		if err == nil && are(dir, string(comm)) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func postmaster(data string) (int, error) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	return strconv.Atoi(string(bytes.TrimSpace(first)))
}

// lingers reports whether the process that postmaster.pid names is there, dead or
// not.
func lingers(data string) bool {
	pid, err := postmaster(data)
	return err == nil && pid != 0 && syscall.Kill(pid, 0) == nil
}

// tell sends the server the signal of a mode. Fast and immediate are the
// postmaster's to carry out; by force, every process is ended.
func tell(data string, pids []int, mode StopMode) error {
	sig, ok := map[StopMode]syscall.Signal{StopFast: syscall.SIGINT, StopImmediate: syscall.SIGQUIT, StopKill: syscall.SIGKILL}[mode]
	if !ok {
		return fmt.Errorf("unknown stop mode %q", mode)
	}
	if mode != StopKill {
		pid, err := postmaster(data)
		if err != nil {
			return err
		}
		if pid == 0 {
			return errors.New("there is no postmaster to tell")
		}
		pids = []int{pid}
	}
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
