module github.com/tenure-go/tenure

go 1.25

require (
	github.com/anishathalye/porcupine v1.3.1 // indirect
	github.com/stretchr/testify v1.11.1 // indirect
	golang.org/x/sync v0.19.0 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)
