package etcdregistry_test

const childVar = "ETCDREGISTRY_TEST_HOLDER"

func lockHolder(string) int { return 1 }
