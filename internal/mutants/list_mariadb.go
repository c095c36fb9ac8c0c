package main

// mariadbMutations take out the rules of the nodes that are MariaDB servers.
func mariadbMutations() []mutation { return nil }
