package reparenttest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

func loud(picks []int) (n int) {
	for _, p := range picks {
		if p != 0 {
			n++
		}
	}
	return n
}

// encode writes picks with runs of zeros as "z<count>".
func encode(picks []int) string {
	var parts []string
	for i := 0; i < len(picks); {
		j := i
		for j < len(picks) && picks[j] == 0 {
			j++
		}
		if j > i {
			parts = append(parts, "z"+strconv.Itoa(j-i))
			i = j
			continue
		}
		parts = append(parts, strconv.Itoa(picks[i]))
		i++
	}
	if len(parts) == 0 {
		return "z0"
	}
	return strings.Join(parts, ".")
}

func decode(s string) ([]int, error) {
	var picks []int
	for part := range strings.SplitSeq(s, ".") {
		zeros, isZeros := strings.CutPrefix(part, "z")
		n, err := strconv.Atoi(zeros)
		if err != nil || n < 0 || n > 1<<20 {
			return nil, fmt.Errorf("%q is not a schedule: %q", s, part)
		}
		if isZeros {
			picks = append(picks, make([]int, n)...)
		} else {
			picks = append(picks, n)
		}
	}
	return picks, nil
}

func picksFromEnv(t *testing.T) ([]int, bool) {
	s := os.Getenv("TENURE_PICKS")
	if s == "" {
		return nil, false
	}
	p, err := decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return p, true
}
