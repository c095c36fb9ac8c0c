// Package mariadbnode makes a MariaDB server a node of package reparent.
package mariadbnode
