//go:build !race

package reparent_test

const slower = 1
