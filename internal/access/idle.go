package access

// Idle returns the first member of n, by its name in the API, that could do
// nothing beside the others, and why; "" if there is none. Such a key would
// hold less, or more, than who makes it believes.
func (n NewKey) Idle() (member, why string) {
	signs, reads := n.Kind == KindEdgeGrid, n.Role.Allows(ActionRead)
	for _, c := range []struct {
		idle        bool
		member, why string
	}{
		{signs && !reads, "kind", "a key of kind edgegrid only reads usage, which the role " + string(n.Role) + " may not"},
		{n.Customer != "" && n.Role == RoleAdmin, "customer", "an admin key cannot be bound to a customer"},
		{len(n.Accounts) > 0 && !signs, "accounts", "only a key of kind edgegrid switches accounts"},
		{n.DefaultAID != "" && signs, "default_aid", "ThousandEyes' API takes a token, and no key of kind edgegrid"},
		{n.DefaultAID != "" && !reads, "default_aid", "it is of a key that reads usage, which the role " + string(n.Role) + " may not"},
		{n.DefaultAID != "" && n.Customer != "", "default_aid", "the key is bound to a customer, whose usage it asks for in any case"},
		{len(n.Sources) > 0 && (n.Customer == "" || n.Role != RoleIngest), "sources", "they are of an ingest key that is bound to a customer"},
		{n.Strict && (signs || !n.Role.Allows(ActionIngest)), "strict", "it is of a key that may send events"},
		{n.Operator && (signs || n.Role != RoleAdmin), "operator", "only an admin key of kind token can hold the operator right"},
	} {
		if c.idle {
			return c.member, c.why
		}
	}
	return "", ""
}
