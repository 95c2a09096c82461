package state

const (
	// EmptyText is the number of "", the group of missing, null and empty values.
	EmptyText = 0
	// UnknownText is no text's number. In a group that stands for many, it is
	// where they differ.
	UnknownText = ^uint64(0)
)
