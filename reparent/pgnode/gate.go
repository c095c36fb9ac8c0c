package pgnode

import (
	"fmt"
	"strings"
)

// The gate is a block of rules at the top of pg_hba.conf, where the first rule
// that matches decides. Closed, it admits the node's own roles and rejects
// everybody else; open, it holds no rule, and what follows it decides as ever.
const (
	gateBegin = "# BEGIN tenure gate: managed, changes in this block are lost"
	gateEnd   = "# END tenure gate"
)

// setGate returns the content of a pg_hba.conf with the gate open or closed.
// What is outside the block is kept to the letter. A block without an end is an
// error: what it was meant to hold cannot be told.
func setGate(content string, open bool, admit []string) (string, error) {
	rest, err := cutGate(content)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(gateBegin + "\n")
	if open {
		b.WriteString("# open\n")
	} else {
		b.WriteString("# closed\n")
		for _, line := range admit {
			b.WriteString(line + "\n")
		}
		b.WriteString("local all,replication all reject\nhost all,replication all all reject\n")
	}
	b.WriteString(gateEnd + "\n")
	return b.String() + rest, nil
}

// gateOpen reports what the gate in a pg_hba.conf is. A file without a block has
// an open one: nothing keeps clients out.
func gateOpen(content string) (bool, error) {
	if _, err := cutGate(content); err != nil {
		return false, err
	}
	return !strings.HasPrefix(content, gateBegin+"\n# closed\n"), nil
}

func cutGate(content string) (string, error) {
	before, after, ok := strings.Cut(content, gateBegin+"\n")
	if !ok {
		return content, nil
	}
	_, rest, ok := strings.Cut(after, gateEnd+"\n")
	if !ok || strings.Contains(rest, gateBegin) {
		return "", textError("pg_hba.conf", gateBegin, fmt.Sprintf("its block has no single end %q", gateEnd))
	}
	return before + rest, nil
}

// admitRules are the rules of the roles that a closed gate lets in.
func admitRules(roles []string, method string) []string {
	var out []string
	for _, r := range roles {
		out = append(out,
			fmt.Sprintf("local all,replication %s %s", ident(r), method),
			fmt.Sprintf("host all,replication %s all %s", ident(r), method))
	}
	return out
}
