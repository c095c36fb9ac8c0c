// Package reparent is under construction.
package reparent
