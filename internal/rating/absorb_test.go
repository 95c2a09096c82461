package rating

import (
	"fmt"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// TestAbsorbKeepsEveryDigit: in whatever order, usage is what was absorbed and
// what is left, money taken is never more than there was, and nothing is left
// to bill while money that could absorb it is.
func TestAbsorbKeepsEveryDigit(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	orders := [][]Step{DefaultOrder, {StepIncluded, StepCredit, StepCommit}, {StepCommit, StepIncluded, StepCredit}, {StepCredit}}
	for range 2000 {
		usage, prices, included := map[string]meter.Decimal{}, map[string]meter.Decimal{}, map[string]meter.Decimal{}
		for i := range 1 + r.IntN(4) {
			d := fmt.Sprint(i)
			usage[d], prices[d], included[d] = thousandths(r, 1e6), thousandths(r, 300), thousandths(r, 1e5)
		}
		b := Balances{Credit: thousandths(r, 1e5), Commit: thousandths(r, 1e5), Included: included}
		order := orders[r.IntN(len(orders))]
		got := Absorb(usage, prices, b, order)
		var credit, commit meter.Decimal
		for d, a := range got {
			if sum := a.Credit.Add(a.Commit).Add(a.Included).Add(a.Left); sum.Cmp(usage[d]) != 0 {
				t.Fatalf("%s: parts make %s of %s", d, sum, usage[d])
			}
			for _, part := range []meter.Decimal{a.Credit, a.Commit, a.Included, a.Left, a.CreditAmount, a.CommitSpent} {
				if part.Sign() < 0 {
					t.Fatalf("%s: a part is %s", d, part)
				}
			}
			credit, commit = credit.Add(a.CreditAmount), commit.Add(a.CommitSpent)
		}
		if credit.Cmp(b.Credit) > 0 || commit.Cmp(b.Commit) > 0 {
			t.Fatalf("took %s of %s credit and %s of %s commit", credit, b.Credit, commit, b.Commit)
		}
		for d, a := range got {
			if a.Left.Sign() > 0 && prices[d].Sign() > 0 && credit.Cmp(b.Credit) < 0 {
				t.Fatalf("%s: %s is left to bill and %s of credit too", d, a.Left, b.Credit.Sub(credit))
			}
		}
	}
}

// TestCarryKeepsEveryDigit: over any hours, what was sent and what is carried
// is what was to be billed, and each quantity is of the format.
func TestCarryKeepsEveryDigit(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for _, f := range []Format{FormatAWS, FormatAzure, FormatGCPInt, FormatGCPDouble, {Places: 2, Maximum: meter.NewDecimal(3)}} {
		var billed, sent, carried meter.Decimal
		for range 2000 {
			b := meter.NewDecimal(r.Int64N(1e9) - 1e8).Quo(meter.NewDecimal(1 + r.Int64N(1e6)))
			var s meter.Decimal
			s, carried = Carry(b, carried, f)
			billed, sent = billed.Add(b), sent.Add(s)
			if s.Sign() < 0 || s.Cmp(f.Maximum) > 0 || s.Round(f.Places, meter.HalfEven).Cmp(s) != 0 {
				t.Fatalf("sent %s", s)
			}
			if sent.Add(carried).Cmp(billed) != 0 {
				t.Fatalf("sent %s and carried %s of %s", sent, carried, billed)
			}
		}
	}
}
