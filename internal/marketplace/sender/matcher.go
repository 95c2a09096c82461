package sender

// matcher gives the parts of an answer to the lines that were sent together:
// never by position, and only where exactly one line fits.
type matcher struct {
	what    string // that the answer names: a record, an event
	put     func(line int, r Result)
	answers [][]Result // by line
	several bool       // a part fits several lines: sent alone, each is answered alone
}

func newMatcher(lines int, what string, put func(line int, r Result)) *matcher {
	return &matcher{what: what, put: put, answers: make([][]Result, lines)}
}

// add gives a part to the one line that it fits. What fits several, or none,
// tells nothing of any.
func (m *matcher) add(fits func(line int) bool, result func(line int) Result) {
	at := -1
	for i := range m.answers {
		if !fits(i) {
			continue
		}
		if at >= 0 {
			m.several = true
			return
		}
		at = i
	}
	if at >= 0 {
		m.answers[at] = append(m.answers[at], result(at))
	}
}

// finish fills in the results. A line that the answer does not name, or names
// twice with different outcomes, is unknown. Lines that the answer does not tell
// apart have to be sent again, alone.
func (m *matcher) finish() fault {
	for i, got := range m.answers {
		switch {
		case len(got) == 0:
			m.put(i, Result{Reason: "the answer does not name the " + m.what})
		case !alike(got):
			m.put(i, Result{Reason: "the answer tells different things of the " + m.what, Response: got[0].Response})
		default:
			m.put(i, got[0])
		}
	}
	if m.several {
		return faultLine
	}
	return faultNone
}

// alike says whether results say the same of a line.
func alike(results []Result) bool {
	for _, r := range results[1:] {
		first := results[0]
		if r.Outcome != first.Outcome || r.Reason != first.Reason || r.Accepted.Cmp(first.Accepted) != 0 {
			return false
		}
	}
	return true
}
