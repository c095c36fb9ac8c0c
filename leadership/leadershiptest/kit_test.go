package leadershiptest_test

import (
	"path/filepath"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/leadershiptest"
)

func TestTheBuiltInRegistriesConform(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		leadershiptest.Registry(t, func(*testing.T) leadership.Registry { return &leadership.MemoryRegistry{} })
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		leadershiptest.Registry(t, func(t *testing.T) leadership.Registry {
			reg, err := leadership.OpenFileRegistry(filepath.Join(t.TempDir(), "registry"))
			if err != nil {
				t.Fatal(err)
			}
			return reg
		})
	})
}

func TestTheBuiltInBarriersConform(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		leadershiptest.Barrier(t, func(*testing.T) leadership.Barrier { return &leadership.MemoryBarrier{} }, nil)
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		paths := map[leadership.Barrier]string{}
		open := func(t *testing.T, path string) leadership.Barrier {
			b, err := leadership.OpenFileBarrier(path)
			if err != nil {
				t.Fatal(err)
			}
			paths[b] = path
			return b
		}
		leadershiptest.Barrier(t,
			func(t *testing.T) leadership.Barrier { return open(t, filepath.Join(t.TempDir(), "barrier")) },
			func(t *testing.T, b leadership.Barrier) leadership.Barrier { return open(t, paths[b]) })
	})
}

func TestTheBuiltInPoliciesConform(t *testing.T) {
	t.Parallel()
	for _, p := range []leadership.Policy{
		leadership.Majority(), leadership.All(), leadership.Any(),
		leadership.AtLeast(1), leadership.AtLeast(2), leadership.AtLeast(3), leadership.AtLeast(4),
		leadership.Zones(1), leadership.Zones(2), leadership.Zones(3),
		leadership.Weighted(0), leadership.Weighted(4), leadership.Weighted(7),
		leadership.Joint(leadership.AtLeast(2), leadership.Zones(2)),
		leadership.Joint(leadership.Weighted(0), leadership.Joint(leadership.Majority(), leadership.AtLeast(3))),
	} {
		t.Run(p.Spec(), func(t *testing.T) {
			t.Parallel()
			leadershiptest.Policy(t, p, nil)
		})
	}
}
