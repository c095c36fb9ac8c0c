module github.com/tenure-go/tenure/examples/failover

go 1.25.0

require (
	github.com/tenure-go/tenure v0.0.0
	go.yaml.in/yaml/v3 v3.0.6
)

replace github.com/tenure-go/tenure => ../..
