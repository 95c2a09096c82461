package access

import (
	"encoding/json"
	"odometer/internal/meter"
	"slices"
	"strings"
)

// maxAccountBytes bounds an account id, as every id of the catalog is.
const maxAccountBytes = 256

// MaxAccounts is how many accounts a key may switch to.
const MaxAccounts = 1000

// Accounts are the account ids that a key may switch to, in order. Equal ones
// are equal in Go too.
type Accounts string // one a line

// NewAccounts makes Accounts of ids, each once.
func NewAccounts(ids ...string) (Accounts, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, id := range ids {
		if !meter.PlainText(id, maxAccountBytes) || strings.Contains(id, ":") {
			return "", meter.Errorf(meter.KindInvalid, "an account is 1 to %d bytes of UTF-8 without control characters and colons", maxAccountBytes)
		}
	}
	if len(ids) > MaxAccounts {
		return "", meter.Errorf(meter.KindTooLarge, "%d accounts are more than %d", len(ids), MaxAccounts)
	}
	return Accounts(strings.Join(ids, "\n")), nil
}

// List returns the ids in order.
func (a Accounts) List() []string {
	if a == "" {
		return nil
	}
	return strings.Split(string(a), "\n")
}

// Has says whether an account is among them.
func (a Accounts) Has(account string) bool { return slices.Contains(a.List(), account) }

// MarshalJSON renders a list.
func (a Accounts) MarshalJSON() ([]byte, error) { return json.Marshal(a.List()) }

// UnmarshalJSON reads a list.
func (a *Accounts) UnmarshalJSON(text []byte) error {
	var ids []string
	if err := json.Unmarshal(text, &ids); err != nil {
		return err
	}
	var err error
	*a, err = NewAccounts(ids...)
	return err
}

// Credential is what an EdgeGrid client signs with.
type Credential struct {
	ClientToken  string
	AccessToken  string
	ClientSecret string
}
