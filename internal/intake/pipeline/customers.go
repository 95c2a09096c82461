package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxKnownCustomers bounds how many customers one run remembers, and so looks up.
const maxKnownCustomers = 100_000

// customerCheck looks the customers of lines up in the catalog, each once: a
// name that was typed wrong would count for nobody for ever. Without must it
// only counts them, and gives up where it cannot tell: the key may not look, or
// the organization keeps no customers.
type customerCheck struct {
	look  func(ctx context.Context, customer string) (known bool, err error)
	must  bool // --known-customers: lines of unknown ones are not sent
	off   bool
	known map[string]bool
	lines map[string]int // by unknown customer
}

// line says why an event may not be sent, "" where it may.
func (k *customerCheck) line(ctx context.Context, event []byte) (refused string, err error) {
	if k.off {
		return "", nil
	}
	subject := subjectOf(event)
	if len(subject) == 0 {
		return "", nil
	}
	known, looked := k.known[string(subject)]
	if !looked {
		var name string
		if err := json.Unmarshal(subject, &name); err != nil {
			return "", err
		}
		if known, err = k.look(ctx, name); err != nil && k.must {
			return "", fmt.Errorf("--known-customers: cannot look customer %q up: %w", name, err)
		} else if err != nil || len(k.known) >= maxKnownCustomers && !k.must {
			k.off = true // it cannot be told; what was counted until now is
			return "", nil
		}
		if len(k.known) < maxKnownCustomers {
			k.known[string(subject)] = known
		}
	}
	if known {
		return "", nil
	}
	if k.must {
		return fmt.Sprintf("customer %s is not in the catalog", clip(string(subject), 100)), nil
	}
	k.lines[string(subject)]++
	return "", nil
}

// subjectOf returns the subject, in JSON, of an event as decoders write it:
// between the type and the time.
func subjectOf(event []byte) []byte {
	head, _, _ := bytes.Cut(event, []byte(`,"data":{`))
	_, rest, ok := bytes.Cut(head, []byte(`,"subject":`))
	if !ok {
		return nil
	}
	subject, _, _ := bytes.Cut(rest, []byte(`,"time":"`))
	return subject
}

// warning tells of lines that were sent for customers that the catalog does not have.
func (k *customerCheck) warning() string {
	if len(k.lines) == 0 {
		return ""
	}
	total := 0
	names := make([]string, 0, len(k.lines))
	for name, n := range k.lines {
		total += n
		names = append(names, fmt.Sprintf("%s (%d)", clip(name, 60), n))
	}
	slices.Sort(names)
	if left := len(names) - 10; left > 0 {
		names = append(names[:10], fmt.Sprintf("and %d more", left))
	}
	return fmt.Sprintf("%d lines name customers that the catalog does not have: %s; they count for them and are listed as unattributed (--known-customers refuses them)",
		total, strings.Join(names, ", "))
}

// clip cuts a text to at most limit bytes, between characters.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:limit], ""), len(text))
}
