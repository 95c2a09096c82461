// Package lint holds the rules of this repository that no public linter knows,
// as Go tests: who imports whom, how large things may be, what is documented,
// where floats, clocks and settings may be used, which versions of modules are
// too old, and that the documents' links lead somewhere.
//
// A rule is a function from the parsed tree to violations. A violation stands
// unless the rule's allow-list names it and gives a reason; an entry that
// excuses nothing is a violation too. Each rule is itself tested on sources
// that break it.
package lint
