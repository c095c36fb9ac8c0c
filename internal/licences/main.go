// Command licences prints the licence of every module that the packages of a
// module and its tests are built from, and fails when one has none that is known
// and permitted. It reads the module cache and asks nobody.
//
//	go run ./internal/licences DIR...
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

// run looks at the modules that those in dirs are built from.
func run(w io.Writer, dirs []string) error {
	found := map[string][]string{} // by module, the directories of its packages
	roots := map[string]string{}
	for _, dir := range dirs {
		if err := list(dir, found, roots); err != nil {
			return err
		}
	}
	if len(dirs) == 0 {
		return errors.New("no directory of a module was named")
	}
	bad := 0
	for _, mod := range slices.Sorted(maps.Keys(found)) {
		names, err := licencesOf(roots[mod], found[mod])
		if err != nil {
			bad++
			names = append(names, "NOT PERMITTED: "+err.Error())
		}
		fmt.Fprintf(w, "%-62s %s\n", mod, strings.Join(names, ", "))
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d modules have no permitted licence", bad, len(found))
	}
	return nil
}

// list adds the packages of others that those below dir are built from, and where
// their modules are.
func list(dir string, found map[string][]string, roots map[string]string) error {
	cmd := exec.Command("go", "list", "-deps", "-test", "-json=Dir,Module", "./...")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list in %s: %w", dir, err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			Dir    string
			Module *struct {
				Path, Version, Dir string
				Main               bool
				Replace            *struct{ Version string }
			}
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		m := pkg.Module
		// What a path replaces is ours and in this repository.
		if m == nil || m.Main || m.Replace != nil && m.Replace.Version == "" {
			continue
		}
		name := m.Path + " " + m.Version
		roots[name] = m.Dir
		if !slices.Contains(found[name], pkg.Dir) {
			found[name] = append(found[name], pkg.Dir)
		}
	}
}

// licencesOf returns the licences of the files that hold for packages of a module:
// those beside them and in the directories above, up to its root.
func licencesOf(root string, pkgs []string) ([]string, error) {
	names := map[string]bool{}
	seen := map[string]bool{}
	var errs []error
	for _, dir := range pkgs {
		for ; !seen[dir] && (dir == root || strings.HasPrefix(dir, root+string(filepath.Separator))); dir = filepath.Dir(dir) {
			seen[dir] = true
			files, err := os.ReadDir(dir)
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				if f.IsDir() || !isLicence(f.Name()) {
					continue
				}
				text, err := os.ReadFile(filepath.Join(dir, f.Name()))
				if err != nil {
					return nil, err
				}
				got, err := classify(string(text))
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", f.Name(), err))
				}
				for _, n := range got {
					names[n] = true
				}
			}
		}
	}
	if len(names) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("it has no file with a licence"))
	}
	return slices.Sorted(maps.Keys(names)), errors.Join(errs...)
}

func isLicence(file string) bool {
	name := strings.ToLower(file)
	if slices.Contains([]string{".go", ".csv"}, filepath.Ext(name)) {
		return false // code, and lists of the licences of others
	}
	return slices.ContainsFunc([]string{"license", "licence", "copying", "unlicense"}, func(s string) bool { return strings.HasPrefix(name, s) })
}
