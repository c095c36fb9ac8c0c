package stepsim

import "slices"

// blocks is a list that grows without being copied.
type blocks[T any] struct {
	full [][]T
	last []T
}

const blockSize = 128

func (b *blocks[T]) add(x T) {
	if len(b.last) == cap(b.last) {
		if b.last != nil {
			b.full = append(b.full, b.last)
		}
		b.last = make([]T, 0, blockSize)
	}
	b.last = append(b.last, x)
}

func (b *blocks[T]) len() int { return len(b.full)*blockSize + len(b.last) }

// all returns the list in one piece.
func (b *blocks[T]) all() []T { return slices.Concat(append(slices.Clip(b.full), b.last)...) }
