// Package report holds what was measured side by side and renders it. It reads no
// clock and starts nothing: the same rows always give the same page.
package report

import "math"

// Theirs is the same work done by somebody else, in the same run.
type Theirs struct {
	// Name is the peer as the table shows it: "vtgate buffer".
	Name string
	// Value is in the unit of the row. NaN: the work could not be measured there,
	// and Note says why.
	Value float64
	// Allocs is the heap objects per operation, negative when not counted.
	Allocs float64
	// Note is a short remark behind the figure, empty for none.
	Note string
}

// Bar is what the row must reach.
type Bar struct {
	// Text is the bar as the table shows it: "at most 0.25x vtgate".
	Text string
	// Want is false for a row that has no bar: it is shown, and is neither met nor
	// missed.
	Want bool
}

// Row is one line of the comparison.
type Row struct {
	// Group gathers rows under one heading: "Buffer", "Gate", "Quorum checks",
	// "Change of leader".
	Group string
	// Name is the work: "idle check by handle".
	Name string
	// Ours is the median over the rounds, in Unit. NaN: not measured.
	Ours float64
	// OursNote is a short remark behind our figure, empty for none.
	OursNote string
	// Theirs are the peers, the one that Ratio speaks of first.
	Theirs []Theirs
	// Unit of Ours and of every peer: "ns", "us CPU", "RTT", "goroutines".
	Unit string
	// Ratio is Ours divided by the first of Theirs, NaN where a ratio says nothing.
	// Over fills it in.
	Ratio float64
	// Allocs is the heap objects per operation of ours, negative when not counted.
	Allocs float64
	// Bar is the target, and Met whether this run reached it.
	Bar Bar
	Met bool
	// Floor is what the floor came to in this run, in the terms of the bar, when
	// it misses the bar itself: no design of this kind could meet it here. Such a
	// row is missed all the same, and says so. Empty where there is no floor, or
	// one that meets the bar.
	Floor string
	// Inconclusive says that this machine or this run cannot decide the bar; Note
	// says why. Such a row is neither met nor missed.
	Inconclusive bool
	// Note is what a reader must know to read the row.
	Note string
}

// Over is ours divided by theirs, NaN where there is nothing to divide by.
func Over(ours, theirs float64) float64 {
	if math.IsNaN(ours) || math.IsNaN(theirs) || theirs == 0 {
		return math.NaN()
	}
	return ours / theirs
}
