module github.com/tenure-go/tenure/examples/failover

go 1.25.0

require (
	github.com/stretchr/testify v1.11.1
	github.com/tenure-go/tenure v0.0.0
	github.com/tenure-go/tenure/leadership/etcdregistry v0.0.0
	github.com/tenure-go/tenure/reparent/mariadbnode v0.0.0
	go.yaml.in/yaml/v3 v3.0.6
	pgregory.net/rapid v1.3.0
)

require (
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)

replace github.com/tenure-go/tenure => ../..

replace github.com/tenure-go/tenure/reparent/mariadbnode => ../../reparent/mariadbnode

replace github.com/tenure-go/tenure/reparent/pgnode => ../../reparent/pgnode

replace github.com/tenure-go/tenure/leadership/etcdregistry => ../../leadership/etcdregistry
