module github.com/tenure-go/tenure/reparent/mariadbnode

go 1.25.0

replace github.com/tenure-go/tenure => ../..

require (
	github.com/go-sql-driver/mysql v1.10.1
	github.com/stretchr/testify v1.11.1
	github.com/tenure-go/tenure v0.0.0
	pgregory.net/rapid v1.3.0
)

require (
	filippo.io/edwards25519 v1.2.0 // indirect
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
