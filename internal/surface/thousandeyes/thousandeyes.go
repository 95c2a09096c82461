package thousandeyes

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/thousandeyes/wire"
)

// defaultPageRows is how many rows a page of the units operations holds.
const defaultPageRows = 100

// Options configures the surface. Service and Clock are required.
type Options struct {
	Service *metering.Service
	Clock   func() time.Time
	// CursorKey is secret and at least 16 random bytes; cursors end when it changes.
	CursorKey []byte
	// Base is the address that links begin with, without a slash at its end;
	// "" = the one that the request was sent to.
	Base string
	// PageRows is a page of the units operations; 0 = defaultPageRows.
	PageRows int
	// RequestsPerMinute is what each customer may send; 0 = no limit.
	RequestsPerMinute int
}

// api answers the operations.
type api struct {
	Options
	cursors *wire.CursorCodec
	limiter *wire.Limiter
}

// Surface returns the API.
func Surface(o Options) *httpserver.Surface {
	if o.PageRows <= 0 {
		o.PageRows = defaultPageRows
	}
	a := &api{o, wire.NewCursorCodec(o.CursorKey), wire.NewLimiter(o.RequestsPerMinute, wire.MaxLimited)}
	s := &httpserver.Surface{
		Name:         "thousandeyes",
		Authenticate: func(x *httpserver.Exchange) (access.Principal, error) { return x.BearerAuth(o.Service) },
		Fail:         fail,
		Under:        []string{"/v7/"},
		Refuse:       refuse,
	}
	for path, handle := range map[string]httpserver.Handler{
		wire.PathUsage: a.usage, wire.PathTestUnits: a.testUnits, wire.PathAgentUnits: a.agentUnits,
	} {
		s.Routes = append(s.Routes, httpserver.Route{Method: http.MethodGet, Path: path, Handle: handle})
	}
	return s
}

func (a *api) usage(x *httpserver.Exchange) error {
	r, err := wire.ParseUsage(x.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	now := a.Clock().UTC()
	s, err := a.subject(x, r.AID, now)
	if err != nil {
		return err
	}
	cycle, err := s.stretches(x.Request.Context(), meter.Period{From: s.customer.cycle(now).From, To: now})
	if err != nil {
		return err
	}
	return answer(x, wire.UsageAnswer{Usage: s.customer.Usage(r, now, cycle), Links: r.Links(a.base(x))})
}

func (a *api) testUnits(x *httpserver.Exchange) error {
	return page(a, x, wire.TestsOperation, (*Customer).TestUnits)
}

func (a *api) agentUnits(x *httpserver.Exchange) error {
	return page(a, x, wire.AgentsOperation, (*Customer).AgentUnits)
}

// page answers a page of a units operation.
func page[Row any](a *api, x *httpserver.Exchange, op wire.Operation,
	rows func(c *Customer, r wire.UnitsRequest, u Units, size int) ([]Row, *wire.Position)) error {
	p := x.Principal
	scope := strings.Join([]string{p.Organization, p.Customer, p.DefaultAID}, "\x00")
	r, err := wire.ParseUnits(op, scope, x.Request.URL.RawQuery, a.cursors, a.Clock())
	if err != nil {
		return err
	}
	s, err := a.subject(x, r.AID, r.Now)
	if err != nil {
		return err
	}
	if !s.customer.Metered {
		return meter.Errorf(meter.KindForbidden, "this operation is for customers with usage-based pricing")
	}
	cycle := s.customer.cycle(r.Now)
	r.DefaultRange(cycle)
	soFar := meter.Period{From: cycle.From, To: r.Now}
	var u Units
	if u.Cycle, err = s.stretches(x.Request.Context(), soFar); err != nil {
		return err
	}
	if u.Range = u.Cycle; r.Data() != soFar {
		if u.Range, err = s.stretches(x.Request.Context(), r.Data()); err != nil {
			return err
		}
	}
	list, next := rows(s.customer, r, u, a.PageRows)
	links, err := r.Links(a.base(x), a.cursors, next)
	if err != nil {
		return err
	}
	return answer(x, wire.Page[Row]{Breakdowns: list, Links: links})
}

// base is what the links of an answer begin with.
func (a *api) base(x *httpserver.Exchange) string {
	if a.Base != "" {
		return a.Base
	}
	if x.Request.TLS != nil {
		return "https://" + x.Request.Host
	}
	return "http://" + x.Request.Host
}

// subject is the customer that a request is about, and who asks.
type subject struct {
	service   *metering.Service
	principal access.Principal
	view      *catalog.View
	id        string
	customer  *Customer
}

// errUnseen answers for each account group that the key may not see, whether
// there is one or not.
var errUnseen = meter.Errorf(meter.KindForbidden, "the account group is not assigned to this token")

// errLimited is answered 429, unlike a server that is too busy.
var errLimited = meter.Errorf(meter.KindOverloaded, "too many requests in this minute")

// subject finds the customer, by one of its account groups or as the one that
// the key is bound to, and counts the request against its rate limit.
func (a *api) subject(x *httpserver.Exchange, aid string, now time.Time) (*subject, error) {
	s := &subject{service: a.Service, principal: x.Principal, id: x.Principal.Customer}
	noAID := aid == "" && s.id == ""
	if noAID {
		aid = x.Principal.DefaultAID
	}
	want := catalog.OfCustomers(s.id)
	if aid != "" {
		want.Once = []catalog.NounRef{{Kind: catalog.NounAccountGroup, ID: aid}}
	}
	var err error
	if s.view, err = a.Service.Catalog(x.Request.Context(), x.Principal, want); err != nil {
		return nil, err
	}
	if noAID && aid == "" {
		return nil, wire.Invalid(wire.CodeMissing, "aid", "this token has no default account group")
	}
	if aid != "" {
		c, ok := s.view.CustomerByAID(aid)
		if !ok || s.id != "" && s.id != c.ID {
			return nil, errUnseen
		}
		s.id = c.ID
	}
	var ok bool
	if s.customer, ok = customerOf(s.view, s.id, now); !ok {
		return nil, errUnseen
	}
	allowance := a.limiter.Take(x.Principal.Organization+"\x00"+s.id, a.Clock())
	allowance.SetHeaders(x.Header())
	if !allowance.OK {
		return nil, errLimited
	}
	return s, nil
}

// stretches returns what the customer used in a period, which may be empty.
func (s *subject) stretches(ctx context.Context, in meter.Period) ([]Stretch, error) {
	units := s.view.Units()
	if units == nil || !in.From.Before(in.To) {
		return nil, nil
	}
	parts := ownersIn(s.view, s.id, in)
	for i := range parts {
		var err error
		part := &parts[i]
		if units.Cloud != nil {
			if part.Cloud, err = s.uses(ctx, units.Cloud.Meter, part.Period); err != nil {
				return nil, err
			}
		}
		if units.Enterprise != nil {
			if part.Enterprise, err = s.uses(ctx, units.Enterprise.Meter, part.Period); err != nil {
				return nil, err
			}
		}
	}
	stretches := make([]Stretch, len(parts))
	for i := range parts {
		stretches[i] = parts[i].Stretch
	}
	return stretches, nil
}

// The attributes of events by which units are attributed.
const (
	groupAttribute = "account_group"
	testAttribute  = "test"
	agentAttribute = "agent"
)

// uses asks a meter for the customer's units in a period.
func (s *subject) uses(ctx context.Context, key string, in meter.Period) ([]Use, error) {
	q := meter.UsageQuery{Meter: key, From: in.From, To: in.To, GroupBy: []string{groupAttribute, testAttribute, agentAttribute},
		Filters: []meter.AttrFilter{{Attribute: meter.CustomerAttribute, Values: []string{s.id}}}, All: true}
	u, err := s.service.Usage(ctx, s.principal, q)
	if meter.KindOf(err) == meter.KindNotFound && err != nil {
		return nil, meter.WrapError(meter.KindUnavailable, err, "units are counted with a meter that is gone")
	}
	if err != nil {
		return nil, err
	}
	uses := make([]Use, 0, len(u.Rows))
	for _, r := range u.Rows {
		uses = append(uses, Use{AccountGroup: r.Group[0], Test: r.Group[1], Agent: r.Group[2], Units: r.Value})
	}
	return uses, nil
}

// answer writes a body of 200.
func answer(x *httpserver.Exchange, v any) error {
	body, err := wire.Encode(v)
	if err != nil {
		return err
	}
	return write(x, http.StatusOK, wire.ContentType, body)
}

func write(x *httpserver.Exchange, status int, contentType string, body []byte) error {
	x.Header().Set("Content-Type", contentType)
	x.Header().Set("Cache-Control", "no-store")
	x.WriteHeader(status)
	_, err := x.Write(body)
	return err
}

// refuse answers a path or a method that is not served.
func refuse(x *httpserver.Exchange, status int, detail string) {
	body, _ := wire.Encode(wire.NewProblem(status, detail, x.Request.URL.Path, nil)) // texts always encode
	_ = write(x, status, wire.ProblemContentType, body)                              // fails only where nobody listens any more
}

// statuses is the one table from error kind to the vendor's status. What is
// not in it is 500.
var statuses = map[meter.Kind]int{
	meter.KindInvalid:         http.StatusBadRequest,
	meter.KindTooLarge:        http.StatusBadRequest,
	meter.KindUnauthenticated: http.StatusUnauthorized,
	meter.KindForbidden:       http.StatusForbidden,
	meter.KindNotFound:        http.StatusNotFound,
	meter.KindUnsupported:     http.StatusUnsupportedMediaType,
	meter.KindOverloaded:      http.StatusServiceUnavailable, // 429 is for a customer's rate limit
	meter.KindStorageFull:     http.StatusServiceUnavailable,
	meter.KindUnavailable:     http.StatusServiceUnavailable,
	meter.KindCorrupt:         http.StatusServiceUnavailable,
}

// fail answers an error in the vendor's form.
func fail(x *httpserver.Exchange, err error) {
	status, ok := statuses[meter.KindOf(err)]
	switch {
	case errors.Is(err, errLimited):
		status = http.StatusTooManyRequests
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status = http.StatusServiceUnavailable
	case !ok:
		status = http.StatusInternalServerError
	}
	if status >= http.StatusInternalServerError {
		wire.RemoveHeaders(x.Header())
	}
	if status == http.StatusUnauthorized {
		x.Header().Set("WWW-Authenticate", "Bearer")
		body, _ := wire.Encode(wire.InvalidToken) // texts always encode
		_ = write(x, status, wire.TokenErrorType, body)
		return
	}
	detail := "the cause is in the server's log under request " + x.ID()
	var known *meter.Error
	if errors.As(err, &known) && known.Kind != meter.KindInternal {
		detail = known.Message
		if status == http.StatusServiceUnavailable && known.RetryAfter > 0 {
			seconds := (known.RetryAfter + time.Second - 1) / time.Second
			x.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		}
	}
	var invalid *wire.InvalidError
	var fields []wire.FieldError
	if errors.As(err, &invalid) {
		fields = invalid.Fields
	}
	body, _ := wire.Encode(wire.NewProblem(status, detail, x.Request.URL.Path, fields))
	_ = write(x, status, wire.ProblemContentType, body) // fails only where nobody listens any more
}
