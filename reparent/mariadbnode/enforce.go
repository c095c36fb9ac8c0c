package mariadbnode

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// EnforceError says why a MariaDB server cannot keep a policy when it leads.
type EnforceError struct{ Reason string }

func (e *EnforceError) Error() string { return "mariadbnode: " + e.Reason }

// CanEnforce implements leadership.Enforcer. A MariaDB leader completes a
// commit with its own binary log and one acknowledgement, from any member:
// there is no rpl_semi_sync_master_wait_for_slave_count. So it keeps exactly
// the policies by which itself and any one other member are durable, such as
// "at-least(2)", and "majority" of three.
//
// It returns an *EnforceError for another policy, for a ruleset of one member,
// whose commits would wait for ever, and when Config.RestartsFenced was not
// stated; or the errors of Ruleset.Compile.
func (n *Node) CanEnforce(rs leadership.Ruleset) error {
	if !n.cfg.RestartsFenced {
		return &EnforceError{"a server that comes up writable, or replicates by itself, undoes what it promised: put read_only=1, skip_slave_start=1 and rpl_semi_sync_master_enabled=0 into its option file, and state that with Config.RestartsFenced"}
	}
	rules, err := rs.Compile(n.cfg.Catalog)
	if err != nil {
		return err
	}
	c := rules.Cohort()
	self, ok := c.Member(n.cfg.ID)
	if !ok || !rules.Leaders().Has(self) {
		return nil // it does not lead under this ruleset
	}
	if rules.Members().Len() < 2 {
		return &EnforceError{"a leader waits for one acknowledgement, and there is no other member that could give it"}
	}
	for m := range rules.Members().All() {
		if m == self {
			continue
		}
		if !rules.Durable(self, leadership.SetOf(self, m)) {
			return &EnforceError{fmt.Sprintf("it completes what itself and one other member have, and {%s, %s} is not durable by %s: use at-least(2), with members any one of which will do", n.cfg.ID, c.Node(m).ID, rs.Policy)}
		}
	}
	return nil
}
