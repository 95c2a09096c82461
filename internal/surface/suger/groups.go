package suger

import (
	"context"
	"net/http"
	"odometer/internal/billing"
	"time"

	"odometer/internal/access"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/records"
	"odometer/internal/surface/suger/wire"
)

// reportGroup is operation reportUsageRecordGroup.
func (a api) reportGroup(x *httpserver.Exchange) error {
	text, err := body(x)
	if err != nil {
		return err
	}
	n, err := wire.ParseGroup(text, x.Param("organization"), x.Param("entitlement"))
	if err != nil {
		return err
	}
	once, err := idempotency(x, text)
	if err != nil {
		return err
	}
	g, err := a.Records.ReportGroup(x.Request.Context(), x.Principal, newGroup(n), once)
	if err != nil {
		return err
	}
	return answerGroup(x, g)
}

// reportGroups is operation batchReportUsageRecordGroups.
func (a api) reportGroups(x *httpserver.Exchange) error {
	groups, text, err := a.batch(x)
	if err != nil {
		return err
	}
	once, err := idempotency(x, text)
	if err != nil {
		return err
	}
	made, err := a.Records.ReportGroups(x.Request.Context(), x.Principal, groups, once)
	if err != nil {
		return err
	}
	out := make([]wire.Group, len(made))
	for i, g := range made {
		out[i] = groupOf(x.Principal, g)
	}
	encoded, err := wire.EncodeGroups(out)
	return answer(x, encoded, err)
}

// validateGroups is operation batchValidateUsageRecordGroups: an empty body if
// all is well, 400 for a request that cannot be read, and the vendor's 500 for a
// group that is refused.
func (a api) validateGroups(x *httpserver.Exchange) error {
	groups, _, err := a.batch(x)
	if err != nil {
		return err
	}
	err = a.Records.ValidateGroups(x.Request.Context(), x.Principal, groups)
	if meter.KindOf(err) == meter.KindInvalid && err != nil {
		x.CountAs(http.StatusBadRequest)
		writeText(x, http.StatusInternalServerError, err.Error())
		return nil
	}
	return answer(x, nil, err)
}

// batch reads the body of the batch operations.
func (a api) batch(x *httpserver.Exchange) ([]records.NewRecordGroup, []byte, error) {
	text, err := body(x)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := wire.ParseGroups(text, x.Param("organization"))
	if err != nil {
		return nil, nil, err
	}
	groups := make([]records.NewRecordGroup, len(parsed))
	for i, n := range parsed {
		groups[i] = newGroup(n)
	}
	return groups, text, nil
}

// groups is operation listUsageRecordGroups.
func (a api) groups(x *httpserver.Exchange) error {
	values, err := x.Query()
	if err != nil {
		return err
	}
	q, err := wire.ParseGroupQuery(values, a.Clock())
	if err != nil {
		return err
	}
	f := billing.RecordGroupFilter{From: q.From, To: q.To, Partner: q.Partner, Buyer: q.Buyer, Entitlement: q.Entitlement,
		Product: q.Product, Status: q.Status, Source: q.Source}
	if q.MetaInfo != "" {
		matches := wire.MetaInfoMatcher(q.MetaInfo)
		f.Match = func(g *billing.RecordGroup) bool {
			meta, err := metaOf(*g).Encode()
			return err == nil && matches(meta)
		}
	}
	page, err := a.Records.RecordGroups(x.Request.Context(), x.Principal, f, int(q.Offset), q.Limit)
	if err != nil {
		return err
	}
	out := make([]wire.Group, len(page.Items))
	for i, g := range page.Items {
		out[i] = groupOf(x.Principal, g)
	}
	encoded, err := wire.EncodeGroupList(out, next(page))
	return answer(x, encoded, err)
}

// next is where the next page of groups begins, 0 if there is none.
func next(page billing.RecordGroupPage) int32 {
	if !page.More {
		return 0
	}
	return int32(page.Next)
}

// nextOffset is where the next page begins, 0 if there is none.
func nextOffset(offset int32, rows int, more bool) int32 {
	if !more {
		return 0
	}
	return offset + int32(rows)
}

// deleteGroup is operation deleteUsageRecordGroup.
func (a api) deleteGroup(x *httpserver.Exchange) error {
	return a.changeGroup(x, a.Records.DeleteGroup)
}

// retryGroup is operation retryUsageRecordGroup.
func (a api) retryGroup(x *httpserver.Exchange) error { return a.changeGroup(x, a.Records.RetryGroup) }

// changeGroup changes one group, of the day that the request names, if any.
func (a api) changeGroup(x *httpserver.Exchange, change func(context.Context, access.Principal, string, time.Time) (billing.RecordGroup, error)) error {
	values, err := x.Query()
	if err != nil {
		return err
	}
	day, err := wire.ParseCreationDate(values)
	if err != nil {
		return err
	}
	g, err := change(x.Request.Context(), x.Principal, x.Param("group"), day)
	if err != nil {
		return err
	}
	return answerGroup(x, g)
}

func answerGroup(x *httpserver.Exchange, g billing.RecordGroup) error {
	encoded, err := groupOf(x.Principal, g).Encode()
	return answer(x, encoded, err)
}

// newGroup is usage to report as the funnel takes it.
func newGroup(n wire.NewGroup) records.NewRecordGroup {
	g := records.NewRecordGroup{ID: n.ID, Entitlement: n.Entitlement, Buyer: n.Buyer, Partner: n.Partner, Product: n.Product, Records: n.Records.Decimals()}
	for _, r := range n.Billable {
		g.Billable = append(g.Billable, billing.BillableRecord{Metric: r.Key, Properties: r.Properties, Quantity: (*meter.Decimal)(r.Quantity)})
	}
	if n.Timestamp != nil {
		g.Time = n.Timestamp.Time
	}
	return g
}

// groupOf is a group as it is answered.
func groupOf(p access.Principal, g billing.RecordGroup) wire.Group {
	if p.Customer != "" {
		g.Serial = 0
	}
	return wire.Group{ID: g.Name, Serial: g.Serial, Organization: p.Organization, Entitlement: g.Entitlement, Buyer: g.Buyer,
		Partner: wire.MarketplacePartner(g.Partner), Status: g.Status, Records: wire.NumbersOf(g.Records), MetaInfo: metaOf(g),
		Created: wire.TimeOf(g.Created), Updated: wire.TimeOf(g.Updated), Reported: wire.TimeOf(g.Reported), Report: g.Report, Message: g.Message}
}

func metaOf(g billing.RecordGroup) wire.GroupMeta {
	m := wire.GroupMeta{Origin: wire.NumbersOf(g.Origin), Source: g.Source, Timestamp: wire.TimeOf(g.Usage)}
	for _, r := range g.Billable {
		m.Billable = append(m.Billable, wire.Record{Key: r.Metric, Properties: r.Properties, Quantity: (*wire.Number)(r.Quantity)})
	}
	return m
}
