//go:build race

// Package race tells tests whether the race detector is on, which makes them six
// to ten times as slow: what runs many schedules runs fewer under it.
package race

// Enabled says whether the race detector is on.
const Enabled = true
