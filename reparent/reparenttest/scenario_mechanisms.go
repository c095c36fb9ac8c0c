package reparenttest

// mechanismStories are about revocations of every kind in every order.
func mechanismStories() []scenario { return nil }
