package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// those are the mutations whose tests start servers, or the others.
func those(all []mutation, engines bool) []mutation {
	var out []mutation
	for _, m := range all {
		if (m.engine != "") == engines {
			out = append(out, m)
		}
	}
	return out
}

// pick is the part of all that run and shard select, and a remark that says
// which part it is. The same commit selects the same part everywhere.
func pick(ctx context.Context, root string, all []mutation, run, shard string) (picked []mutation, said string, err error) {
	seen := map[string]bool{}
	for _, m := range all {
		if err := m.valid(); err != nil {
			return nil, "", err
		}
		if seen[m.name] {
			return nil, "", fmt.Errorf("two mutations are called %s", m.name)
		}
		seen[m.name] = true
	}
	re, err := regexp.Compile(run)
	if err != nil {
		return nil, "", err
	}
	part, of := 1, 1
	if shard != "" {
		if part, of, said, err = parseShard(ctx, root, shard); err != nil {
			return nil, "", err
		}
	}
	for i, m := range all {
		if i%of == part-1 && re.MatchString(m.name) {
			picked = append(picked, m)
		}
	}
	if len(picked) == 0 {
		return nil, "", errors.New("no mutation is selected")
	}
	return picked, said, nil
}

func parseShard(ctx context.Context, root, shard string) (part, of int, said string, err error) {
	bad := fmt.Errorf("bad shard %q: want i/n with 1 <= i <= n, or commit/n", shard)
	at, count, _ := strings.Cut(shard, "/")
	of, err = strconv.Atoi(count)
	if err != nil || of < 1 {
		return 0, 0, "", bad
	}
	if at != "commit" {
		part, err = strconv.Atoi(at)
		if err != nil || part < 1 || part > of {
			return 0, 0, "", bad
		}
		return part, of, fmt.Sprintf(", part %d of %d", part, of), nil
	}
	cmd := exec.CommandContext(ctx, "git", "rev-parse", "HEAD")
	cmd.Dir = root
	b, err := cmd.Output()
	if err != nil {
		return 0, 0, "", fmt.Errorf("the hash of the commit: %w", err)
	}
	commit := strings.TrimSpace(string(b))
	h := fnv.New64a()
	_, _ = h.Write([]byte(commit))
	part = int(h.Sum64()%uint64(of)) + 1
	return part, of, fmt.Sprintf(", part %d of %d by commit %.12s", part, of, commit), nil
}
