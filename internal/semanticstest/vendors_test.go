package semanticstest

import (
	"context"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/cloudevents"
	"odometer/internal/metering"
)

// serve puts the service and its surfaces over the ledger with the first
// command that needs them.
func (w *world) serve() *server {
	if w.server == nil {
		w.server = newServer(w.t, w.dir, w.open(), w.clock.Now)
	}
	return w.server
}

// applyCatalog applies the input, YAML as `odometer apply` takes it, and
// prints what changed. The word prune removes what the input leaves out.
func (w *world) applyCatalog(a arguments, p part) error {
	o := metering.ApplyOptions{Prune: a.has("prune")}
	if at := a.get("effective"); at != "" {
		o.Effective = w.time(at)
	}
	diff, err := w.serve().apply(w.org, strings.Join(p.input, "\n"), o)
	for _, c := range diff.Changes {
		w.printf("%s %s %s\n", c.Action, c.Noun, strings.TrimPrefix(c.Customer+"/"+c.ID, "/"))
	}
	return err
}

// createKey makes a key that reads, under a name that only the script knows.
func (w *world) createKey(a arguments, _ part) error {
	n := access.NewKey{Organization: w.org, Role: access.RoleRead, Customer: a.get("customer"), DefaultAID: a.get("default_aid")}
	if list := a.get("accounts"); list != "" {
		n.Accounts = strings.Split(list, ",")
	}
	w.keys[a.words[0]] = w.serve().key(n)
	return nil
}

// sendSeries sends n events in equal steps of time. Their member, multiplied
// out, is each of unit, 2 unit, ... n unit once: in that order, or scattered
// by a multiplier that has no factor in common with n. The input is what else
// data holds.
func (w *world) sendSeries(a arguments, p part) error {
	n, err := strconv.Atoi(a.get("n"))
	if err != nil {
		return err
	}
	unit, err := strconv.ParseInt(a.or("unit", "1"), 10, 64)
	if err != nil {
		return err
	}
	multiply, err := strconv.Atoi(a.or("multiply", "1"))
	if err != nil {
		return err
	}
	step, err := time.ParseDuration(a.or("step", "5m"))
	if err != nil {
		return err
	}
	from, rest := w.time(a.get("from")), ""
	w.series[a.words[0]] = nil
	for _, line := range p.input {
		rest += "," + line
	}
	var body strings.Builder
	for i := range n {
		value := int64(i*multiply%n+1) * unit
		w.series[a.words[0]] = append(w.series[a.words[0]], sample{from.Add(time.Duration(i) * step), big.NewRat(value, 1)})
		fmt.Fprintf(&body, `{"specversion":"1.0","id":"%s-%d","source":"series","type":%q,"subject":%q,"time":%q,"data":{%q:%d%s}}`+"\n",
			a.words[0], i, a.or("type", "request"), a.get("subject"), from.Add(time.Duration(i)*step).Format(time.RFC3339),
			a.or("member", "bytes"), value, rest)
	}
	r, err := w.decode(body.String(), cloudevents.NDJSON, false)
	if err == nil {
		w.printf("accepted %d, rejected %d\n", r.Accepted, r.Rejected)
	}
	return err
}

// sample is one event of a series.
type sample struct {
	at    time.Time
	value *big.Rat
}

// naive prints, by no code but its own, N and rank of a series of bytes in
// [from, to) as of the clock, and its total in GB, 95/5 and peak in Mbps.
func (w *world) naive(a arguments, _ part) error {
	from, to := w.time(a.get("from")), w.time(a.get("to"))
	sums := map[int64]*big.Rat{} // by number of the five minutes since 1970
	total := new(big.Rat)
	for _, name := range a.words {
		for _, s := range w.series[name] {
			if s.at.Before(from) || !s.at.Before(to) {
				continue
			}
			total.Add(total, s.value)
			slot := s.at.Unix() / 300
			if sums[slot] == nil {
				sums[slot] = new(big.Rat)
			}
			sums[slot].Add(sums[slot], s.value)
		}
	}
	var samples []*big.Rat
	for at := from.Unix(); at+300 <= min(to.Unix(), w.clock.Now().Unix()); at += 300 {
		if v := sums[at/300]; v != nil {
			samples = append(samples, v)
		} else {
			samples = append(samples, new(big.Rat))
		}
	}
	slices.SortFunc(samples, (*big.Rat).Cmp)
	n := len(samples)
	rank := n - n*5/100
	mbps := func(bytes *big.Rat) string {
		return decimalText(new(big.Rat).Mul(bytes, big.NewRat(8, 300*1_000_000)))
	}
	w.printf("N %d, rank %d: total %s, 95/5 %s, peak %s\n", n, rank, decimalText(total.Mul(total, big.NewRat(1, 1_000_000_000))),
		mbps(samples[rank-1]), mbps(samples[n-1]))
	return nil
}

// decimalText is a number with at most six decimals and without zeros at its
// end; a number of more fails to be equal to anything.
func decimalText(r *big.Rat) string {
	text := r.FloatString(6)
	if back, ok := new(big.Rat).SetString(text); !ok || back.Cmp(r) != 0 {
		return r.String()
	}
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// ask sends METHOD TARGET to a surface with a key, and prints status and body.
func (w *world) ask(a arguments, p part) error {
	if len(a.words) != 2 {
		w.t.Fatalf("line %d: want METHOD TARGET", p.line)
	}
	vendor, _, _ := strings.Cut(p.command, " ")
	var c *credential
	if name := a.get("as"); name != "" {
		known, ok := w.keys[name]
		if !ok {
			w.t.Fatalf("line %d: no key %q", p.line, name)
		}
		c = &known
	}
	r := w.serve().send(vendor, c, a.words[0], a.words[1])
	w.printf("%d\n", r.Code)
	if r.Body.Len() > 0 {
		w.printf("%s\n", strings.TrimSuffix(layout(sequences.ReplaceAll(r.Body.Bytes(), []byte(`"sequence":"N"`)), ""), "\n"))
	}
	return nil
}

// sequences are places in the log as they are answered, whose numbers follow
// from an organization's own key.
var sequences = regexp.MustCompile(`"sequence":[0-9]+`)

// report sends a request to the Suger surface with a key that may report:
// METHOD TARGET, and the lines of the body.
func (w *world) report(a arguments, p part) error {
	if len(a.words) != 2 {
		w.t.Fatalf("line %d: want METHOD TARGET", p.line)
	}
	s := w.serve()
	key := s.key(access.NewKey{Organization: w.org, Role: access.RoleReport})
	r := httptest.NewRequest(a.words[0], a.words[1], strings.NewReader(strings.Join(p.input, "\n")))
	r.Header.Set("Authorization", "Key "+key.token)
	answer := httptest.NewRecorder()
	s.http.ServeHTTP(answer, r)
	w.printf("%d\n", answer.Code)
	switch text := answer.Body.Bytes(); {
	case len(text) > 0 && answer.Code == http.StatusOK:
		w.printf("%s\n", strings.TrimSuffix(layout(text, ""), "\n"))
	case len(text) > 0:
		w.printf("%s\n", text)
	}
	return nil
}

// cycles prints the billing cycle that the ThousandEyes surface states for
// each of several account groups.
func (w *world) cycles(a arguments, _ part) error {
	for aid := range strings.SplitSeq(a.get("aid"), ",") {
		var answer struct {
			Usage struct {
				Quota struct{ MonthStart, MonthEnd string }
			}
		}
		w.serve().get("thousandeyes", w.keys[a.get("as")], "/v7/usage?aid="+aid, &answer)
		w.printf("aid %s: %s to %s\n", aid, answer.Usage.Quota.MonthStart, answer.Usage.Quota.MonthEnd)
	}
	return nil
}

// closeMonth closes the month of a customer: CUSTOMER MONTH.
func (w *world) closeMonth(a arguments, _ part) error {
	s := w.serve()
	period, err := s.service.ClosePeriod(context.Background(), s.in(w.org), a.words[0], a.words[1])
	if err == nil {
		kept, _, keptErr := metering.KeptFigures(period)
		err = keptErr
		w.printf("%s of %s closed, %d figures of products kept\n", period.Month, period.Customer, kept)
	}
	return err
}
