// Package revoke is under construction.
package revoke
