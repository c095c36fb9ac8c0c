package buffer

// place of a waiter in the structures of a lane, guarded by Lane.mu.
type placement uint8

const (
	inNone placement = iota
	inList
	inBack
	inBusy
	inRetry
)

// list is an intrusive list. All operations are O(1).
type list struct {
	head, tail *waiter
	n          int
}

func (l *list) append(w *waiter) { l.link(l.tail, w) }

// link puts w after at, or at the head when at is nil.
func (l *list) link(at, w *waiter) {
	l.n++
	w.prev = at
	if at == nil {
		w.next, l.head = l.head, w
	} else {
		w.next, at.next = at.next, w
	}
	if w.next == nil {
		l.tail = w
	} else {
		w.next.prev = w
	}
}

func (l *list) remove(w *waiter) {
	if w.prev == nil {
		l.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	l.n--
}

// heap is a binary heap that can remove from its middle: each waiter knows its
// index. All operations are O(log n).
type heap struct {
	ws   []*waiter
	at   func(w *waiter) *int32 // where w keeps its index
	less func(a, b *waiter) bool
}

func backIndex(w *waiter) *int32   { return &w.back }
func victimIndex(w *waiter) *int32 { return &w.victim }
func earlier(a, b *waiter) bool    { return a.seq < b.seq }

func (h *heap) first() *waiter {
	if len(h.ws) == 0 {
		return nil
	}
	return h.ws[0]
}

//go:noinline
func (h *heap) push(w *waiter) {
	h.ws = append(h.ws, w)
	h.up(len(h.ws) - 1)
}

//go:noinline
func (h *heap) remove(w *waiter) {
	i, last := int(*h.at(w)), len(h.ws)-1
	moved := h.ws[last]
	h.ws[last] = nil
	h.ws = h.ws[:last]
	if i < last {
		h.ws[i] = moved
		h.up(i)
		h.down(int(*h.at(moved)))
	}
	if last == 0 && cap(h.ws) > 1024 {
		h.ws = nil // a rare crowd is not kept for ever
	}
}

func (h *heap) up(i int) {
	w := h.ws[i]
	for i > 0 {
		p := (i - 1) / 2
		if !h.less(w, h.ws[p]) {
			break
		}
		h.set(i, h.ws[p])
		i = p
	}
	h.set(i, w)
}

func (h *heap) down(i int) {
	w := h.ws[i]
	for {
		c := 2*i + 1
		if c >= len(h.ws) {
			break
		}
		if c+1 < len(h.ws) && h.less(h.ws[c+1], h.ws[c]) {
			c++
		}
		if !h.less(h.ws[c], w) {
			break
		}
		h.set(i, h.ws[c])
		i = c
	}
	h.set(i, w)
}

func (h *heap) set(i int, w *waiter) {
	h.ws[i] = w
	*h.at(w) = int32(i)
}

// order keeps waiters by seq. Those that arrive, and those put back before all
// others, cost O(1); whoever is put back between others costs O(log n).
type order struct {
	list list
	back heap
}

func (o *order) init() { o.back.at, o.back.less = backIndex, earlier }

func (o *order) empty() bool { return o.list.head == nil && len(o.back.ws) == 0 }

func (o *order) insert(w *waiter) {
	switch l := &o.list; {
	case l.tail == nil || l.tail.seq < w.seq:
		w.in = inList
		l.append(w)
	case w.seq < l.head.seq:
		w.in = inList
		l.link(nil, w)
	default:
		w.in = inBack
		o.back.push(w)
	}
}

func (o *order) remove(w *waiter) {
	if w.in == inBack {
		o.back.remove(w)
	} else {
		o.list.remove(w)
	}
	w.in = inNone
}

func (o *order) first() *waiter {
	h, b := o.list.head, o.back.first()
	if h == nil || b != nil && b.seq < h.seq {
		return b
	}
	return h
}

// last is one of those whose turn comes late.
func (o *order) last() *waiter {
	if o.list.tail != nil {
		return o.list.tail
	}
	return o.back.ws[len(o.back.ws)-1]
}
