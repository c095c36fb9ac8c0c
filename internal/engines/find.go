package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Engine names a kind of server.
type Engine string

// The engines that a Host can start.
const (
	MariaDB  Engine = "mariadb"
	Postgres Engine = "postgres"
	Etcd     Engine = "etcd"
)

// NotFound is returned by Find and by what starts servers when a binary is not
// on this machine.
type NotFound struct {
	Engine Engine
	Binary string
	Where  []string // the directories that were searched, besides PATH
}

func (e *NotFound) Error() string {
	where := "PATH"
	if len(e.Where) > 0 {
		where += " and " + strings.Join(e.Where, ", ")
	}
	return fmt.Sprintf("engines: %s: no %s in %s; scripts/engines.sh installs it", e.Engine, e.Binary, where)
}

// needs lists what each engine is run with.
var needs = map[Engine][]string{
	MariaDB:  {"mariadbd", "mariadb-install-db", "my_print_defaults"},
	Postgres: {"postgres", "initdb", "pg_ctl", "pg_controldata", "pg_rewind"},
	Etcd:     {"etcd"},
}

// Find returns the path of each binary that e is run with. PostgreSQL's newest
// installed major version is taken before PATH; all its binaries come from one
// directory.
func Find(e Engine) (map[string]string, error) {
	names, ok := needs[e]
	if !ok {
		return nil, fmt.Errorf("engines: no engine %q", e)
	}
	var first, last []string
	switch e {
	case Postgres:
		first = postgresDirs()
	default:
		last = []string{"/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"}
	}
	for _, dir := range first {
		if found := within(dir, names); found != nil {
			return found, nil
		}
	}
	found := map[string]string{}
	for _, name := range names {
		p, err := exec.LookPath(name)
		for i := 0; err != nil && i < len(last); i++ {
			p, err = exec.LookPath(filepath.Join(last[i], name))
		}
		if err != nil {
			return nil, &NotFound{Engine: e, Binary: name, Where: slices.Concat(first, last)}
		}
		if found[name], err = filepath.Abs(p); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func within(dir string, names []string) map[string]string {
	found := map[string]string{}
	for _, name := range names {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return nil
		}
		found[name] = p
	}
	return found
}

// postgresDirs returns where Debian keeps PostgreSQL, the newest version first.
func postgresDirs() []string {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil
	}
	version := func(dir string) float64 {
		v, err := strconv.ParseFloat(filepath.Base(filepath.Dir(dir)), 64)
		if err != nil {
			return 0
		}
		return v
	}
	slices.SortFunc(dirs, func(a, b string) int {
		switch va, vb := version(a), version(b); {
		case va > vb:
			return -1
		case va < vb:
			return 1
		}
		return strings.Compare(a, b)
	})
	return dirs
}
