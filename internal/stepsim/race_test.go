//go:build race

package stepsim_test

const raceEnabled = true
