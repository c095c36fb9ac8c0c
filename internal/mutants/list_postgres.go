package main

// postgresMutations take out the rules of the nodes that are PostgreSQL servers.
func postgresMutations() []mutation { return nil }
