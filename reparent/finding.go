package reparent

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// Severity says how much a Finding matters.
type Severity string

const (
	// SeverityLoss: as configured, a completed write can be lost, a client can
	// be told a falsehood, or two leaders can complete requests.
	SeverityLoss Severity = "loss"
	// SeverityOutage: nothing is lost, but a change of leadership, or the
	// return of a node, cannot end or takes far longer than it needs to.
	SeverityOutage Severity = "outage"
	// SeverityAdvice: worth changing, with no such consequence.
	SeverityAdvice Severity = "advice"
	// SeverityUnknown: what the finding is about could not be read, so that
	// nothing is known of it. It is not a clean bill.
	SeverityUnknown Severity = "unknown"
)

// Rank orders severities, the gravest first: 0 for SeverityLoss. A value that
// is none of the constants ranks last.
func (s Severity) Rank() int {
	switch s {
	case SeverityLoss:
		return 0
	case SeverityUnknown:
		return 1
	case SeverityOutage:
		return 2
	case SeverityAdvice:
		return 3
	}
	return 4
}

// Finding is one thing that a node's doctor found in its live configuration.
// It is a hint for people and for pre-flight checks; no decision of a change
// rests on it.
type Finding struct {
	Node     leadership.NodeID `json:"node"`
	Severity Severity          `json:"severity"`
	// Subject names the setting, grant or object, with the value it has.
	Subject string `json:"subject"`
	// Risk says what can be lost, or what will not work.
	Risk string `json:"risk"`
	// Remedy is the setting or the statement that mends it.
	Remedy string `json:"remedy"`
}

// String returns the finding as one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s: %s; %s", f.Node, f.Severity, f.Subject, f.Risk, f.Remedy)
}
