// Package grpcbuffer carries refusals, terms and held calls over gRPC.
package grpcbuffer
