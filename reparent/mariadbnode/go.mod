module github.com/tenure-go/tenure/reparent/mariadbnode

go 1.25.0

replace github.com/tenure-go/tenure => ../..

require (
	github.com/go-sql-driver/mysql v1.10.1
	github.com/tenure-go/tenure v0.0.0
)

require filippo.io/edwards25519 v1.2.0 // indirect
