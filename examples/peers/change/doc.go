// Package change measures a change of leader in clusters inside one process, with
// a delay injected on every message: Tenure beside hashicorp/raft and etcd-io/raft.
package change
