//go:build race

package reparent_test

// slower divides what the simulation does under the race detector, which costs
// it a factor of six to ten. A third of the seeds still reaches every state.
const slower = 3
