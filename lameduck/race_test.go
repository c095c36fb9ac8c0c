//go:build race

package lameduck_test

const underRace = true
