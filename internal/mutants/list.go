package main

import "slices"

// mutations are all there are. A new rule gets one; a rule that moves takes its
// mutation along. Those of the engines come last and are selected by themselves.
func mutations() []mutation {
	return slices.Concat(roundMutations(), policyMutations(), proposalMutations(), recordMutations(),
		acceptorMutations(), revokeMutations(), kitMutations(), reparentMutations(),
		lameduckMutations(), bufferMutations(), barrierMutations(), httpMutations(), sqlMutations(), handoverMutations(),
		survivorMutations(), oneCallMutations(), mariadbMutations(), postgresMutations())
}

// one is the edit of a mutation that needs only one.
func one(old, new string) []edit { return []edit{{old, new}} }
