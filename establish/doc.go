// Package establish is under construction.
package establish
